"""A mixture of K learned Gaussians, equally weighted: MG, the paper's mixture-of-Gaussians prior."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax import gaussian
from cpvae_jax.config import Config
from cpvae_jax.mixture import Diagonal
from cpvae_jax.priors.base import Encode, Examples, Prior
from cpvae_jax.types import Tree

SPREAD = 0.5
"""Standard deviation of the means at the start: components that coincide would never part."""


def init(key: jax.Array, config: Config, examples: Examples | None) -> Tree:
    """Unit variances around means drawn near zero."""
    del examples
    shape = (config.K, config.latent)
    return {"mean": SPREAD * jax.random.normal(key, shape), "log_var": jnp.zeros(shape)}


def components(prior: Tree, config: Config, encode: Encode) -> Diagonal:
    """The table of means and of log-variances, both [K, D]."""
    del config, encode
    return Diagonal(prior["mean"], gaussian.soft_limit(prior["log_var"]))


PRIOR = Prior(init, components, inferred=False)
