"""What to say about a training that went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cpvae_jax.config import Training
from cpvae_jax.errors import UserError
from cpvae_jax.training.step import SKIPS, TrainState

TERMS = {"reconstruction": "the reconstruction", "kl_c": "KL(c)", "kl_z": "KL(z)"}
"""What messages call the terms of the loss; other terms go by their own name."""


def raise_if_diverged(
    state: TrainState,
    history: Sequence[Mapping[str, Any]],
    training: Training,
    data: np.ndarray,
    path: Path,
) -> None:
    """Raises an error with a diagnosis if steps with non-finite numbers ended every seed.

    Args:
      state: the state after training, with a leading axis R.
      history: the metrics of each epoch, as the log has them.
      training: the settings.
      data: training examples.
      path: the folder of the run, which keeps the best parameters.

    Raises:
      UserError: every seed diverged. The message names the terms that were not finite.
    """
    if not np.all(np.asarray(state.skips) >= SKIPS):
        return
    seed = int(np.argmax(np.asarray(state.best_bound)))
    last = history[-1] if history else {}  # someone may have deleted the log
    count = {name: int(np.ravel(last[name])[seed]) for name in last if name.startswith("skipped")}
    skipped = count.get("skipped", SKIPS)
    blame = {name.removeprefix("skipped_"): n for name, n in count.items() if name != "skipped"}
    terms = ", ".join(f"{TERMS.get(name, name)} in {n}" for name, n in blame.items() if n)
    values = np.asarray(data, np.float64)  # squares of float32 may overflow
    low, high, spread = (float(f(values)) for f in (np.min, np.max, np.std))
    best = int(state.best_epoch[seed])
    kept = f"best parameters, of epoch {best}," if best else "initial parameters"
    raise UserError(
        f"training diverged: {SKIPS} steps in a row of epoch {int(state.epoch[0])} were not finite "
        f"and skipped (of {skipped} in that epoch: {terms or 'only the gradient'}). Try a learning "
        f"rate smaller than {training.learning_rate:g} (--learning-rate), or look for outliers: the "
        f"data range from {low:g} to {high:g} with a standard deviation of {spread:g}. The {kept} "
        f"are kept in {path}."
    )


def came_apart(history: Sequence[Mapping[str, Any]], seed: int) -> str | None:
    """A sentence if training fell far below its best while its numbers stayed finite.

    The training data's own bound must have lost more than 2% and half a nat since the best
    epoch, which no overfitting does. Epochs of the warm-up do not count, for they optimise
    something else.

    Args:
      history: the metrics of each epoch.
      seed: the place of the seed in them.

    Returns:
      The sentence, or None.
    """
    warm = [line for line in history if np.all(np.greater_equal(line["beta"], 1))]
    bounds = {line["epoch"]: float(np.atleast_1d(line["train_bound"])[seed]) for line in warm}
    best = int(np.atleast_1d(history[-1]["best_epoch"])[seed]) if history else 0
    if best not in bounds:
        return None
    last, top = bounds[history[-1]["epoch"]], bounds[best]
    if top - last <= 0.5 + 0.02 * abs(top):
        return None
    return (
        f"training came apart after epoch {best}: the bound of the training data fell from "
        f"{top:.2f} to {last:.2f} nats. The best parameters are kept; a smaller --learning-rate "
        "may do better."
    )


def skips(history: Sequence[Mapping[str, Any]]) -> str | None:
    """A sentence on the steps that were skipped; None if there were none."""
    epochs = [line["epoch"] for line in history if np.any(line.get("skipped", 0))]
    if not epochs:
        return None
    total = int(sum(np.sum(line.get("skipped", 0)) for line in history))
    return f"{total} steps with non-finite numbers were skipped, first in epoch {epochs[0]}."
