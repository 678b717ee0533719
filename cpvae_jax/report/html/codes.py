"""A map of the codes: test examples at the means of their posteriors, in two dimensions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from cpvae_jax import api
from cpvae_jax.data import Dataset
from cpvae_jax.report.html.reference import label_names, spaced
from cpvae_jax.types import Params

POINTS = 2000
"""The most examples on the map: as many as a browser moves without delay."""

NUMBERS = 2**24
"""The most numbers of q(z|x, c) in memory at once, over all c: 64 MiB."""

HEIGHT = 0.4
"""Codes of one dimension lie on a line; points are raised at random by up to this, so as to be seen."""


def of_test(params: Params, data: Dataset) -> dict[str, Any]:
    """The map of at most 2,000 evenly spaced test examples.

    A point is the mean of q(z|x, c) at the most probable component c of the most probable category.
    Codes of more than two dimensions are projected on their first two principal components. Codes of
    one dimension have the probability of the category as second axis, or a random height if there is
    a single category.

    Returns:
      Per point "x", "y", "category", "probability", "row" (in the test part) and "label" (a name or
      None); and "axes", two titles.
    """
    rows = spaced(len(data.test), POINTS)
    category, probability, mean = _encoded(params, np.asarray(data.test)[rows])
    x, y, axes = _flat(mean, probability, single=params.config.categories == 1)
    return {
        "x": _rounded(x),
        "y": _rounded(y),
        "category": category.tolist(),
        "probability": _rounded(probability),
        "row": rows.tolist(),
        "label": label_names(data, data.test_labels, rows),
        "axes": axes,
    }


def _encoded(params: Params, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The category [N], its probability [N], and the mean of the code [N, D]."""
    config = params.config
    size = max(1, min(len(x), NUMBERS // (config.K * config.latent)))
    groups = np.arange(config.K) if config.groups is None else np.asarray(config.groups)
    parts = []
    with warnings.catch_warnings():
        # `evaluate` has compared the whole test part with the training data.
        warnings.filterwarnings("ignore", ".* another unit", UserWarning)
        for start in range(0, len(x), size):
            at = np.arange(start, start + size) % len(x)  # the last one is filled up
            found = api.encode(params, x[at])
            probs = np.asarray(params.by_category(found.probs))
            category = probs.argmax(axis=1)
            own = np.where(groups == category[:, None], np.asarray(found.logits), -np.inf)
            mean = np.asarray(found.mean)[np.arange(size), own.argmax(axis=1)]
            parts.append((category, probs.max(axis=1), mean))
    category, probability, mean = (
        np.concatenate(part)[: len(x)] for part in zip(*parts, strict=True)
    )
    return category, probability, mean


def _flat(
    mean: np.ndarray, probability: np.ndarray, *, single: bool
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Codes [N, D] in two dimensions, and the titles of the axes."""
    if mean.shape[1] == 2:
        return mean[:, 0], mean[:, 1], ["first dimension of z", "second dimension of z"]
    if mean.shape[1] == 1 and single:
        height = np.random.default_rng(0).uniform(-HEIGHT, HEIGHT, len(mean))
        return mean[:, 0], height, ["z", "random height"]
    if mean.shape[1] == 1:
        return mean[:, 0], probability, ["z", "probability of the category"]
    centred = np.float64(mean) - mean.mean(axis=0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    shares = 100 * scale**2 / max(float(np.sum(scale**2)), 1e-300)
    scale = np.append(scale, 0.0)  # a single example has one component
    left = np.pad(left, ((0, 0), (0, 1)))
    shares = np.append(shares, 0.0)
    titles = [f"principal component {i + 1} ({shares[i]:.0f}% of the variance)" for i in (0, 1)]
    return left[:, 0] * scale[0], left[:, 1] * scale[1], titles


def _rounded(values: np.ndarray) -> list[float]:
    """Numbers with four digits, which a screen cannot tell from the exact ones."""
    return [float(f"{value:.4g}") for value in values]
