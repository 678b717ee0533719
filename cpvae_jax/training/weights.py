"""Weights of training examples: each epoch draws rows as often as they weigh.

Every row comes w_i N / Σ w times, rounded up or down at random, so every loss and regulariser has the
expectation that weights ask for. This is systematic resampling (Kitagawa, 1996).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax.data.conversion import as_numbers
from cpvae_jax.data.rows import Rows
from cpvae_jax.errors import UserError

LAST = np.nextafter(np.float32(1), np.float32(0))
"""The largest point, below the share of the last row that weighs anything."""


def checked(given: Any, train: np.ndarray | Rows) -> np.ndarray | None:
    """Weights of all training examples in float64, [N]; None stays None, and so do equal weights.

    Raises:
      UserError: There is not one weight from 0 per example, all are 0, or the examples stay on disk.
    """
    if given is None:
        return None
    found = as_numbers(given, "sample_weight").astype(np.float64)
    if found.shape != (len(train),):
        raise UserError(
            f"sample_weight has the shape {found.shape}, but train has {len(train)} examples; give one weight for "
            "each."
        )
    bad = np.flatnonzero(~(np.isfinite(found) & (found >= 0)))
    if bad.size:
        raise UserError(
            f"sample_weight holds {found[bad[0]]:g} at example {bad[0]} (counting from 0); give finite numbers from 0."
        )
    if not found.any():
        raise UserError(
            "sample_weight is zero for all examples; give at least one a positive weight."
        )
    if np.all(found == found[0]):
        return None
    if isinstance(train, Rows):
        raise UserError(
            "sample_weight needs the training data in memory, but they stay on disk; load them as an array, or "
            "repeat rows in place of weights."
        )
    return found


def cumulative(weights: np.ndarray) -> jax.Array:
    """Shares of the total up to and with each row, [N], the last one 1."""
    total = np.cumsum(weights)
    return jnp.asarray(total / total[-1], jnp.float32)


def drawn(offset: jax.Array | float, shares: jax.Array) -> jax.Array:
    """N rows by `cumulative` shares, in order.

    Args:
      offset: From 0 to 1; drawn uniformly, each row comes as often as it weighs on average.
      shares: What `cumulative` returns, [N].

    >>> drawn(0.5, cumulative(np.array([1.0, 0.0, 3.0, 0.0]))).tolist()
    [0, 2, 2, 2]
    """
    count = len(shares)
    points = (jnp.arange(count, dtype=jnp.float32) + offset) / count
    points = jnp.minimum(points, LAST)
    # From the right: a row without weight has the share of the one before it, and is never first above.
    return jnp.searchsorted(shares, points, side="right").astype(jnp.int32)


def repeated(x: Any, weights: np.ndarray | None) -> Any:
    """As many rows of x [N, ...], each as often as it weighs; x itself without weights."""
    return x if weights is None else x[np.asarray(drawn(0.5, cumulative(weights)))]
