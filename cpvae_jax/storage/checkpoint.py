"""Checkpoints by Orbax. Nothing is pickled: arrays, and the configuration as JSON.

A folder holds numbered steps. Each has `params` and `config`, and in a training run the `state`
that training continues from. Arrays are plain zarr, and a `manifest` tells a whole step from an
unfinished or damaged one.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cpvae_jax.config import Config
from cpvae_jax.errors import UserError
from cpvae_jax.storage import arrays, files, legacy, manifest
from cpvae_jax.types import Params, Tree

FOLDER = "checkpoints"
"""The name of the folder of checkpoints in a run folder."""

KEPT = 2
"""How many steps are kept; the second is a spare in case the last one is damaged."""

CONFIG = "config/metadata"
"""Where Orbax stores the configuration of a step."""


class Checkpoints:
    """The latest steps of a training run; make it with `open_for`."""

    def __init__(self, folder: Path) -> None:
        import orbax.checkpoint as ocp

        self.folder = folder.absolute()
        self._manager = ocp.CheckpointManager(
            self.folder,
            item_handlers={
                "params": arrays.handler(),
                "config": ocp.JsonCheckpointHandler(multiprocessing_options=arrays.alone()),
                "state": arrays.handler(),
            },
            options=ocp.CheckpointManagerOptions(
                max_to_keep=None,  # see `_remove`
                create=False,
                multiprocessing_options=arrays.alone(),
            ),
        )

    def latest(self) -> int | None:
        """The last step, or None."""
        return max(_steps(self.folder), default=None)

    def read_state(self, step: int, template: Tree) -> Tree:
        """The training state of a step, with the shapes of `template`.

        Raises:
          UserError: It is damaged, or belongs to another training.
        """
        folder = self.folder / str(step)
        with _explained(folder):
            manifest.verify(folder, ["state"])
            try:
                return arrays.restore(folder / "state", template)
            except manifest.MisfitError as error:
                raise UserError(
                    f"its state belongs to another training ({error}); resume with the model, the "
                    "number of seeds and the optimiser that it was started with."
                ) from error

    def write(self, step: int, params: Params, state: Tree | None = None) -> None:
        """Save a step: `params` to use, `state` to continue training from.

        Waits until everything is on disk, because the next epoch reuses the memory of the state,
        and so that a full disk is noticed at once. An existing step is left as it is.

        Raises:
          UserError: The step cannot be written. Earlier steps stay untouched.
        """
        import orbax.checkpoint as ocp

        if step in _steps(self.folder):
            return
        items = {
            "params": ocp.args.PyTreeSave(arrays.as_stored(_arrays(params))),
            "config": ocp.args.JsonSave(params.config.to_dict()),
        }
        if state is not None:
            items["state"] = ocp.args.PyTreeSave(arrays.as_stored(state))
        try:
            self._manager.save(step, args=ocp.args.Composite(**items))
            self._manager.wait_until_finished()
            manifest.write(self.folder / str(step))
            for old in sorted(_steps(self.folder))[:-KEPT]:
                self._remove(old)
        # A full disk is an OSError, a ValueError or a RuntimeError, depending on the layer.
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"the checkpoint {self.folder / str(step)} cannot be written ({_reason(error)}); "
                "free some disk space or fix the permissions. An earlier checkpoint, if there is "
                "one, is whole, and a run can be resumed from it."
            ) from error

    def _remove(self, step: int) -> None:
        """Delete a step, its manifest first, so that a crash never leaves half a step that looks whole."""
        (self.folder / str(step) / manifest.FILE).unlink()
        self._manager.delete(step)

    def close(self) -> None:
        """End Orbax's threads."""
        self._manager.close()


@contextmanager
def open_for(folder: str | Path) -> Iterator[Checkpoints]:
    """A folder of checkpoints to write to; it is made if missing, and unfinished steps are removed.

    Raises:
      UserError: The folder cannot be written.
    """
    path = Path(folder)
    with _quiet():
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
    """Save a model to a new folder.

    Raises:
      UserError: The folder is not empty, or cannot be written.
    """
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} exists and is not an empty folder; choose another one to save to.")
    with open_for(path) as steps:
        steps.write(0, params)


def read(folder: str | Path, template: Callable[[Config], Params]) -> Params:
    """The model that `save` wrote, or the best one of a training run's folder.

    Args:
      folder: The folder.
      template: Gives the parameters of a configuration as shapes and types.

    Raises:
      UserError: The folder is missing, holds no model, is damaged, or disagrees with its
        configuration.
    """
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
    with _quiet(), _explained(step):
        written = manifest.verify(step, ["params", "config"])
        values = files.read_json(step / CONFIG)
        if not isinstance(values, dict):
            raise files.DamagedError(f"{CONFIG} is not a configuration")
        now = template(Config.from_dict(values))
        if written == 1:
            return legacy.to_params(arrays.restore(step / "params", legacy.template(now)), now)
        restored = arrays.restore(step / "params", _arrays(now))
    return Params(**restored, config=now.config)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences Orbax, which logs each save as a warning; failures raise errors of ours.

    A filter drops what comes from Orbax's own files. The level of the logger, which other
    libraries share, stays as it is, also while a training keeps its checkpoints open.
    """
    log = logging.getLogger("absl")

    def from_elsewhere(record: logging.LogRecord) -> bool:
        return f"{os.sep}orbax{os.sep}" not in record.pathname

    log.addFilter(from_elsewhere)
    try:
        yield
    finally:
        log.removeFilter(from_elsewhere)


def _steps(folder: Path) -> list[int]:
    """The complete steps of a folder; the manifest is written last."""
    names = (child.name for child in folder.iterdir() if (child / manifest.FILE).exists())
    return [int(name) for name in names if name.isdigit()]


def _arrays(params: Params) -> dict[str, Tree]:
    """Parameters as a plain dictionary, readable without this package's classes."""
    return {"weights": params.weights, "stats": params.stats}


@contextmanager
def _explained(step: Path) -> Iterator[None]:
    """Turns every error in reading a step into a `UserError` that names it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"the checkpoint {step} cannot be loaded: {error}") from error
    except manifest.NewerError as error:
        raise UserError(
            f"the checkpoint {step} was written by a newer version of cpvae_jax ({error}); load it "
            "with that version."
        ) from error
    # Orbax may raise anything for files that fit their manifest.
    except Exception as error:
        raise UserError(
            f"the checkpoint {step} is damaged or was not written by cpvae_jax "
            f"({_first_line(error)}); move that folder away to use an earlier one in {step.parent}, "
            "if there is one."
        ) from error


def _reason(error: Exception) -> str:
    """Why writing failed, in few words; some layers report a full disk at great length."""
    full = os.strerror(errno.ENOSPC)
    if full in str(error):
        return full
    return error.strerror if isinstance(error, OSError) and error.strerror else _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
