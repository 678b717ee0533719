"""Two levels, HVAE: the top code (z₂, c), a code z₁ below it, and x from both.

    p(x, z₁, z₂, c) = p(x|z₁, z₂, c) p(z₁|z₂, c) p(z₂, c)
    q(z₁, z₂, c|x) = q(z₁|x, z₂, c) q(z₂, c|x)

The top has any prior that a one-level model has. q(z₁|x, z₂, c) is of the same family as the top's
posterior; where that has a closed form, KL(q(z₁|x, z₂, c) || p(z₁|z₂, c)) is exact given z₂.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax import networks, posteriors
from cpvae_jax.config import Config
from cpvae_jax.distributions import gaussian
from cpvae_jax.keys import purpose
from cpvae_jax.models.base import Category, Explanation, Levels
from cpvae_jax.networks import lower
from cpvae_jax.networks.base import Lower, lower_keys
from cpvae_jax.posteriors import heads
from cpvae_jax.posteriors.base import Conditional
from cpvae_jax.types import Params, Tree

OWN = "posterior"
"""Where the family's own weights for z₁ lie, if it has any."""


def _lower(config: Config) -> Lower:
    return lower.of(networks.of(config))


def init(key: jax.Array, config: Config, categories: int, channels: int) -> tuple[Tree, Tree]:
    """Weights of q(z₁|x, z₂, c), and of p(z₁|z₂, c) with p(x|z₁, z₂, c)."""
    layers, family = _lower(config), posteriors.of(config)
    below, decoder = layers.init(key, config, categories, channels)
    width = jax.eval_shape(lambda: _features_of_example(layers, config, below, categories)).shape[
        -1
    ]
    (_, first), further = lower_keys(key), purpose(key, "lower heads")
    added = heads.init(first, further, family.heads(config), width)
    own = family.init(purpose(key, "lower posterior weights"), config)
    return {**below, **added, **({OWN: own} if own else {})}, decoder


def _features_of_example(layers: Lower, config: Config, below: Tree, categories: int) -> jax.Array:
    """What the heads see of one example."""
    x = jnp.zeros((1, *config.shape), jnp.float32)
    z = jnp.zeros((1, config.latent), jnp.float32)
    category = jnp.zeros(1, jnp.int32) if categories else None
    return layers.posterior(below, layers.features(config, below, x), z, category)


def features(params: Params, x: jax.Array) -> jax.Array:
    """What q(z₁|x, z₂, c) needs of x, once for all draws of z₂."""
    return _lower(params.config).features(params.config, params.weights["below"], x)


def _posterior(params: Params, below: jax.Array, z: jax.Array, category: Category) -> Conditional:
    """q(z₁|x, z₂, c): the family's heads on the network's features, without a part of c."""
    family, weights = posteriors.of(params.config), params.weights["below"]
    h = _lower(params.config).posterior(weights, below, z, category)
    widths = family.heads(params.config)
    of_x, of_c = heads.of_features(weights, widths, h), heads.of_no_category(widths)
    return family.at(family.spread(weights.get(OWN, {}), of_x, of_c), None)


def explain(
    params: Params,
    key: jax.Array | None,
    below: jax.Array | None,
    z: jax.Array,
    category: Category,
) -> Explanation:
    """z₁ from its posterior, its divergence from its prior, and the decoder's output."""
    assert below is not None, "two levels have features below"
    config, weights = params.config, params.weights
    layers, family = _lower(config), posteriors.of(config)
    q, own = _posterior(params, below, z, category), weights["below"].get(OWN, {})
    if key is None:
        z1 = family.mean(own, q)
        return Explanation(layers.decode(config, weights["decoder"], z1, z, category), 0.0, 0.0)
    p = layers.prior(weights["decoder"], z, category)
    z1, log_q = family.sample(own, key, q)
    # A family made of another by `_replace(kl=None, …)` may keep a `kl_to` that is no longer its own.
    closed = None if family.kl is None else family.kl_to
    log_ratio = gaussian.log_prob(z1, *p) - log_q
    return Explanation(
        output=layers.decode(config, weights["decoder"], z1, z, category),
        kl=-log_ratio if closed is None else closed(q, *p),
        log_ratio=log_ratio,
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
