"""Levels in order, by cuts of a line: P(x ≤ l) = sigmoid(cut_l − o).

Source: McCullagh, "Regression models for ordinal data", JRSS B, 1980 (proportional odds).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import columns as kinds
from cpvae_jax.columns import Columns
from cpvae_jax.likelihoods.mixed_unit import Layout
from cpvae_jax.types import Tree

NARROWEST = 1e-3
"""The least distance of two cuts, so that every level has a probability."""

FAR = 1e4
"""Stands for an infinite cut: sigmoid(±FAR) is 1 or 0 in float32, and its logarithm is finite."""


def init(columns: Columns, found: Layout, data: np.ndarray | None) -> Tree:
    """Cuts at the logits of the levels' cumulative frequencies in coded rows; equal levels without data.

    Returns:
      "first" [n], the lowest cut, and "gaps" [n, L - 2], the inverse softplus of the distances.
    """
    numbers = found.columns[kinds.ORDINAL]
    most = max(2, *(len(columns[i].levels) for i in numbers))
    cuts = np.zeros((len(numbers), most - 1))
    for row, (i, place) in enumerate(zip(numbers, found.values[kinds.ORDINAL], strict=True)):
        levels = len(columns[i].levels)
        counts = np.full(levels, 0.5)
        if data is not None:
            known = data[data[:, found.width + i] <= 0.5, place].astype(int)
            counts += np.bincount(known, minlength=levels)
        below = np.cumsum(counts)[:-1] / counts.sum()
        cuts[row, : levels - 1] = np.log(below / (1 - below))
        cuts[row, levels - 1 :] = cuts[row, max(levels - 2, 0)] + np.arange(
            1, most - max(levels, 1) + 1
        )
    gaps = np.maximum(np.diff(cuts, axis=1) - NARROWEST, NARROWEST)
    return {
        "first": jnp.asarray(cuts[:, 0], jnp.float32),
        "gaps": jnp.asarray(np.log(np.expm1(gaps)), jnp.float32),
    }


def log_probs(columns: Columns, found: Layout, cuts: Tree, o: jax.Array) -> jax.Array:
    """log P of each level, [..., n] to [..., n, L]; -inf where a column has fewer.

    sigmoid(a) − sigmoid(b) = sigmoid(a) sigmoid(−b) (1 − exp(b − a)) loses no digits.
    """
    steps = jnp.cumsum(jax.nn.softplus(cuts["gaps"]) + NARROWEST, axis=-1)
    first = cuts["first"][:, None]
    inner = jnp.concatenate([first, first + steps], axis=-1)
    levels = np.array([len(columns[i].levels) for i in found.columns[kinds.ORDINAL]])[:, None]
    place = np.arange(inner.shape[-1])
    inner = jnp.where(place < levels - 1, inner, FAR)
    edge = jnp.full((len(inner), 1), FAR)
    high = jnp.concatenate([inner, edge], axis=-1)
    low = jnp.concatenate([-edge, inner], axis=-1)
    within = np.arange(high.shape[-1]) < levels
    between = jnp.where(within, high - low, 1.0)
    log_p = jax.nn.log_sigmoid(high - o[..., None]) + jax.nn.log_sigmoid(o[..., None] - low)
    return jnp.where(within, log_p + jnp.log(-jnp.expm1(-between)), -jnp.inf)
