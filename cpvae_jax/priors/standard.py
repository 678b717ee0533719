"""N(0, I), the fixed prior of the plain VAE (Kingma and Welling, ICLR 2014)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax.config import Config
from cpvae_jax.distributions.mixture import Diagonal
from cpvae_jax.priors.base import Encode, Prior, Start
from cpvae_jax.types import Tree


def init(key: jax.Array, config: Config, start: Start) -> Tree:
    """No weights."""
    del key, config, start
    return {}


def components(config: Config, weights: Tree, encode: Encode) -> Diagonal:
    """One component with zero mean and unit variance."""
    del weights, encode
    zero = jnp.zeros((1, config.latent), jnp.float32)
    return Diagonal(zero, zero)


PRIOR = Prior(init, components, inferred=False, single=True)
