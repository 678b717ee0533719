"""Noisy views: Gaussian noise on every number of x; for any data."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import likelihoods
from cpvae_jax.config import Training
from cpvae_jax.data.rows import Rows
from cpvae_jax.objectives.base import Source
from cpvae_jax.objectives.views.base import View, measured
from cpvae_jax.types import Params, Tree

SAMPLE = 10_000
"""Examples whose standard deviation is measured, evenly spaced."""


def apply(
    params: Params, key: jax.Array, x: jax.Array, probs: jax.Array, source: Source | None
) -> jax.Array:
    """x plus noise of the scale that `measure` found, within the limits of the likelihood.

    Black and white pixels become shades of grey: white stays within 0..1 by losing the half of
    the noise that would exceed it, and so does black.
    """
    del probs
    scale = measured("noise", source)["scale"]
    low, high = likelihoods.of(params.config).limits
    return jnp.clip(x + scale * jax.random.normal(key, x.shape, x.dtype), low, high)


def measure(training: Training, params: Params, data: jax.Array | Rows) -> Tree:
    """The noise: `training.view_noise` times the standard deviation of all numbers, []."""
    rows = data if isinstance(data, Rows) else Rows([np.asarray(data)])
    expect = likelihoods.of(params.config).expect
    some = np.asarray(expect(params.config, jnp.asarray(rows.sample(SAMPLE))), np.float64)
    # From the mean of each column, since a custom unit may give every column a mean of its own.
    spread = np.sqrt(np.mean(np.var(some, axis=0)))
    return {"scale": jnp.asarray(training.view_noise * spread, jnp.float32)}


VIEW = View(apply, measure)
