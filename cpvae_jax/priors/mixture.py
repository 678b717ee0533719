"""MG, the paper's mixture-of-Gaussians baseline: K learned Gaussians with equal weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax.config import Config
from cpvae_jax.distributions import gaussian
from cpvae_jax.distributions.mixture import Diagonal
from cpvae_jax.priors.base import Encode, Prior, Start
from cpvae_jax.types import Tree

SPREAD = 0.5
"""Standard deviation of the means at the start. Components that coincide would never separate."""


def init(key: jax.Array, config: Config, start: Start) -> Tree:
    """Unit variances around means drawn near zero."""
    del start
    shape = (config.K, config.latent)
    mean = SPREAD * jax.random.normal(key, shape, jnp.float32)
    return {"mean": mean, "log_var": jnp.zeros_like(mean)}


def components(config: Config, weights: Tree, encode: Encode) -> Diagonal:
    """Tables of means and log-variances, [K, D] each."""
    del config, encode
    return Diagonal(weights["mean"], gaussian.soft_limit(weights["log_var"]))


PRIOR = Prior(init, components, inferred=False)
