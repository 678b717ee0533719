"""Checkpoints by Orbax. Nothing is pickled: arrays, and the configuration as JSON.

A folder holds numbered steps. Each has `params` and `config`, and in a training run the `state`
that training continues from. Arrays are plain zarr, and a `manifest` tells a whole step from an
unfinished or damaged one.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from cpvae_jax.config import Config
from cpvae_jax.errors import UserError
from cpvae_jax.storage import arrays, failures, files, folders, legacy, manifest, prng
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

        self.folder = folder
        self._stack = ExitStack()
        self._manager = ocp.CheckpointManager(
            self._stack.enter_context(folders.for_arrays(folder)),
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

    def read_state(
        self, step: int, template: Tree, defaults: arrays.Defaults | None = None
    ) -> Tree:
        """The training state of a step, with the shapes of `template`.

        Args:
          step: The step.
          template: Shapes and types; its random keys must be of the implementation of the run's.
          defaults: Arrays that may be missing in the files of an earlier version, see
            `arrays.restore`.

        Raises:
          UserError: It is damaged, or belongs to another training.
        """
        folder = self.folder / str(step)
        with failures.explained(folder):
            about = manifest.verify(folder, ["state"])
            prng.check(folder / "state", about.keys, template)
            older = about.format < manifest.FORMAT
            try:
                return arrays.restore(folder / "state", template, defaults if older else None)
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

        trees = {"params": arrays.as_stored(plain(params))}
        if state is not None:
            trees["state"] = arrays.as_stored(state)
        expected = {name: arrays.named(tree) for name, tree in trees.items()}
        items = {name: ocp.args.PyTreeSave(tree) for name, tree in trees.items()}
        items["config"] = ocp.args.JsonSave(params.config.to_dict())
        try:
            if step in _steps(self.folder):
                return
            self._manager.save(step, args=ocp.args.Composite(**items))
            self._manager.wait_until_finished()
            manifest.write(self.folder / str(step), expected, prng.names(state))
            for old in sorted(_steps(self.folder))[:-KEPT]:
                self._remove(old)
        # A full disk is an OSError, a ValueError or a RuntimeError, depending on the layer.
        except (OSError, ValueError, RuntimeError) as error:
            raise UserError(
                f"the checkpoint {self.folder / str(step)} cannot be written ({failures.reason(error)}); "
                "free some disk space or fix the permissions. An earlier checkpoint, if there is "
                "one, is whole, and a run can be resumed from it."
            ) from error

    def _remove(self, step: int) -> None:
        """Delete a step, its manifest first, so that a crash never leaves half a step that looks whole."""
        (self.folder / str(step) / manifest.FILE).unlink()
        self._manager.delete(step)

    def close(self) -> None:
        """End Orbax's threads."""
        with self._stack:
            self._manager.close()


@contextmanager
def open_for(folder: str | os.PathLike[str]) -> Iterator[Checkpoints]:
    """A folder of checkpoints to write to; it is made if missing, and unfinished steps are removed.

    Raises:
      UserError: The folder cannot be written.
    """
    path = folders.resolved(folder)
    with _quiet():
        try:
            path.mkdir(parents=True, exist_ok=True)
            for child in path.iterdir():
                if _UNFINISHED.fullmatch(child.name) and not files.there(child / manifest.FILE):
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


_UNFINISHED = re.compile(r"\d+(\.orbax-checkpoint-tmp.*)?")
"""Names of steps, and of steps that Orbax was writing."""


def save(folder: str | os.PathLike[str], params: Any) -> None:
    """Save a model, or the one that a training returned as its `params`, to a new folder.

    Raises:
      UserError: The folder is not empty, or cannot be written; or `params` is something else.
    """
    model = model_of(params)
    path = fresh(folder)
    arrays.named(plain(model))  # before anything is written
    with open_for(path) as steps:
        steps.write(0, model)


def model_of(params: Any) -> Params:
    """A model, from one or from what a training returned; `UserError` for anything else."""
    model = getattr(params, "params", params)
    if not isinstance(model, Params):
        raise UserError(
            f"params is {type(params).__name__} and not a model; give the folder, then the model."
        )
    return model


def fresh(folder: str | os.PathLike[str]) -> Path:
    """The path of a folder that is missing or empty; `UserError` for any other."""
    path = folders.resolved(folder)
    with files.reading(path):
        taken = files.there(path) and (not path.is_dir() or any(path.iterdir()))
    if taken:
        raise UserError(f"{path} exists and is not an empty folder; choose another one to save to.")
    return path


def read(
    folder: str | os.PathLike[str],
    template: Callable[[Config], Params],
    defaults: Callable[[Config], Tree] | None = None,
) -> Params:
    """The model that `save` wrote, or the best one of a training run's folder.

    Args:
      folder: The folder.
      template: Gives the parameters of a configuration as shapes and types.
      defaults: Gives the constants of the likelihood where there are no data. They take the place
        of those that a model of an earlier version lacks.

    Raises:
      UserError: The folder is missing, holds no model, is damaged, or disagrees with its
        configuration.
    """
    path = folders.resolved(folder)
    with files.reading(path):
        if not path.is_dir():
            raise UserError(
                f"{path} is not a folder; give the folder of a run or of a saved model."
            )
        inner = path / FOLDER if (path / FOLDER).is_dir() else path
        found = _steps(inner)
    if not found:
        raise UserError(
            f"{path} holds no saved model; give the folder of a run or of a saved model."
        )
    step = inner / str(max(found))
    with _quiet(), failures.explained(step):
        written = manifest.verify(step, ["params", "config"]).format
        values = files.read_json(step / CONFIG)
        if not isinstance(values, dict):
            raise files.DamagedError(f"{CONFIG} is not a configuration")
        now = template(Config.from_dict(values))

        def without_data() -> Params:
            stats = {} if defaults is None else {"likelihood": defaults(now.config)}
            return now.with_stats(**stats)

        if written == 1:
            restored = arrays.restore(
                step / "params", legacy.template(now), lambda: legacy.template(without_data())
            )
            return legacy.to_params(restored, now)
        older = written < manifest.FORMAT
        restored = arrays.restore(
            step / "params", plain(now), (lambda: plain(without_data())) if older else None
        )
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
    names = (child.name for child in folder.iterdir() if child.name.isdecimal())
    return [int(name) for name in names if files.there(folder / name / manifest.FILE)]


def plain(params: Params) -> dict[str, Tree]:
    """Parameters as a plain dictionary, readable without this package's classes."""
    return {"weights": params.weights, "stats": params.stats}
