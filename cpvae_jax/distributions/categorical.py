"""The category c: its divergence, and ways to draw it.

Networks take a *category* in one of two forms: integers [B] in 0..K-1, or weights [B, K] that sum
to one over the categories, such as a relaxed draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from cpvae_jax.distributions import noise


def entropy(logits: jax.Array) -> jax.Array:
    """H of Cat(softmax(logits)), shapes [..., K] to [...].

    >>> round(float(entropy(jnp.zeros(4))), 4)
    1.3863
    """
    log_probs = jax.nn.log_softmax(logits)
    return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)


def kl_to_uniform(logits: jax.Array) -> jax.Array:
    """Eq. (9): KL(q(c|x) || uniform) = log K − H(q(c|x)), shapes [..., K] to [...].

    >>> float(kl_to_uniform(jnp.zeros(4)))
    0.0
    """
    return math.log(logits.shape[-1]) - entropy(logits)


def kl(logits: jax.Array, log_p: jax.Array) -> jax.Array:
    """KL(q || p) = Σ_c q(c) (log q(c) − log p(c)), shapes [..., K] to [...].

    Args:
      logits: Logits of q, [..., K].
      log_p: log p(c), [K] or [..., K], normalised.

    >>> even = jnp.log(jnp.full(2, 0.5))
    >>> round(float(kl(jnp.log(jnp.array([0.9, 0.1])), even)), 4)
    0.3681
    """
    log_probs = jax.nn.log_softmax(logits)
    return jnp.sum(jnp.exp(log_probs) * (log_probs - log_p), axis=-1)


def rows(table: jax.Array, category: jax.Array) -> jax.Array:
    """Rows of a table [K, n] for a category of either form, [B, n]."""
    if jnp.issubdtype(category.dtype, jnp.integer):
        return table[category]
    return category @ table


def hard(key: jax.Array, logits: jax.Array, temperature: jax.Array | float) -> jax.Array:
    """A draw c ~ q(c|x), integers [B]. No gradient reaches the logits through it."""
    del temperature
    return jnp.argmax(logits + noise.gumbel(key, logits.shape), axis=-1).astype(jnp.int32)


def relaxed(key: jax.Array, logits: jax.Array, temperature: jax.Array | float) -> jax.Array:
    """A Gumbel-Softmax draw softmax((logits + Gumbel noise) / temperature), [B, K].

    It carries more information than a category can (log K nats), so the resulting value of the
    bound is not a lower bound. Source: Jang, Gu, Poole, ICLR 2017.
    """
    return jax.nn.softmax((logits + noise.gumbel(key, logits.shape)) / temperature)


def straight_through(
    key: jax.Array, logits: jax.Array, temperature: jax.Array | float
) -> jax.Array:
    """A hard draw in the forward pass with the relaxed draw's gradient, [B, K]."""
    soft = relaxed(key, logits, temperature)
    one_hot = jax.nn.one_hot(jnp.argmax(soft, axis=-1), logits.shape[-1], dtype=soft.dtype)
    return one_hot + soft - jax.lax.stop_gradient(soft)


def sample_many(key: jax.Array, logits: jax.Array, num: int) -> tuple[jax.Array, jax.Array]:
    """`num` draws from each of B categoricals by inverting the distribution function.

    Gumbel noise would cost K random numbers per draw. The distribution function is rounded to
    multiples of 2⁻²³, each span of which holds one value of `noise.uniform`. The probabilities
    returned are the rounded ones, so they are exactly those of the draws, as importance sampling
    needs.

    Args:
      key: A random key.
      logits: [B, K]
      num: Draws per categorical.

    Returns:
      Categories [num, B] and their log-probabilities [num, B].

    >>> c, log_q = sample_many(jax.random.key(0), jnp.zeros((3, 4)), 2)
    >>> c.shape, round(float(log_q[0, 0]), 4)
    ((2, 3), -1.3863)
    """
    grid = 2.0**23
    cumulative = jnp.cumsum(jax.nn.softmax(logits), axis=-1)
    # XLA sums in blocks, whose rounding may let the sum fall a little: hold it.
    cdf = jnp.floor(jax.lax.cummax(cumulative, axis=logits.ndim - 1) * grid) / grid
    # What rounding left goes to the last category that can be drawn at all.
    cdf = jnp.where(cdf >= cdf[:, -1:], 1.0, jnp.minimum(cdf, 1.0))
    probs = jnp.diff(cdf, axis=-1, prepend=0.0)
    uniform = noise.uniform(key, (logits.shape[0], num))
    category = jax.vmap(partial(jnp.searchsorted, side="right"))(cdf, uniform)
    return category.T, jnp.log(jnp.take_along_axis(probs, category, axis=-1)).T


DRAWS: dict[str, Callable[[jax.Array, jax.Array, jax.Array | float], jax.Array]] = {
    "hard": hard,
    "relaxed": relaxed,
    "straight-through": straight_through,
}
