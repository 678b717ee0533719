"""Diagonal Gaussians N(mean, diag exp(log_var)). Events are the last axis; results in nats."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cpvae_jax.distributions import noise
from cpvae_jax.distributions.precision import exact

LOG_VAR_LIMIT = 10.0
"""Log-variances stay within ±10, so standard deviations within a factor 150 of 1. That is wide
enough for every fit seen, and the sum of three still has a finite exponential in float32."""


def soft_limit(log_var: jax.Array) -> jax.Array:
    """limit · tanh(log_var / limit): keeps a log-variance within ±`LOG_VAR_LIMIT`.

    It is the identity near 0 and smooth, so gradients survive.

    >>> soft_limit(jnp.array([0.0, 1.0, 1e4])).round(2).tolist()
    [0.0, 1.0, 10.0]
    """
    return LOG_VAR_LIMIT * jnp.tanh(log_var / LOG_VAR_LIMIT)


def log_prob(x: jax.Array, mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """log N(x | mean, diag exp(log_var)), shapes [..., D] to [...].

    >>> round(float(log_prob(jnp.zeros(2), jnp.zeros(2), jnp.zeros(2))), 4)
    -1.8379
    """
    quadratic = jnp.square(x - mean) * jnp.exp(-log_var)
    return -0.5 * jnp.sum(quadratic + log_var + math.log(2 * math.pi), axis=-1)


@jax.custom_jvp
def log_prob_of_each(x: jax.Array, mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """log N(x | mean_k, diag exp(log_var_k)) for every k: [..., D] and [K, D] to [..., K].

    The value is computed from differences, because multiplied-out squares would cancel where
    components are narrow. The sum over D is fused, so no [..., K, D] array exists. The derivative
    uses products of [..., D] with [D, K], which is several times faster; its rounding, 1e-6 of the
    largest term, is negligible beside the noise of a gradient.

    >>> log_prob_of_each(jnp.zeros((5, 2)), jnp.zeros((3, 2)), jnp.zeros((3, 2))).shape
    (5, 3)
    """
    scaled = (x[..., None, :] - mean) * jnp.exp(-0.5 * log_var)
    constant = jnp.sum(log_var, axis=-1) + mean.shape[-1] * math.log(2 * math.pi)
    return -0.5 * (jnp.sum(jnp.square(scaled), axis=-1) + constant)


@log_prob_of_each.defjvp
@exact
def _(
    primals: tuple[jax.Array, ...], tangents: tuple[jax.Array, ...]
) -> tuple[jax.Array, jax.Array]:
    (x, mean, log_var), (dx, dmean, dlog_var) = primals, tangents
    precision = jnp.exp(-log_var)
    weight = precision * dlog_var
    of_x = dx @ (mean * precision).T - (x * dx) @ precision.T
    of_mean = x @ (precision * dmean).T - jnp.sum(mean * precision * dmean, axis=-1)
    square = jnp.square(x) @ weight.T - 2 * x @ (mean * weight).T
    of_log_var = 0.5 * (square + jnp.sum(jnp.square(mean) * weight - dlog_var, axis=-1))
    return log_prob_of_each(x, mean, log_var), of_x + of_mean + of_log_var


def sample(key: jax.Array, mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """A reparametrised draw mean + exp(log_var / 2) · noise, of the shape of `mean`."""
    return place(mean, log_var, noise.normal(key, mean.shape))


def place(mean: jax.Array, log_var: jax.Array, white: jax.Array) -> jax.Array:
    """The draw that standard normals `white` stand for, mean + exp(log_var / 2) · white."""
    return mean + jnp.exp(0.5 * log_var) * white


def kl(mean: jax.Array, log_var: jax.Array, mean_p: jax.Array, log_var_p: jax.Array) -> jax.Array:
    """KL(N(mean, exp log_var) || N(mean_p, exp log_var_p)), shapes [..., D] to [...].

    >>> round(float(kl(jnp.ones(1), jnp.zeros(1), jnp.zeros(1), jnp.zeros(1))), 4)
    0.5
    """
    ratio = jnp.exp(log_var - log_var_p)
    quadratic = jnp.square(mean - mean_p) * jnp.exp(-log_var_p)
    return 0.5 * jnp.sum(ratio + quadratic - 1.0 + log_var_p - log_var, axis=-1)


class Spread(NamedTuple):
    """B x K Gaussians N(mean_x + mean_c, diag exp(log_var_x + log_var_c)).

    The heads of z are linear in [h, c], so each mean is the sum of a part of x and a row of a
    table, and so is each log-variance. Sums over all K categories then need no [B, K, D] array.
    """

    mean_x: jax.Array
    """[B, D]"""
    log_var_x: jax.Array
    """[B, D]"""
    mean_c: jax.Array
    """[K, D]"""
    log_var_c: jax.Array
    """[K, D]"""


@exact
def kl_to_each(q: Spread, mean_p: jax.Array, log_var_p: jax.Array) -> jax.Array:
    """KL of every Gaussian of a `Spread` to that of its category, N(mean_p, exp log_var_p).

    The squares are multiplied out: three products of [B, D] by [D, K], and no [B, K, D] array.
    In float32 that is right to 1e-5 of the KL plus 5e-7 of the squares. The latter matters where
    mean_x and mean_c − mean_p are large and cancel: 1e-3 nats where each is ten prior standard
    deviations in 40 dimensions.

    Args:
      q: The posteriors, B x K of them.
      mean_p: [K, D]
      log_var_p: [K, D]

    Returns:
      [B, K], in nats.
    """
    precision = jnp.exp(-log_var_p)
    offset = q.mean_c - mean_p
    ratio = jnp.exp(q.log_var_x) @ jnp.exp(q.log_var_c - log_var_p).T
    square_x = jnp.square(q.mean_x) @ precision.T
    cross = q.mean_x @ (2.0 * offset * precision).T
    of_category = jnp.sum(jnp.square(offset) * precision + log_var_p - q.log_var_c - 1.0, axis=-1)
    of_x = jnp.sum(q.log_var_x, axis=-1)
    return 0.5 * (ratio + square_x + cross + of_category[None, :] - of_x[:, None])
