"""What report.json holds: everything of the page that needs the model or the data."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jax
import numpy as np

from cpvae_jax import priors
from cpvae_jax.data import Dataset
from cpvae_jax.keys import purpose
from cpvae_jax.report import agreement, profile, use
from cpvae_jax.report.html import codes, gallery
from cpvae_jax.report.html import reference as references
from cpvae_jax.report.html.page import FORMAT
from cpvae_jax.report.html.reference import label_names
from cpvae_jax.types import Params

TELLING, ALL_TELLING = 12, 4000
"""The most columns in the profile of a category, and in those of all together."""

LABELS = 5
"""Labels of a category that are listed."""

BINS = 80
"""Bars of the histogram of one-dimensional data."""

DRAWS, ALL_DRAWS = 5000, 100_000
"""Draws of one-dimensional x from each category, and from all together."""


def of_run(params: Params, data: Dataset, seed: int) -> dict[str, Any]:
    """Samples and neighbours, profiles, labels of the categories and the map of the codes.

    Args:
      params: the best model of the run.
      data: the data set.
      seed: decides the random draws.

    Returns:
      A dictionary that JSON can hold.
    """
    config = params.config
    key = purpose(jax.random.key(seed), "report")
    beside = references.of(params, data)
    content: dict[str, Any] = {
        "format": FORMAT,
        "name": data.name,
        "shape": list(config.shape) if config.columns is None else [len(config.columns)],
        "categories": config.categories,
        "has_categories": not priors.of(config).single and config.categories > 1,
        "inferred": priors.of(config).inferred,
        "shares": np.asarray(params.shares, np.float64).tolist(),
        "prior": use.shares_of_prior(params).tolist(),
        "codes": codes.of_test(params, data),
    }
    if config.size == 1:
        return {**content, "density": _density(params, key, data), **_labels(params, data)}
    if gallery.can_show(config.shape):
        images = gallery.of_images(params, key, data, beside)
        return {**content, "images": images, **_labels(params, data)}
    most = max(1, min(TELLING, ALL_TELLING // config.categories))
    profiles = profile.of_categories(
        profile.table(config, beside.x), beside.categories, config.categories, most
    )
    rows = gallery.of_rows(params, key, beside, profiles)
    return {**content, "profile": profiles, "rows": rows, **_labels(params, data)}


def _labels(params: Params, data: Dataset) -> dict[str, Any]:
    """How many test examples each category has, and its most frequent labels."""
    everything = np.arange(len(data.test))
    of_test = agreement.predicted(params, data.test, everything)
    G = params.config.categories
    found: dict[str, Any] = {"test_counts": np.bincount(of_test, minlength=G).tolist()}
    names = label_names(data, data.test_labels, everything)
    if not any(name is not None for name in names):
        return found
    counts: list[Counter[str]] = [Counter() for _ in range(G)]
    for category, name in zip(of_test, names, strict=True):
        if name is not None:
            counts[category][name] += 1
    listed = [[[name, n] for name, n in one.most_common(LABELS)] for one in counts]
    return {**found, "labels": listed, "labelled": [sum(one.values()) for one in counts]}


def _density(params: Params, key: jax.Array, data: Dataset) -> dict[str, Any]:
    """Histograms of one-dimensional x: the test part, and draws from each category."""
    truth = np.asarray(data.test, np.float64).ravel()
    num = max(1, min(DRAWS, ALL_DRAWS // params.config.categories))
    drawn = np.asarray(gallery.samples(params, key, num, draw=True), np.float64)
    low, high = float(truth.min()), float(truth.max())
    margin = 0.1 * (high - low) or 0.5
    edges = np.linspace(low - margin, high + margin, BINS + 1)
    per_bar = edges[1] - edges[0]

    def density(x: np.ndarray) -> list[float]:
        return [float(f"{n:.4g}") for n in np.histogram(x, edges)[0] / (len(x) * per_bar)]

    return {
        "edges": [float(f"{edge:.6g}") for edge in edges],
        "truth": density(truth),
        "categories": [density(x.ravel()) for x in drawn],
    }
