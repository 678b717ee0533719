"""The prior that the paper is about: a learned Gaussian for each category, which is inferred."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax import gaussian
from cpvae_jax.config import Config
from cpvae_jax.mixture import Diagonal
from cpvae_jax.priors.base import Encode, Examples, Prior
from cpvae_jax.types import Tree


def init(key: jax.Array, config: Config, examples: Examples | None) -> Tree:
    """Every category starts at N(0, I); training moves them apart.

    The categories already differ in their rows of the encoder's and the decoder's tables,
    so equal priors are no point of symmetry.
    """
    del key, examples
    return {
        "mean": jnp.zeros((config.K, config.latent)),
        "log_var": jnp.zeros((config.K, config.latent)),
    }


def components(prior: Tree, config: Config, encode: Encode) -> Diagonal:
    """Eq. (5): p(z|c_k) = Π_i N(z_i | μ_ik, σ²_ik), as the table of μ and of log σ², both [K, D]."""
    del config, encode
    return Diagonal(prior["mean"], gaussian.soft_limit(prior["log_var"]))


PRIOR = Prior(init, components, inferred=True)
