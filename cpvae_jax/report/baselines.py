"""k-means and a Gaussian mixture on the same rows: what a model's categories have to beat.

Both are scikit-learn's, fitted to training rows as the encoder sees them, without labels, and scored
on the same test rows by the same protocols. The work is bounded: large data are sampled.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from cpvae_jax import likelihoods, priors
from cpvae_jax.config import Training
from cpvae_jax.data import Dataset
from cpvae_jax.data.rows import Rows
from cpvae_jax.errors import first_line
from cpvae_jax.evaluation import classical, means
from cpvae_jax.evaluation.classical import Fitted
from cpvae_jax.likelihoods import gaussian
from cpvae_jax.report import agreement, units
from cpvae_jax.report.agreement import Agreement
from cpvae_jax.types import Params

KMEANS, MIXTURE = "kmeans", "mixture"
"""The baselines, under the names that `Training.start` has for them."""

NAMES = {KMEANS: "k-means", MIXTURE: "Gaussian mixture"}

FITS = {KMEANS: classical.kmeans, MIXTURE: classical.mixture}

MOST_ROWS = {KMEANS: 20_000, MIXTURE: 10_000}
"""The most training rows to fit, so that MNIST takes seconds."""

MOST_NUMBERS = 2**25
"""The most numbers to fit, 128 MiB of float32: fewer rows of images with more than 3,355 numbers."""

BLOCK = 10_000
"""Rows that are scored at once."""

ERRORS = 2.0
"""Standard errors of the paired difference from which a baseline is called better."""


def of_data(params: Params, data: Dataset) -> dict[str, Agreement]:
    """Fits the baselines to the training part and scores them on the test part.

    Args:
      params: a trained model of the data; it gives the number of categories and the unit.
      data: the data set.

    Returns:
      By baseline, the scores and which labelled test examples are correct. The scores are those of
      `agreement.with_labels`, "rows" and "columns" (what was fitted; fewer columns than the data have
      are principal components), "restarts" and "seconds"; or "left_out", the reason why there are
      none. The mixture has "log_density" too, the mean log p(x) of a test row and its standard error,
      where it can be compared with the bound: in nats, per unit of the data. Where values repeat,
      as whole numbers do, nothing but `classical.REGULARISATION` limits it. Empty for a model with
      one category, or if there is nothing to score.
    """
    config = params.config
    if priors.of(config).single or config.categories < 2:
        return {}
    log_scale = _log_scale(params)
    wanted = [KMEANS] * (data.test_labels is not None)
    if data.test_labels is not None or log_scale is not None:
        wanted.append(MIXTURE)
    with warnings.catch_warnings():
        # Such as a mixture that has not converged: as a baseline it is good enough.
        warnings.simplefilter("ignore")
        return {name: _scored(name, params, data, log_scale) for name in wanted}


def _scored(name: str, params: Params, data: Dataset, log_scale: float | None) -> Agreement:
    """One baseline, fitted and scored."""
    began = time.monotonic()
    nothing = np.zeros(0, bool)
    K, num = params.config.categories, len(data.train)
    if num < K:
        return Agreement({"left_out": f"{num} training rows are fewer than K = {K}"}, nothing)
    try:
        fitted = FITS[name](_training_rows(name, params, data), K)
    except ValueError as error:  # values so far apart that float64 loses a covariance
        return Agreement({"left_out": f"it cannot be fitted: {first_line(error)}"}, nothing)
    found = Agreement({}, nothing)
    if data.test_labels is not None:
        found = agreement.with_labels(partial(_clusters, params, fitted), data, classical.SEED)
    scores = {**found.scores, **fitted.how}
    if fitted.log_prob is not None and log_scale is not None:
        blocks = _blocks(params, data.test, np.arange(len(data.test)))
        density = np.concatenate([fitted.log_prob(block) for block in blocks])
        scores["log_density"] = means.mean_and_error(density - log_scale)
    return Agreement({**scores, "seconds": time.monotonic() - began}, found.correct)


def _training_rows(name: str, params: Params, data: Dataset) -> np.ndarray:
    """Random training rows in order, [n, X], as many as the baseline may have."""
    config, num = params.config, len(data.train)
    most = min(MOST_ROWS[name], max(MOST_NUMBERS // config.size, 10 * config.categories))
    chosen = np.arange(num)
    if num > most:
        chosen = np.sort(np.random.default_rng(classical.SEED).choice(num, most, replace=False))
    return np.concatenate(list(_blocks(params, data.train, chosen)))


def _blocks(params: Params, x: np.ndarray | Rows, chosen: np.ndarray) -> Iterator[np.ndarray]:
    """Chosen rows as the encoder sees them, [n, X] each."""
    for start in range(0, len(chosen), BLOCK):
        yield units.inputs(params, x[chosen[start : start + BLOCK]])


def _clusters(
    params: Params, fitted: Fitted, x: np.ndarray | Rows, chosen: np.ndarray
) -> np.ndarray:
    """The cluster of chosen examples, [M]."""
    return np.concatenate([fitted.cluster(block) for block in _blocks(params, x, chosen)])


def _log_scale(params: Params) -> float | None:
    """What the log-density of standardised rows exceeds that of rows in the user's unit by, in nats.

    None where the likelihood is not one of real numbers, standardised as `gaussian` does: the bound is
    then no log-density, or one of another unit.
    """
    if likelihoods.of(params.config).prepare is not gaussian.prepare:
        return None
    return float(np.sum(np.log(np.asarray(params.likelihood.stats["scale"], np.float64))))


def beside(baselines: Mapping[str, Agreement], correct: np.ndarray) -> dict[str, Any]:
    """The scores of the baselines, and how far each is ahead of a model.

    Args:
      baselines: what `of_data` returns.
      correct: which labelled test examples the model gets right, [M].

    Returns:
      By baseline, its scores and "ahead": its Hungarian accuracy less the model's, with the standard
      error of the paired difference. An example that both get right, or both wrong, tells nothing
      about which is better, as in McNemar's test; each keeps its own matching.
    """
    found = {}
    for name, one in baselines.items():
        ahead = {}
        if len(one.correct):
            difference = one.correct.astype(np.float64) - correct
            ahead = {"ahead": means.mean_and_error(difference)}
        found[name] = {**one.scores, **ahead}
    return found


def summary(found: Mapping[str, Any]) -> str:
    """The baselines as a line to print; "" if they have no scores."""
    scores = [
        f"{NAMES[name]} {one['accuracy_hungarian']:.3f}"
        for name, one in found.items()
        if "accuracy_hungarian" in one
    ]
    parts = [f"{', '.join(scores)} (Hungarian)"] if scores else []
    density = found.get(MIXTURE, {}).get("log_density")
    if density is not None:
        value = f"{density['mean']:.2f} ± {density['standard_error']:.2f}"
        parts.append(f"log-density of the Gaussian mixture {value} nats")
    return f"on the same rows: {'; '.join(parts)}" if parts else ""


def doubts(scores: Mapping[str, Any], training: Training = Training()) -> list[str]:  # noqa: B008 - immutable
    """A sentence if a baseline is better than the model by more than two standard errors.

    Args:
      scores: of the model, with "clustering" and "baselines", if it has them.
      training: how it was trained; the sentence advises nothing that was done already.
    """
    found = scores.get("baselines", {})
    better = [
        name
        for name, one in found.items()
        if "ahead" in one and one["ahead"]["mean"] > ERRORS * one["ahead"]["standard_error"]
    ]
    if not better:
        return []
    best = max(better, key=lambda name: found[name]["accuracy_hungarian"])
    ours = scores["clustering"]["accuracy_hungarian"]
    remedies = ["more --epochs", "several --seeds"]
    if not training.regularisers:
        remedies.insert(0, "--recipe modes")
    if training.start != best:
        remedies.append(f"start from its partition with --start {best}")
    return [
        f"{'a ' * (best == MIXTURE)}{NAMES[best]} agrees better with the labels of the same rows: its accuracy is "
        f"{found[best]['accuracy_hungarian']:.3f} against {ours:.3f} (Hungarian). Try "
        f"{', '.join(remedies[:-1])} or {remedies[-1]}."
    ]
