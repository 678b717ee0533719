"""The conditional prior with full covariances, N(μ_k, L_k L_kᵀ): footnote 3 of the paper."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax.config import Config
from cpvae_jax.distributions import gaussian
from cpvae_jax.distributions.mixture import Cholesky
from cpvae_jax.priors import conditional
from cpvae_jax.priors.base import Encode, Prior, Start
from cpvae_jax.types import Tree


def init(key: jax.Array, config: Config, start: Start) -> Tree:
    """Starts at N(0, I), as the diagonal prior does; "below" fills L under its diagonal."""
    below = jnp.zeros((config.K, config.latent, config.latent), jnp.float32)
    return {**conditional.init(key, config, start), "below": below}


def components(config: Config, weights: Tree, encode: Encode) -> Cholesky:
    """L has exp(log σ² / 2) on its diagonal and unlimited numbers below it."""
    del config, encode
    scale = jnp.exp(0.5 * gaussian.soft_limit(weights["log_var"]))
    diagonal = scale[..., None] * jnp.eye(scale.shape[-1], dtype=scale.dtype)
    return Cholesky(weights["mean"], jnp.tril(weights["below"], -1) + diagonal)


PRIOR = Prior(init, components, inferred=True)
