"""The paper's prior: a learned Gaussian for each category, which the encoder infers."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax.config import Config
from cpvae_jax.distributions import gaussian
from cpvae_jax.distributions.mixture import Diagonal
from cpvae_jax.priors.base import Encode, Prior, Start
from cpvae_jax.types import Tree


def init(key: jax.Array, config: Config, start: Start) -> Tree:
    """Every category starts at N(0, I), and training moves them apart.

    Equal priors are not a point of symmetry, because the categories already differ in their rows
    of the encoder's and the decoder's tables.
    """
    del key, start
    shape = (config.K, config.latent)
    return {name: jnp.zeros(shape, jnp.float32) for name in ("mean", "log_var")}


def components(config: Config, weights: Tree, encode: Encode) -> Diagonal:
    """Eq. (5): p(z|c_k) = Π_i N(z_i | μ_ik, σ²_ik), as tables of μ and log σ², [K, D] each."""
    del config, encode
    return Diagonal(weights["mean"], gaussian.soft_limit(weights["log_var"]))


PRIOR = Prior(init, components, inferred=True)
