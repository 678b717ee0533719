"""What to tell of a training that came apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cpvae_jax import Training, UserError, train

TERMS = {"reconstruction": "the reconstruction", "kl_c": "KL(c)", "kl_z": "KL(z)"}


def raise_if_diverged(
    state: train.TrainState,
    history: Sequence[Mapping[str, Any]],
    training: Training,
    data: np.ndarray,
    path: Path,
) -> None:
    """Raise `UserError` with a diagnosis if steps without finite numbers have ended every seed.

    `history` are the metrics of each epoch, `data` the training examples, `path` the run.
    """
    if not np.all(np.asarray(state.skips) >= train.SKIPS):
        return
    seed = train.best_seed(state)
    last = history[-1] if history else {}  # a log may have been deleted by hand
    count = {name: int(np.ravel(last[name])[seed]) for name in last if name.startswith("skipped")}
    skipped = count.get("skipped", train.SKIPS)
    blame = {text: count.get(f"skipped_{name}", 0) for name, text in TERMS.items()}
    terms = ", ".join(f"{text} in {count}" for text, count in blame.items() if count)
    low, high, spread = (float(f(data)) for f in (np.min, np.max, np.std))
    best = int(state.best_epoch[seed])
    kept = (
        f"The best parameters, of epoch {best}, are" if best else "The parameters of the start are"
    )
    raise UserError(
        f"training diverged: {train.SKIPS} steps in a row of epoch {int(state.epoch[0])} were not "
        f"finite and skipped (of {skipped} in that epoch: {terms or 'the gradient alone'}). Try a "
        f"smaller --learning-rate than {training.learning_rate:g}, or look for outliers: the data "
        f"range from {low:g} to {high:g} with a standard deviation of {spread:g}. {kept} kept in "
        f"{path}."
    )


def came_apart(history: Sequence[Mapping[str, Any]], seed: int) -> str | None:
    """A sentence if training fell far below what it had reached, with finite numbers; else None.

    More than 2% and half a nat of the training data's own bound, since the best epoch: no
    overfitting does that. In the warm-up, which trains for something else, it means nothing.
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
        "may go further."
    )


def skips(history: Sequence[Mapping[str, Any]]) -> str | None:
    """A sentence on steps that were skipped; None if there were none."""
    epochs = [line["epoch"] for line in history if np.any(line.get("skipped", 0))]
    if not epochs:
        return None
    total = int(sum(np.sum(line.get("skipped", 0)) for line in history))
    return f"{total} steps without finite numbers were skipped, first in epoch {epochs[0]}."
