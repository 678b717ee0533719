"""What callbacks see of a training in progress."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from cpvae_jax import devices
from cpvae_jax.config import Config, Training
from cpvae_jax.storage.run_folder import RunFolder
from cpvae_jax.training import program
from cpvae_jax.training.starting import Started
from cpvae_jax.training.step import TrainState
from cpvae_jax.types import Params

Row = dict[str, float | int | bool]


class Run:
    """A training in progress.

    Attributes:
      config: The configuration of the model.
      training: The settings of training.
      mesh: The devices; None for one.
      folder: The run folder, or None.
      started: How the categories started in this call of `fit`; None if weights were fresh, given, or
        those of a checkpoint.
      epoch: Epochs done.
      resumed_at: Epochs that were done before this call of `fit`.
      metrics: Metrics of the last epoch by name, [R] each.
      lines: One record per epoch of this call: numbers, or lists of R numbers for several seeds.
      stopped: Why training was asked to stop before its end, or None.
      seeds: The best parameters of each seed once training is over, with q(c) over the
        training data.
      final: Those of the best seed.
    """

    def __init__(
        self,
        config: Config,
        training: Training,
        state: TrainState,
        *,
        mesh: Mesh | None,
        folder: RunFolder | None,
        started: Started | None = None,
    ) -> None:
        self.config, self.training, self.mesh, self.folder = config, training, mesh, folder
        self.epoch = self.resumed_at = int(np.max(state.epoch))
        self.started = started
        self.metrics: dict[str, np.ndarray] = {}
        self.lines: list[dict[str, Any]] = []
        self.stopped: str | None = None
        self.seeds: tuple[Params, ...] = ()
        self.final: Params | None = None
        self._state = state

    @property
    def state(self) -> TrainState:
        """A copy of the training state, with a leading axis R; it stays valid."""
        return jax.tree.map(jnp.copy, self._state)

    @property
    def finished(self) -> bool:
        """Whether every seed has stopped, or the last epoch is done."""
        return program.finished(self._state, self.training)

    @property
    def earliest_end(self) -> int:
        """The earliest epoch after which training can end; `training.epochs` is the latest.

        It is that of early stopping if the validation bound does not rise any more. A seed that
        has stopped does not count.
        """
        wait, stopped = np.asarray(self._state.wait), np.asarray(self._state.stopped)
        warm = max(self.epoch, self.training.warmup)  # the patience starts after the warm-up
        ends = np.where(stopped, self.epoch, warm + self.training.patience - wait)
        return min(int(np.max(ends)), self.training.epochs)

    @property
    def seconds_per_epoch(self) -> float | None:
        """The median time of the last ten epochs; None before the second.

        The first epoch of a call does not count, because it also compiles.
        """
        recent = [line["seconds"] for line in self.lines[1:][-10:]]
        return float(np.median(recent)) if recent else None

    @property
    def best_bound(self) -> float:
        """The best validation bound so far, over all seeds, in nats."""
        return float(np.max(np.asarray(self._state.best_bound)))

    @property
    def interrupted(self) -> bool:
        """Whether a signal, such as that of Ctrl-C, asked training to stop."""
        return self.stopped in signal.Signals.__members__

    def best(self) -> Params:
        """The best parameters so far, of the best seed."""
        return program.best_params(self._state, mesh=self.mesh)

    def whole_state(self) -> TrainState:
        """The state as each process can read it whole; all processes call this together."""
        return devices.home(self._state, self.mesh)

    def stop(self, reason: str) -> None:
        """Ask training to stop after this epoch."""
        self.stopped = reason

    def keep(self, best: int, seeds: tuple[Params, ...]) -> None:
        """Take over the parameters at the end of training."""
        self.seeds, self.final = seeds, seeds[best]

    def advance(self, state: TrainState, metrics: dict[str, np.ndarray], seconds: float) -> None:
        """Take over the results of an epoch."""
        self._state, self.metrics, self.epoch = state, metrics, int(metrics["epoch"][0])
        line: dict[str, Any] = {"epoch": self.epoch, "seconds": seconds}
        for name, values in metrics.items():
            if name != "epoch":
                line[name] = values.tolist() if len(values) > 1 else values[0].item()
        self.lines.append(line)


def rows(lines: Sequence[dict[str, Any]]) -> list[Row]:
    """One plain record per epoch and seed, which `pandas.DataFrame` takes as a table.

    >>> rows([{"epoch": 1, "valid_bound": [-3.0, -2.0]}])
    [{'epoch': 1, 'seed': 0, 'valid_bound': -3.0}, {'epoch': 1, 'seed': 1, 'valid_bound': -2.0}]
    """
    found = []
    for line in lines:
        count = max((len(v) for v in line.values() if isinstance(v, list)), default=1)
        for seed in range(count):
            values = {n: v[seed] if isinstance(v, list) else v for n, v in line.items()}
            found.append({"epoch": values.pop("epoch"), "seed": seed, **values})
    return found
