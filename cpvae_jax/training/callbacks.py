"""Callbacks of the training loop: progress bar, log, checkpoints, interrupts.

`trackers` has those that write to TensorBoard, MLflow and Weights & Biases.

A callback of your own is a `Callback`, or any function of the `Run` that is called after each
epoch. Registered under a name, as a class or function that makes one, it can be named on the
command line: see docs/extending.md.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import Any

import numpy as np
from tqdm import tqdm

from cpvae_jax import processes
from cpvae_jax.errors import UserError
from cpvae_jax.registry import CALLBACKS
from cpvae_jax.storage import checkpoint, run_folder
from cpvae_jax.training.run import Run

register = CALLBACKS.register
names = CALLBACKS.names


class Callback:
    """Is called as training goes on; override what you need."""

    def start(self, run: Run) -> None:
        """Called once before the first epoch."""

    def epoch(self, run: Run) -> None:
        """Called after each epoch, with `run.metrics` of it; may call `run.stop(reason)`."""

    def end(self, run: Run) -> None:
        """Called once after the last epoch with `run.final`, unless an error ended training."""

    def close(self) -> None:
        """Called last in any case, to release what `start` took."""


class _Function(Callback):
    """A function as a callback."""

    def __init__(self, function: Callable[[Run], Any]) -> None:
        self._function = function

    def epoch(self, run: Run) -> None:
        """Call the function."""
        self._function(run)


def several(given: Any) -> list[Callback]:
    """Callbacks, from a list of them and of functions.

    Raises:
      UserError: It is no list, or an entry is neither.
    """
    if not isinstance(given, Sequence):
        raise UserError(f"callbacks is {given!r}; give a list of them.")
    return [as_callback(callback) for callback in given]


def as_callback(given: Callback | Callable[[Run], Any]) -> Callback:
    """A callback, from one or from a function.

    Raises:
      UserError: It is neither.
    """
    if isinstance(given, Callback):
        return given
    if isinstance(given, type) or not callable(given):
        raise UserError(
            f"a callback is {given!r}; give a function of the run, or an instance of Callback."
        )
    return _Function(given)


class Bar(Callback):
    """A progress bar on stderr, with the terms of the best seed; hidden where it is no terminal.

    Nobody knows when early stopping will end training. Where it can, the bar gives two times: those
    left if the validation bound does not rise any more, and if it keeps rising until the last
    epoch. Otherwise the end is known, and the bar fills up.

    Args:
      quiet: Show nothing.
      always: Show it where stderr is no terminal, too.
    """

    def __init__(self, quiet: bool = False, always: bool = False) -> None:
        hidden = quiet or not processes.first() or sys.stderr is None
        self._disable = True if hidden else False if always else None
        self._bar: Any = None

    def start(self, run: Run) -> None:
        """Show the bar."""
        self._bar = tqdm(
            total=run.training.epochs,
            initial=run.epoch,
            disable=self._disable,
            unit="epoch",
            desc="training",
            mininterval=0.5,
            bar_format=_time_left(run),
        )

    def epoch(self, run: Run) -> None:
        """Advance the bar."""
        self._bar.bar_format = _time_left(run)
        seed = int(np.argmax(np.nan_to_num(run.metrics["valid_bound"], nan=-np.inf)))
        value = {name: float(values[seed]) for name, values in run.metrics.items()}
        self._bar.set_postfix_str(
            f"valid bound {value['valid_bound']:.2f} = {value['valid_reconstruction']:.2f} "
            f"- KL(c) {value['valid_kl_c']:.2f} - KL(z) {value['valid_kl_z']:.2f}, "
            f"best at {value['best_epoch']:.0f}"
            + (f", {value['skipped']:.0f} steps skipped" if value["skipped"] else ""),
            refresh=False,
        )
        self._bar.update()

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()


def _time_left(run: Run) -> str | None:
    """The format of a bar whose end early stopping decides; None, for that of tqdm, elsewhere."""
    last, earliest, pace = run.training.epochs, run.earliest_end, run.seconds_per_epoch
    if earliest >= last:
        return None
    left = ""
    if pace is not None and not run.finished:
        least, most = (tqdm.format_interval(pace * (end - run.epoch)) for end in (earliest, last))
        left = f", {pace:.2g}s/epoch, at least {least} and at most {most} left"
    return f"{{desc}}: epoch {{n_fmt}} of at most {last} [{{elapsed}}{left}{{postfix}}]"


class Log(Callback):
    """Appends one line per epoch to the log in the run folder."""

    def epoch(self, run: Run) -> None:
        """Append the line of the epoch."""
        if run.folder is not None:
            run.folder.append(run_folder.LOG, run.lines[-1])


class Checkpoint(Callback):
    """Saves the state and the best parameters in the run folder, now and then and at the end.

    Args:
      every: Seconds between checkpoints.
    """

    def __init__(self, every: float = 60.0) -> None:
        self._every = every
        self._last = time.monotonic()
        self._stack = ExitStack()
        self._steps: checkpoint.Checkpoints | None = None

    def start(self, run: Run) -> None:
        """Open the folder of checkpoints."""
        if run.folder is None:
            raise UserError("Checkpoint needs a run folder; give fit a folder.")
        if processes.first():
            place = run.folder.path / checkpoint.FOLDER
            self._steps = self._stack.enter_context(checkpoint.open_for(place))
        self._last = time.monotonic()

    def epoch(self, run: Run) -> None:
        """Save if it is time to; the last epoch is left to `end`."""
        here = processes.first() and time.monotonic() - self._last >= self._every
        (due,) = processes.largest(here)
        if due and not run.finished and run.stopped is None:
            self._write(run, run.best())
            self._last = time.monotonic()

    def end(self, run: Run) -> None:
        """Save the end."""
        self._write(run, run.final if run.final is not None else run.best())

    def _write(self, run: Run, params: Any) -> None:
        state = run.whole_state()  # by all processes, before the first one writes
        if self._steps is not None:
            self._steps.write(run.epoch, params, state)

    def close(self) -> None:
        """End Orbax's threads."""
        self._stack.close()


class Interrupt(Callback):
    """Makes signals end training after the current epoch; a second signal ends the program at once.

    Handlers are restored when training ends. Outside Python's main thread it does nothing.

    Args:
      signals: The signals to catch.
    """

    def __init__(self, signals: Sequence[signal.Signals] = (signal.SIGINT,)) -> None:
        self._signals = signals
        self._heard = 0
        self._before: dict[int, Any] = {}

    def start(self, run: Run) -> None:
        """Install the handlers."""
        self._heard = 0  # by an earlier training with this callback
        for number in self._signals:
            try:
                self._before[number] = signal.signal(number, self._hear)
            except ValueError:  # not the main thread
                return

    def _hear(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._heard = number
        before = self._before[number]
        signal.signal(number, signal.SIG_DFL if before is None else before)

    def epoch(self, run: Run) -> None:
        """Stop if any process has heard a signal."""
        (heard,) = processes.largest(self._heard)
        if heard:
            run.stop(signal.Signals(heard).name)

    def close(self) -> None:
        """Restore the handlers."""
        for number, before in self._before.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)
        self._before = {}
