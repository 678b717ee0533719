"""Weights & Biases, by the package wandb."""

from __future__ import annotations

import os
from typing import Any

from cpvae_jax.training.run import Run
from cpvae_jax.training.trackers import record

EXIT_CODES = {record.FINISHED: 0, record.FAILED: 1, record.KILLED: 255}
"""What wandb takes for the end of a run; 255 is what it notes itself after Ctrl-C."""


class WeightsAndBiases(record.Tracker):
    """Writes the settings and every metric to Weights & Biases; needs the package wandb.

    Its own variables say where and how: WANDB_MODE, WANDB_PROJECT, WANDB_NAME, WANDB_RUN_ID and
    others. Its files go to the run folder if there is one and WANDB_DIR is not set.
    """

    name, module, package, extra = "Weights & Biases", "wandb", "wandb", "wandb"
    settings = "WANDB_MODE"
    _run: Any = None

    def begin(self, module: Any, run: Run) -> None:
        """Begin a run with the settings as its configuration."""
        own = None if run.folder is None or "WANDB_DIR" in os.environ else run.folder.path
        self._run = module.init(config=record.settings(run), dir=own)

    def write(self, metrics: dict[str, float], epoch: int) -> None:
        """Write the metrics of an epoch."""
        self._run.log(metrics, step=epoch, commit=True)  # else it waits for the next epoch

    def finish(self, status: str) -> None:
        """End the run."""
        self._run.finish(exit_code=EXIT_CODES[status])
