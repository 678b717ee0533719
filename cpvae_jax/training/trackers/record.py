"""What every tracker writes: settings, metrics by seed, and how training ended."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from typing import Any

from cpvae_jax import processes
from cpvae_jax.errors import UserError, first_line
from cpvae_jax.training.callbacks import Callback
from cpvae_jax.training.run import Run

FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"
"""How a training ended: by itself, by an error, or by a signal. MLflow's words."""


def imported(module: str, package: str, extra: str, name: str) -> Any:
    """Import a tracker's package; `UserError` with the command that installs it if it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UserError(
            f"{name} needs the package {package}; install it with pip install 'cpvae-jax[{extra}]'."
        ) from error


def settings(run: Run) -> dict[str, Any]:
    """All settings by name: model.K, training.epochs and so on."""
    model = {f"model.{name}": value for name, value in asdict(run.config).items()}
    return model | {f"training.{name}": value for name, value in asdict(run.training).items()}


def metrics(run: Run) -> dict[str, float]:
    """The metrics of the last epoch; with several seeds, valid_bound/0, valid_bound/1 and so on."""
    return {
        f"{name}/{seed}" if len(values) > 1 else name: float(value)
        for name, values in run.metrics.items()
        for seed, value in enumerate(values)
    }


class Tracker(Callback):
    """A callback that keeps a run in another program.

    If the program cannot be reached once training goes on, a warning says so, and training
    continues without it.
    """

    name: str
    """What messages call it"""
    module: str
    """The module to import"""
    package: str
    """The package that has it"""
    extra: str
    """The extra of this package that installs it"""
    settings: str
    """The variable of the environment that is most likely wrong"""

    def __init__(self) -> None:
        self._open = self._writes = False
        self._status: str | None = None

    def begin(self, module: Any, run: Run) -> None:
        """Begin a run with the settings."""
        raise NotImplementedError

    def write(self, metrics: dict[str, float], epoch: int) -> None:
        """Write the metrics of an epoch."""
        raise NotImplementedError

    def finish(self, status: str) -> None:
        """End the run as finished, failed or killed."""
        raise NotImplementedError

    def start(self, run: Run) -> None:
        """Begin a run with the settings."""
        module = imported(self.module, self.package, self.extra, self.name)
        if not processes.first():
            return
        try:
            self.begin(module, run)
        except Exception as error:  # of many types; the package is not ours
            raise UserError(
                f"{self.name} cannot begin a run ({first_line(error)}); check {self.settings} and "
                "its other settings."
            ) from error
        self._open = self._writes = True
        self._status = None

    def epoch(self, run: Run) -> None:
        """Write the metrics of the epoch."""
        if self._writes:
            self._writes = self._tried(self.write, metrics(run), run.epoch)

    def end(self, run: Run) -> None:
        """Note how training ended."""
        self._status = KILLED if run.interrupted else FINISHED

    def close(self) -> None:
        """End the run."""
        if self._open:
            self._open = self._writes = False
            broken = KILLED if isinstance(sys.exception(), KeyboardInterrupt) else FAILED
            self._tried(self.finish, self._status or broken)

    def _tried(self, function: Callable[..., None], *arguments: Any) -> bool:
        """Whether a call succeeded; warns if it did not."""
        try:
            function(*arguments)
        except Exception as error:
            warnings.warn(
                f"{self.name} cannot write ({first_line(error)}); training goes on without it.",
                RuntimeWarning,
                stacklevel=2,
            )
            return False
        return True
