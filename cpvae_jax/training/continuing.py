"""Runs that are continued: the record of their settings and data, and the state they go on from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from cpvae_jax import devices, processes
from cpvae_jax.config import Config, Training
from cpvae_jax.data import digest
from cpvae_jax.data.rows import Rows
from cpvae_jax.models import start
from cpvae_jax.storage import checkpoint, folders, run_folder, same_run
from cpvae_jax.storage.run_folder import RunFolder
from cpvae_jax.training import program as programs
from cpvae_jax.training.step import TrainState
from cpvae_jax.types import Params


@contextmanager
def opened(
    folder: str | os.PathLike[str] | RunFolder | None,
    config: Config,
    training: Training,
    keys: jax.Array,
    data: Mapping[str, np.ndarray | Rows | None],
    resume: bool,
) -> Iterator[RunFolder | None]:
    """The run folder, locked until training ends; one that is open already is used as it is."""
    if folder is None or isinstance(folder, RunFolder):
        yield folder
        return
    settings = {
        "keys": np.asarray(jax.random.key_data(keys)).tolist(),
        **record(config, training, keys, data),
    }
    path = folders.resolved(folder)
    with run_folder.open_run(path, settings, resume=resume, writer=processes.first()) as found:
        yield found


def record(
    config: Config,
    training: Training,
    keys: jax.Array,
    data: Mapping[str, np.ndarray | Rows | None],
) -> dict[str, Any]:
    """The settings and data that determine the results of a training, in JSON form.

    The most epochs are left out, so that a finished run can be given more.

    Args:
      config: The configuration of the model.
      training: The settings.
      keys: The keys of its seeds, of which the implementation is kept.
      data: The examples by the name of their part, of which digests are kept.
    """
    return {
        "model": json_ready(config.to_dict()),
        "training": json_ready({k: v for k, v in asdict(training).items() if k != "epochs"}),
        same_run.PRNG: str(jax.random.key_impl(keys)),
        same_run.DATA: digest.of(data) if processes.first() else {},
    }


def json_ready(values: dict[str, Any]) -> dict[str, Any]:
    """Tuples as lists, as they come back from a JSON file."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return json_ready(value)
        return [plain(v) for v in value] if isinstance(value, tuple | list) else value

    return {name: plain(value) for name, value in values.items()}


def resumed(folder: RunFolder, state: TrainState, mesh: Mesh | None) -> TrainState:
    """The state of the last checkpoint, if there is one; the log is cut back to its epoch."""
    place = folder.path / checkpoint.FOLDER
    saved, found = 0, devices.home(state, mesh)
    if processes.first() and place.is_dir():
        with checkpoint.open_for(place) as steps:
            saved = steps.latest() or 0
            if saved:
                found = steps.read_state(saved, found, partial(_without_data, found))
    (saved,) = processes.largest(saved)
    folder.rewind(saved)
    return programs.place(processes.told(found), mesh) if saved else state


def _without_data(state: TrainState) -> TrainState:
    """A state with the likelihood's constants as they are where there are no data.

    They stand for constants that the state of an earlier version lacks.
    """
    stats = start.stats_without_data(state.params.config)

    def broadcast(leaf: Any, shape: tuple[int, ...]) -> Any:
        shape_only = isinstance(leaf, jax.ShapeDtypeStruct)
        return leaf if shape_only else jnp.broadcast_to(leaf, shape)

    def with_defaults(params: Params) -> Params:
        own = params.stats["likelihood"]
        return params.with_stats(
            likelihood=jax.tree.map(lambda a, to: broadcast(a, to.shape), stats, own)
        )

    return replace(state, params=with_defaults(state.params), best=with_defaults(state.best))
