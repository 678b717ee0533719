"""Trees of arrays on disk, by Orbax as plain zarr: their files can be checked before they are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import keys
from cpvae_jax.errors import UserError
from cpvae_jax.storage import folders, manifest
from cpvae_jax.types import Tree

Defaults = Callable[[], Tree]
"""Gives a tree in which arrays stand where one may be missing on disk, and shapes elsewhere."""


def restore(folder: Path, template: Tree, defaults: Defaults | None = None) -> Tree:
    """The arrays of a folder, with the structure and shapes of a template.

    Types are those of the template, but numbers of 32 bits stay so where it has 64.

    Args:
      folder: The folder.
      template: Shapes and types.
      defaults: Called if arrays of the template are missing, as in files of earlier versions.

    Raises:
      manifest.DamagedError, OSError: A file is damaged, or cannot be read.
    """
    numbers = keys.to_numbers(template)
    wanted = named(numbers)
    absent = set() if defaults is None else wanted.keys() - manifest.stored(folder).keys()
    # Checked first, because Orbax accepts arrays of other lengths and cuts or fills them.
    manifest.fits(folder, {name: leaf for name, leaf in wanted.items() if name not in absent})
    values = {} if defaults is None or not absent else _chosen(defaults(), absent)
    values |= named(_read(folder, _without(numbers, absent)))

    def value(path: Any, leaf: Any) -> jax.Array:
        found = np.asarray(values[_join(path)])
        narrow = found.dtype.itemsize < np.dtype(leaf.dtype).itemsize
        return jnp.asarray(found if narrow else found.astype(leaf.dtype))

    return keys.from_numbers(jax.tree.map_with_path(value, numbers), template)


def as_stored(tree: Tree) -> Tree:
    """Arrays on the host with keys as numbers, so that the files do not depend on the devices."""
    return jax.tree.map(np.asarray, keys.to_numbers(tree))


def named(tree: Tree) -> dict[str, Any]:
    """The arrays of a tree by the names of their folders.

    Raises:
      UserError: A name cannot be that of a folder, or two arrays have the same.

    >>> list(named({"encoder": [np.ones(2), np.ones(3)]}))
    ['encoder.0', 'encoder.1']
    """
    found: dict[str, Any] = {}
    for path, leaf in jax.tree.leaves_with_path(tree):
        name = _join(path)
        if (
            set(name) & set("/\\\0")
            or not name.isprintable()
            or len(name.encode()) > folders.LONGEST_NAME
        ):
            raise UserError(
                f"an array of the model is called {name!r}, which cannot be the name of a folder; "
                "name the arrays of your own parts in short words without slashes."
            )
        if name in found:
            raise UserError(
                f"two arrays of the model are called {name!r} on disk; name the arrays of your own "
                "parts in words without dots."
            )
        found[name] = leaf
    return found


def _join(path: Any) -> str:
    """A path in a tree, as Orbax writes it."""
    return ".".join(
        str(getattr(entry, "name", getattr(entry, "key", getattr(entry, "idx", None))))
        for entry in path
    )


def _chosen(tree: Tree, names: set[str]) -> dict[str, Any]:
    """The arrays with these names; `MisfitError` if one of them is a shape only."""
    found = {name: leaf for name, leaf in named(tree).items() if name in names}
    for name in sorted(names):
        if isinstance(found.get(name), jax.ShapeDtypeStruct | None):
            raise manifest.MisfitError(f"the array {name} is missing")
    return found


def _without(tree: Tree, names: set[str], below: tuple[Any, ...] = ()) -> Tree:
    """A tree without some entries of its dictionaries."""

    def pruned(path: Any, node: Any) -> Any:
        path = (*below, *path)
        if not isinstance(node, dict):
            return node
        entries = {key: (*path, jax.tree_util.DictKey(key)) for key in node}
        kept = {key: at for key, at in entries.items() if _join(at) not in names}
        return {key: _without(node[key], names, at) for key, at in kept.items()}

    return jax.tree.map_with_path(pruned, tree, is_leaf=lambda node: isinstance(node, dict))


def _read(folder: Path, template: Tree) -> Tree:
    import orbax.checkpoint as ocp

    how = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), template)
    with (
        folders.for_arrays(folder.absolute()) as place,
        ocp.Checkpointer(handler(), multiprocessing_options=alone()) as reader,
    ):
        return reader.restore(place, args=ocp.args.PyTreeRestore(template, restore_args=how))


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
