"""p(c), how often each category is expected, and the components of merged categories.

p(c) is uniform over the K categories as in the paper, or learned (`Config.category_prior`). A
component that was pruned (`Config.groups`) has probability 0 in p(c) and in q(c|x). A merged
category is several components, of which the model and its bound know nothing.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.distributions import categorical
from cpvae_jax.keys import purpose
from cpvae_jax.models import parts
from cpvae_jax.networks.base import Category
from cpvae_jax.types import Params, Tree

MASKED = -1e9
"""Logit of a pruned component. Its probability is exactly 0 in float32, and its product with 0 is
0, which that of minus infinity is not: values and gradients stay finite."""

SMALLEST = 1e-3
"""The smallest share that p(c) starts at; one example of a thousand."""

LEAST = 1e-30
"""q(c) below this counts as this, so that a category that no example uses can still be drawn."""


def learned(config: Config) -> bool:
    """Whether p(c) has weights; with one category there is nothing to learn."""
    return config.category_prior == "learned" and config.K > 1


def init(config: Config) -> Tree:
    """The weights of p(c) by their name: logits [K] that start uniform, or nothing."""
    return {"category": jnp.zeros(config.K, jnp.float32)} if learned(config) else {}


def even(config: Config) -> jax.Array:
    """q(c) before there are data, [K]: all components that are kept alike."""
    if config.groups is None:  # traced, because a damaged file may ask for a K that fits no memory
        return jnp.full(config.K, 1 / config.K, jnp.float32)
    kept = np.array(config.groups) >= 0
    return jnp.asarray(kept / kept.sum(), jnp.float32)


def is_uniform(config: Config) -> bool:
    """Whether p(c) = 1 / K for all K categories."""
    return not learned(config) and not _pruned(config)


def _pruned(config: Config) -> bool:
    return config.groups is not None and -1 in config.groups


def masked(config: Config, logits: jax.Array) -> jax.Array:
    """Logits [..., K] without the pruned components: the others are renormalised."""
    if not _pruned(config):
        return logits
    return jnp.where(np.asarray(config.groups) >= 0, logits, MASKED)


def log_probs(params: Params) -> jax.Array:
    """log p(c), [K]."""
    config = params.config
    if is_uniform(config):
        return jnp.full(config.K, -math.log(config.K), jnp.float32)
    weights = params.weights
    logits = weights["category"] if learned(config) else jnp.zeros(config.K, jnp.float32)
    return jax.nn.log_softmax(masked(config, logits))


def held(params: Params, hold: jax.Array) -> Params:
    """The model whose p(c), if it is learned, gets no gradient while `hold` is true."""
    if not learned(params.config):
        return params
    logits = params.weights["category"]
    fixed = jnp.where(hold, jax.lax.stop_gradient(logits), logits)
    return params.with_weights({**params.weights, "category": fixed})


def expecting(params: Params, shares: jax.typing.ArrayLike) -> Params:
    """The model whose p(c), if it is learned, starts at given shares [K], of any total.

    A share below `SMALLEST` counts as that, so that no category starts out of reach.
    """
    if not learned(params.config):
        return params
    given = jnp.asarray(shares, jnp.float32)
    logits = jnp.log(jnp.maximum(given / jnp.sum(given), SMALLEST))
    return params.with_weights({**params.weights, "category": logits - jnp.mean(logits)})


def log_prob(params: Params, category: Category) -> jax.Array | float:
    """log p(c) at categories [...]; for weights [..., K], their average of log p(c)."""
    if is_uniform(params.config):
        return -math.log(params.config.K)
    assert category is not None, "the networks of this model see the category"
    return categorical.rows(log_probs(params)[:, None], category)[..., 0]


def kl(params: Params, logits: jax.Array) -> jax.Array:
    """KL(q(c|x) || p(c)) for logits of q(c|x), [B, K] to [B]."""
    if is_uniform(params.config):
        return categorical.kl_to_uniform(logits)
    return categorical.kl(logits, log_probs(params))


# Components of merged categories


def drawn(params: Params, key: jax.Array, weights: str, num: int) -> jax.Array:
    """Components of `num` new examples by "aggregate", "uniform" or "prior", as `api.sample` says."""
    if weights == "uniform":
        G = params.config.categories
        alike = jnp.log(jnp.full(G, 1 / G, jnp.float32))
        category = jax.random.categorical(key, alike, shape=(num,)).astype(jnp.int32)
        return draw(params, purpose(key, "components"), category)
    logits = jnp.log(params.aggregate) if weights == "aggregate" else log_probs(params)
    return jax.random.categorical(key, logits, shape=(num,)).astype(jnp.int32)


def draw(params: Params, key: jax.Array, category: jax.Array) -> jax.Array:
    """A component of each category [B], in proportion to q(c) over the training data."""
    if params.config.groups is None:
        return category
    log_q = jnp.log(jnp.maximum(params.aggregate, LEAST))
    each = _members(params.config, jnp.broadcast_to(log_q, (len(category), len(log_q))), category)
    return jax.random.categorical(key, each).astype(jnp.int32)


def chosen(params: Params, category: jax.Array, uniform: jax.Array) -> jax.Array:
    """As `draw`, from numbers [B] that are uniform from 0 to 1 in place of a key.

    The component is the first whose cumulated share of its category exceeds the number.
    """
    if params.config.groups is None:
        return category
    everyone = jnp.arange(params.config.categories, dtype=jnp.int32)
    log_q = jnp.log(jnp.maximum(params.aggregate, LEAST))
    each = _members(params.config, jnp.broadcast_to(log_q, (len(everyone), len(log_q))), everyone)
    cumulated = jnp.cumsum(jax.nn.softmax(each), axis=-1)
    # From the last member on it counts as 2, so that neither rounding nor a 1 leads past it.
    cumulated = jnp.where(cumulated >= cumulated[:, -1:], 2.0, cumulated)
    return jnp.sum(cumulated[category] <= uniform[:, None], axis=-1, dtype=jnp.int32)


def likeliest(params: Params, z: jax.Array, category: jax.Array) -> jax.Array:
    """The component of each category [B] that a code z [B, D] most probably comes from."""
    if params.config.groups is None:
        return category
    log_q = jnp.log(jnp.maximum(params.aggregate, LEAST))
    each = log_q + parts.components(params).log_prob_of_each(z)
    return jnp.argmax(_members(params.config, each, category), axis=-1).astype(jnp.int32)


def of_codes(params: Params, z: jax.Array) -> jax.Array:
    """The category that each code z [B, D] most probably comes from, [B]; pruned ones are none."""
    log_q = jnp.log(jnp.maximum(params.aggregate, LEAST))
    groups = jnp.arange(params.config.K) if params.config.groups is None else params.config.groups
    known = jnp.asarray(groups, jnp.int32)
    each = log_q + parts.components(params).log_prob_of_each(z)
    return known[jnp.argmax(jnp.where(known < 0, -jnp.inf, each), axis=-1)]


def _members(config: Config, values: jax.Array, category: jax.Array) -> jax.Array:
    """Values [B, K] where a component belongs to the category [B], and −∞ elsewhere."""
    return jnp.where(np.asarray(config.groups) == category[:, None], values, -jnp.inf)
