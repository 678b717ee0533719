"""MLflow, by the package mlflow-skinny or mlflow."""

from __future__ import annotations

from typing import Any

from cpvae_jax.training.run import Run
from cpvae_jax.training.trackers import record


class MLflow(record.Tracker):
    """Writes the settings and every metric to MLflow; needs the package mlflow-skinny or mlflow.

    MLflow's own variables say where and under what name: MLFLOW_TRACKING_URI,
    MLFLOW_EXPERIMENT_NAME, MLFLOW_RUN_NAME, and MLFLOW_RUN_ID to go on with a run. Inside a run that
    is active already, it makes a nested one. The run ends as finished, failed or killed.
    """

    name, module, package, extra = "MLflow", "mlflow", "mlflow-skinny", "mlflow"
    settings = "MLFLOW_TRACKING_URI"
    _mlflow: Any = None

    def begin(self, module: Any, run: Run) -> None:
        """Begin a run with the settings as parameters."""
        self._mlflow = module
        module.start_run(nested=module.active_run() is not None)
        try:
            module.log_params({name: str(value) for name, value in record.settings(run).items()})
        except Exception:
            self.finish(record.FAILED)
            raise

    def write(self, metrics: dict[str, float], epoch: int) -> None:
        """Write the metrics of an epoch."""
        self._mlflow.log_metrics(metrics, step=epoch)

    def finish(self, status: str) -> None:
        """End the run."""
        self._mlflow.end_run(status)
