"""TensorBoard, by the package tensorboardX."""

from __future__ import annotations

from typing import Any

from cpvae_jax import processes
from cpvae_jax.errors import UserError
from cpvae_jax.training.callbacks import Callback
from cpvae_jax.training.run import Run
from cpvae_jax.training.trackers import record


class TensorBoard(Callback):
    """Writes every metric for TensorBoard into the run folder; needs the package tensorboardX."""

    def __init__(self) -> None:
        self._writer: Any = None

    def start(self, run: Run) -> None:
        """Open the log."""
        module = record.imported("tensorboardX", "tensorboardX", "tensorboard", "TensorBoard")
        if run.folder is None:
            raise UserError("TensorBoard needs a run folder; give fit a folder.")
        if processes.first():
            with run.folder.writing():
                place = str(run.folder.path / "tensorboard")
                self._writer = module.SummaryWriter(place, purge_step=run.epoch + 1)

    def epoch(self, run: Run) -> None:
        """Write the metrics of the epoch."""
        if self._writer is not None:
            for name, value in record.metrics(run).items():
                self._writer.add_scalar(name, value, run.epoch)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()
