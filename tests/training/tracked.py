"""Trainings that a tracker keeps, in a process of their own: `python tests/training/tracked.py NAME`.

Trains three times: to the end, until Ctrl-C, and until an error. Prints what the real package has of
each as one line of JSON.
"""

import json
import signal
import sys
import warnings

import jax
import numpy as np

import cpvae_jax
from cpvae_jax import Config, Training
from cpvae_jax.registry import CALLBACKS

CONFIG = Config(shape=(3,), K=2, latent=1, hidden=(4,), binarise="none")
TRAINING = Training(batch_size=10, warmup=1, epochs=3)


def interrupt(run):
    """Sends Ctrl-C after the second epoch."""
    if run.epoch == 2:
        signal.raise_signal(signal.SIGINT)


def fail(run):
    """Fails after the second epoch, before the tracker is called."""
    if run.epoch == 2:
        raise ZeroDivisionError


def trained(tracker, *others):
    """Trains two seeds; returns the history, or nothing after an error."""
    x = np.random.default_rng(0).random((30, 3)).astype(np.float32)
    keys = jax.random.split(jax.random.key(0), 2)
    try:
        result = cpvae_jax.fit(keys, CONFIG, x, x, recipe=TRAINING, callbacks=[*others, tracker])
    except ZeroDivisionError:
        return []
    return [{name: float(value) for name, value in row.items()} for row in result.history]


def kept_by_mlflow(tracker):
    """What MLflow has of the last run."""
    import mlflow

    run = mlflow.last_active_run()
    client = mlflow.MlflowClient()
    series = {
        name: [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, name)]
        for name in ("valid_bound/0", "valid_bound/1", "train_kl_c/1")
    }
    return {"status": run.info.status, "settings": run.data.params, "metrics": series}


def kept_by_wandb(tracker):
    """What wandb has of the last run, asked before it ended: its summary holds the last epoch."""
    run, summary = tracker._run, tracker.summary
    metrics = {"valid_bound/1": [(summary["epoch/1"], summary["valid_bound/1"])]}
    return {"status": run._exit_code, "settings": dict(run.config), "metrics": metrics}


def asked(tracker):
    """A tracker that keeps the summary of wandb's run, which is gone once the run has ended."""
    finish = tracker.finish

    def ask(status):
        tracker.summary = dict(tracker._run.summary) if sys.argv[1] == "wandb" else {}
        finish(status)

    tracker.finish = ask
    return tracker


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    tracker = asked(CALLBACKS[sys.argv[1]]())
    for others in ((), (interrupt,), (fail,)):
        history = trained(tracker, *others)
        kept = {"mlflow": kept_by_mlflow, "wandb": kept_by_wandb}[sys.argv[1]](tracker)
        print("KEPT", json.dumps({"history": history, **kept}, default=str))
