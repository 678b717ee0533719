"""Samples of each category, and beside each sample the nearest training example."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from cpvae_jax import api, priors
from cpvae_jax.data import Dataset
from cpvae_jax.report import profile, units
from cpvae_jax.report.drawing import is_image
from cpvae_jax.report.html import pixels
from cpvae_jax.report.html.reference import Reference, inputs, nearest
from cpvae_jax.types import Params

ACROSS = 6
"""Samples side by side."""

ROWS, ALL_ROWS = 6, 1500
"""The most rows of a table per category, and of all categories together."""

COLUMNS = 8
"""Columns of a row that are shown; those that tell the category from the rest come first."""


def of_images(params: Params, key: jax.Array, data: Dataset, beside: Reference) -> list[Any]:
    """Per category, samples and their neighbours as one PNG each.

    Args:
      params: the model.
      key: a random key.
      data: says what black and white are.
      beside: the training examples to look for neighbours in.

    Returns:
      Per category, "samples", "nearest" and "first" (the first sample alone) as data URIs, the
      number of images "across" and "down", and "rows" and "labels" of the neighbours.
    """
    config = params.config
    num, size = pixels.plan(config.shape, config.categories)
    drawn = samples(params, key, num, draw=False)
    flat = drawn.reshape(-1, *config.shape)
    places = nearest(inputs(params, flat), beside.inputs).reshape(-1, num)
    low, high = units.value_range(config, data.test)
    real = units.in_unit(config, beside.x)
    across = min(ACROSS, num)
    full = num - num % across

    def picture(images: np.ndarray) -> str:
        grey = np.clip((images - low) / max(high - low, 1e-12), 0, 1)
        return pixels.grid(grey, size, across)

    found = []
    for own, near in zip(drawn, places, strict=True):
        own, near = own[:full], near[:full]
        found.append(
            {
                "samples": picture(own),
                "nearest": picture(real[near]),
                "first": picture(own[:1]),
                "across": across,
                "down": full // across,
                **_who(beside, near),
            }
        )
    return found


def of_rows(
    params: Params, key: jax.Array, beside: Reference, profiles: list[list[dict[str, Any]]]
) -> list[Any]:
    """Per category, rows drawn from it and their neighbours.

    Args:
      params: the model.
      key: a random key.
      beside: the training examples to look for neighbours in.
      profiles: what `profile.of_categories` returns; its order decides which columns are shown.

    Returns:
      Per category, "columns" (names), "samples" and "nearest" (entries as text), and "rows" and
      "labels" of the neighbours.
    """
    config = params.config
    num = max(1, min(ROWS, ALL_ROWS // config.categories))
    drawn = samples(params, key, num, draw=True)
    flat = drawn.reshape(-1, *config.shape)
    places = nearest(inputs(params, flat), beside.inputs)
    tables = profile.table(config, flat), profile.table(config, beside.x[places])
    found = []
    for k, telling in enumerate(profiles):
        shown = [record["column"] for record in telling][:COLUMNS] or list(tables[0])[:COLUMNS]
        here = slice(k * num, (k + 1) * num)
        entries = [
            [[profile.text(value) for value in row] for row in zip(*columns, strict=True)]
            for columns in ([table[name][here] for name in shown] for table in tables)
        ]
        found.append(
            {
                "columns": shown,
                "samples": entries[0],
                "nearest": entries[1],
                **_who(beside, places[here]),
            }
        )
    return found


def samples(params: Params, key: jax.Array, num: int, *, draw: bool) -> np.ndarray:
    """As many samples of each category, [G, num, *shape]; G is 1 for a model without categories."""
    config = params.config
    single = priors.of(config).single
    G = 1 if single else config.categories
    category = None if single else np.repeat(np.arange(G), num)
    x = api.sample(params, key, category=category, num=G * num, draw=draw)
    return np.asarray(x).reshape(G, num, *config.shape)


def can_show(shape: tuple[int, ...]) -> bool:
    """Whether examples are shown as images rather than as rows of a table."""
    return is_image(shape) and min(shape[:2]) > 1


def _who(beside: Reference, near: np.ndarray) -> dict[str, Any]:
    """The row numbers and labels of neighbours."""
    return {"rows": beside.rows[near].tolist(), "labels": [beside.labels[at] for at in near]}
