"""Two levels, HVAE: the top code (z₂, c), a code z₁ below it, and x from both.

    p(x, z₁, z₂, c) = p(x|z₁, z₂, c) p(z₁|z₂, c) p(z₂, c)
    q(z₁, z₂, c|x) = q(z₁|x, z₂, c) q(z₂, c|x)

The top has any prior that a one-level model has. The divergence of the lower level,
KL(q(z₁|x, z₂, c) || p(z₁|z₂, c)), is exact given the draw of z₂.
"""

from __future__ import annotations

import jax

from cpvae_jax import networks
from cpvae_jax.config import Config
from cpvae_jax.distributions import gaussian
from cpvae_jax.models.base import Category, Explanation, Levels
from cpvae_jax.networks import lower
from cpvae_jax.networks.base import Lower
from cpvae_jax.types import Params, Tree


def _lower(config: Config) -> Lower:
    return lower.of(networks.of(config))


def init(key: jax.Array, config: Config, categories: int, channels: int) -> tuple[Tree, Tree]:
    """Weights of q(z₁|x, z₂, c), and of p(z₁|z₂, c) with p(x|z₁, z₂, c)."""
    return _lower(config).init(key, config, categories, channels)


def features(params: Params, x: jax.Array) -> jax.Array:
    """What q(z₁|x, z₂, c) needs of x, once for all draws of z₂."""
    return _lower(params.config).features(params.config, params.weights["below"], x)


def explain(
    params: Params,
    key: jax.Array | None,
    below: jax.Array | None,
    z: jax.Array,
    category: Category,
) -> Explanation:
    """z₁ from its posterior, its divergence from its prior, and the decoder's output."""
    assert below is not None, "two levels have features below"
    layers, weights = _lower(params.config), params.weights
    q = layers.posterior(weights["below"], below, z, category)
    p = layers.prior(weights["decoder"], z, category)
    z1 = q[0] if key is None else gaussian.sample(key, *q)
    return Explanation(
        output=layers.decode(params.config, weights["decoder"], z1, z, category),
        kl=gaussian.kl(*q, *p),
        log_ratio=gaussian.log_prob(z1, *p) - gaussian.log_prob(z1, *q),
    )


def generate(
    params: Params,
    key: jax.Array | None,
    z: jax.Array,
    category: Category,
    white: jax.Array | None = None,
) -> jax.Array:
    """z₁ from its prior given the top, and the decoder's output."""
    layers, weights = _lower(params.config), params.weights
    mean, log_var = layers.prior(weights["decoder"], z, category)
    if key is not None:
        z1 = gaussian.sample(key, mean, log_var)
    else:
        z1 = mean if white is None else gaussian.place(mean, log_var, white)
    return layers.decode(params.config, weights["decoder"], z1, z, category)


LEVELS = Levels(init, features, explain, generate)
