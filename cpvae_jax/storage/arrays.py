"""Trees of arrays on disk, by Orbax as plain zarr: their files can be checked before they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import keys
from cpvae_jax.storage import manifest
from cpvae_jax.types import Tree


def restore(folder: Path, template: Tree) -> Tree:
    """The arrays of a folder, with the structure, shapes and types of a template."""
    import orbax.checkpoint as ocp

    # Checked first, because Orbax accepts arrays of other lengths and cuts or fills them.
    numbers = keys.to_numbers(template)
    manifest.fits(
        folder,
        {".".join(map(_name, path)): leaf for path, leaf in jax.tree.leaves_with_path(numbers)},
    )
    how = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), numbers)
    with ocp.Checkpointer(handler(), multiprocessing_options=alone()) as reader:
        found = reader.restore(
            folder.absolute(), args=ocp.args.PyTreeRestore(numbers, restore_args=how)
        )
    return keys.from_numbers(jax.tree.map(jnp.asarray, found), template)


def as_stored(tree: Tree) -> Tree:
    """Arrays on the host with keys as numbers, so that the files do not depend on the devices."""
    return jax.tree.map(np.asarray, keys.to_numbers(tree))


def _name(entry: Any) -> str:
    """One entry of a path in a tree, as Orbax writes it."""
    return str(getattr(entry, "name", getattr(entry, "key", getattr(entry, "idx", None))))


def handler() -> Any:
    """Arrays as plain zarr, which can be checked on disk before they are read."""
    import orbax.checkpoint as ocp

    return ocp.PyTreeCheckpointHandler(
        use_ocdbt=False,
        use_zarr3=False,
        use_compression=False,
        multiprocessing_options=alone(),
    )


def alone() -> Any:
    """Options for several processes: this one reads and writes, and Orbax waits for no other."""
    import orbax.checkpoint as ocp

    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    me = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me})
