"""What a run shows while it trains, and how it is asked to stop."""

from __future__ import annotations

import logging
import signal
import sys
import time
import warnings
from types import FrameType
from typing import Any

import numpy as np
from tqdm import tqdm

from cpvae_jax import UserError
from experiments.folder import LOG, RunFolder


class Log:
    """Tells of every epoch: on the screen, in the run's log, and to TensorBoard if asked."""

    def __init__(
        self, folder: RunFolder, total: int, done: int, *, quiet: bool, board: bool
    ) -> None:
        self._folder = folder
        self._board = _tensorboard(folder, done) if board else None
        # The time left is that to the most epochs: when early stopping comes, nobody knows.
        self._bar = tqdm(
            total=total, initial=done, disable=quiet, unit="epoch", desc="training", mininterval=0.5
        )
        self._began = time.monotonic()

    def epoch(self, metrics: dict[str, np.ndarray]) -> None:
        """Tell of an epoch; metrics are [R], and lists in the log where there are several."""
        now = time.monotonic()
        line = {"epoch": int(metrics["epoch"][0]), "seconds": now - self._began}
        self._began = now
        for name, values in metrics.items():
            if name != "epoch":
                line[name] = values.tolist() if len(values) > 1 else values[0].item()
        self._folder.append(LOG, line)
        self._show(metrics)
        if self._board is not None:
            for name, values in metrics.items():
                for seed, value in enumerate(values):
                    tag = f"{name}/{seed}" if len(values) > 1 else name
                    self._board.add_scalar(tag, float(value), line["epoch"])

    def _show(self, metrics: dict[str, np.ndarray]) -> None:
        """Move the bar on, with the terms of the best seed."""
        seed = int(np.argmax(np.nan_to_num(metrics["valid_bound"], nan=-np.inf)))
        value = {name: float(values[seed]) for name, values in metrics.items()}
        self._bar.set_postfix_str(
            f"valid bound {value['valid_bound']:.2f} = {value['valid_reconstruction']:.2f} "
            f"- KL(c) {value['valid_kl_c']:.2f} - KL(z) {value['valid_kl_z']:.2f}, "
            f"best at {value['best_epoch']:.0f}"
            + (f", {value['skipped']:.0f} steps skipped" if value["skipped"] else ""),
            refresh=False,
        )
        self._bar.update()

    def close(self) -> None:
        """Leave the bar as it stands, and finish TensorBoard's file."""
        self._bar.close()
        if self._board is not None:
            self._board.close()


def silence_late_errors() -> None:
    """Keep Orbax's threads from telling, after a failed write was told, that nobody waits for them.

    For a program's own process, till its end.
    """
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    before = sys.unraisablehook

    def tell(unraisable: Any) -> None:
        if "Event loop is closed" not in str(unraisable.exc_value):
            before(unraisable)

    sys.unraisablehook = tell


def _tensorboard(folder: RunFolder, done: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise UserError(
            "--tensorboard needs the package tensorboardX; install it with "
            "pip install 'cpvae-jax[tensorboard]'."
        ) from error
    with folder.writing():
        return SummaryWriter(str(folder.path / "tensorboard"), purge_step=done + 1)


class Interrupt:
    """Ctrl-C and SIGTERM ask for a stop at the end of the epoch; a second one ends at once."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.signal = signal.Signals(number)
        signal.signal(number, signal.SIG_DFL)

    @property
    def exit_code(self) -> int:
        """As shells count a program that a signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.signal if self.signal is not None else 0

    @property
    def name(self) -> str:
        """SIGINT or SIGTERM; empty if none has come."""
        return self.signal.name if self.signal is not None else ""
