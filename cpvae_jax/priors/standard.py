"""N(0, I), which nothing moves: the prior of the plain VAE (Kingma and Welling, ICLR 2014)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax.config import Config
from cpvae_jax.mixture import Diagonal
from cpvae_jax.priors.base import Encode, Examples, Prior
from cpvae_jax.types import Tree


def init(key: jax.Array, config: Config, examples: Examples | None) -> Tree:
    """Constants, kept with the parameters only for their shape."""
    del key, examples
    return {"mean": jnp.zeros((1, config.latent))}


def components(prior: Tree, config: Config, encode: Encode) -> Diagonal:
    """One component at zero with unit variance: no gradient reaches it."""
    del config, encode
    zero = jnp.zeros_like(prior["mean"])
    return Diagonal(zero, zero)


PRIOR = Prior(init, components, inferred=False, single=True)
