"""Saving and loading by Orbax. Nothing is pickled: arrays, and the configuration as JSON.

A folder holds numbered steps, each with `params` and `config` and, in a training run, the
`state` that training goes on from. `load` reads any of them, and a run folder too. Arrays are
plain zarr; a `manifest` tells a step that is whole from one that is not.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import files, keys, manifest
from cpvae_jax.config import Config
from cpvae_jax.errors import UserError
from cpvae_jax.models import cpvae
from cpvae_jax.types import Params, Tree

FOLDER = "checkpoints"
"""Name of the folder of checkpoints inside a run folder."""

KEPT = 2
"""Steps that are kept: the one before is there should the last be damaged."""

CONFIG = "config/metadata"
"""Where Orbax puts the configuration of a step."""


class Checkpoints:
    """The steps of a training run, of which the latest are kept; make it with `open_for`."""

    def __init__(self, folder: Path) -> None:
        import orbax.checkpoint as ocp

        self.folder = folder.absolute()
        self._manager = ocp.CheckpointManager(
            self.folder,
            item_handlers={
                "params": _arrays_handler(),
                "config": ocp.JsonCheckpointHandler(multiprocessing_options=_alone()),
                "state": _arrays_handler(),
            },
            options=ocp.CheckpointManagerOptions(
                max_to_keep=None,  # see `_remove`
                create=False,
                multiprocessing_options=_alone(),
            ),
        )

    def latest(self) -> int | None:
        """The last step; None if there is none."""
        return max(_steps(self.folder), default=None)

    def read_state(self, step: int, template: Tree) -> Tree:
        """The training state of a step, of the shapes of `template`.

        Raises `UserError` where it is damaged, or of another model.
        """
        folder = self.folder / str(step)
        with _told(folder):
            manifest.verify(folder, ["state"])
            return _restore(folder / "state", template)

    def write(self, step: int, params: Params, state: Tree | None = None) -> None:
        """Save a step: `params` for use, `state` to go on training from.

        Waits until it is written: the next epoch reuses the memory of the state, and a disk
        that is full is heard of at once. A step that exists is left as it is.

        Raises `UserError` where it cannot be written; the steps before are untouched then.
        """
        import orbax.checkpoint as ocp

        if step in _steps(self.folder):
            return
        items = {
            "params": ocp.args.PyTreeSave(_as_stored(_arrays(params))),
            "config": ocp.args.JsonSave(params.config.to_dict()),
        }
        if state is not None:
            items["state"] = ocp.args.PyTreeSave(_as_stored(state))
        try:
            self._manager.save(step, args=ocp.args.Composite(**items))
            self._manager.wait_until_finished()
            manifest.write(self.folder / str(step))
            for old in sorted(_steps(self.folder))[:-KEPT]:
                self._remove(old)
        # A full disk is an OSError, a ValueError or a RuntimeError, by the layer that met it.
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"the checkpoint {self.folder / str(step)} cannot be written ({_reason(error)}); "
                "mend the space on the disk or its permissions. The one before it, if there is "
                "one, is whole, and a run goes on from it."
            ) from error

    def _remove(self, step: int) -> None:
        """Its manifest first: a crash in the midst must not leave half a step that looks whole."""
        (self.folder / str(step) / manifest.FILE).unlink()
        self._manager.delete(step)

    def close(self) -> None:
        """End Orbax's threads."""
        self._manager.close()


@contextmanager
def open_for(folder: str | Path) -> Iterator[Checkpoints]:
    """A folder of checkpoints to write to, made if it is missing; what a crash left is removed.

    Raises `UserError` where it cannot be written.
    """
    _quiet()
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        for child in path.iterdir():
            if child.name.split(".")[0].isdigit() and not (child / manifest.FILE).exists():
                shutil.rmtree(child)
        steps = Checkpoints(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); choose another folder."
        ) from error
    try:
        yield steps
    finally:
        steps.close()


def save(folder: str | Path, params: Params) -> None:
    """Save parameters and their configuration to a new folder; `load` reads it back.

    Raises `UserError` where the folder holds something already or cannot be written.
    """
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists and is not an empty folder; choose another one to save to.")
    with open_for(path) as steps:
        steps.write(0, params)


def load(folder: str | Path) -> Params:
    """The parameters that `save` wrote, or the best ones of a training run's folder.

    Takes the memory of the model and 2 MiB, whatever the files hold. Raises `UserError` for a
    folder that is missing, holds no model, is damaged, or disagrees with its configuration.

    >>> import tempfile, cpvae_jax
    >>> config = cpvae_jax.Config(shape=(8, 8), K=5)
    >>> params = cpvae_jax.initialise(jax.random.key(0), config)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cpvae_jax.save(folder + "/model", params)
    ...     cpvae_jax.load(folder + "/model").config == config
    True
    """
    _quiet()
    path = Path(folder)
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; give the folder of a run or of a saved model.")
    inner = path / FOLDER if (path / FOLDER).is_dir() else path
    found = _steps(inner)
    if not found:
        raise UserError(
            f"{path} holds no saved model; give the folder of a run or of a saved model."
        )
    step = inner / str(max(found))
    with _told(step):
        manifest.verify(step, ["params", "config"])
        values = files.read_json(step / CONFIG)
        if not isinstance(values, dict):
            raise files.DamagedError(f"{CONFIG} is no configuration")
        config = Config.from_dict(values)
        template = jax.eval_shape(lambda key: cpvae.init(key, config, None), _key())
        restored = _restore(step / "params", _arrays(template))
    return Params(**restored, config=config)


def _restore(folder: Path, template: Tree) -> Tree:
    """The arrays of a folder, of the structure, shapes and types of a template."""
    import orbax.checkpoint as ocp

    # Fitted first: Orbax takes arrays of other lengths too, and cuts or fills them.
    numbers = keys.to_numbers(template)
    manifest.fits(
        folder,
        {".".join(map(_name, path)): leaf for path, leaf in jax.tree.leaves_with_path(numbers)},
    )
    how = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), numbers)
    with ocp.Checkpointer(_arrays_handler(), multiprocessing_options=_alone()) as reader:
        found = reader.restore(
            folder.absolute(), args=ocp.args.PyTreeRestore(numbers, restore_args=how)
        )
    return keys.from_numbers(jax.tree.map(jnp.asarray, found), template)


def _as_stored(tree: Tree) -> Tree:
    """Arrays of the host, keys as numbers: the same on the disk wherever they lay."""
    return jax.tree.map(np.asarray, keys.to_numbers(tree))


def _name(entry: Any) -> str:
    """A step of a path in a tree, as Orbax writes it."""
    return str(getattr(entry, "name", getattr(entry, "key", getattr(entry, "idx", None))))


def _arrays_handler() -> Any:
    """Arrays as plain zarr: what is on the disk can be checked before it is read."""
    import orbax.checkpoint as ocp

    return ocp.PyTreeCheckpointHandler(
        use_ocdbt=False,
        use_zarr3=False,
        use_compression=False,
        multiprocessing_options=_alone(),
    )


def _alone() -> Any:
    """Of several processes this one writes and reads for all, and Orbax waits for no other."""
    import orbax.checkpoint as ocp

    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    me = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me})


def _quiet() -> None:
    """Orbax tells each save as a warning, and a full disk in pages; what goes wrong we tell."""
    logging.getLogger("absl").setLevel(logging.CRITICAL)


def _steps(folder: Path) -> list[int]:
    """The steps of a folder that are whole: their manifest is written last."""
    names = (child.name for child in folder.iterdir() if (child / manifest.FILE).exists())
    return [int(name) for name in names if name.isdigit()]


def _key() -> jax.Array:
    """Stands for any key: only shapes are asked for."""
    return jax.eval_shape(lambda: jax.random.key(0))


def _arrays(params: Params) -> dict[str, Tree]:
    """Parameters as a plain dictionary, readable without this package's classes."""
    return {
        "encoder": params.encoder,
        "prior": params.prior,
        "decoder": params.decoder,
        "likelihood": params.likelihood,
        "aggregate": params.aggregate,
    }


@contextmanager
def _told(step: Path) -> Iterator[None]:
    """Turns all that reading a step can meet into a sentence that names it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"the checkpoint {step} cannot be loaded: {error}") from error
    except manifest.NewerError as error:
        raise UserError(
            f"the checkpoint {step} was written by a newer version of cpvae_jax ({error}); load it "
            "with that version."
        ) from error
    # What Orbax meets in files that fit their manifest is known to nobody.
    except Exception as error:
        raise UserError(
            f"the checkpoint {step} is damaged or of another program ({_first_line(error)}); "
            f"remove that folder to fall back on the one before it in {step.parent}, if there is "
            "one."
        ) from error


def _reason(error: Exception) -> str:
    """Why writing failed, in few words: a full disk is told by some in many."""
    full = os.strerror(errno.ENOSPC)
    if full in str(error):
        return full
    return error.strerror if isinstance(error, OSError) and error.strerror else _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
