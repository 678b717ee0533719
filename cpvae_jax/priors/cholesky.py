"""The conditional prior with full covariances, N(μ_k, L_k L_kᵀ): footnote 3 of the paper."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax import gaussian
from cpvae_jax.config import Config
from cpvae_jax.mixture import Cholesky
from cpvae_jax.priors import conditional
from cpvae_jax.priors.base import Encode, Examples, Prior
from cpvae_jax.types import Tree


def init(key: jax.Array, config: Config, examples: Examples | None) -> Tree:
    """Starts where the diagonal prior does, at N(0, I); "below" fills L under its diagonal."""
    below = jnp.zeros((config.K, config.latent, config.latent))
    return {**conditional.init(key, config, examples), "below": below}


def components(prior: Tree, config: Config, encode: Encode) -> Cholesky:
    """L has exp(log σ² / 2) on its diagonal, and below it any numbers."""
    del config, encode
    scale = jnp.exp(0.5 * gaussian.soft_limit(prior["log_var"]))
    diagonal = scale[..., None] * jnp.eye(scale.shape[-1])
    return Cholesky(prior["mean"], jnp.tril(prior["below"], -1) + diagonal)


PRIOR = Prior(init, components, inferred=True)
