"""Gaussians q(z|x, c) = N(μ, L Lᵀ) with full covariances.

L = diag(σ) (I + N) has the standard deviations of the diagonal family, and a strictly lower
triangle N that makes the dimensions of z depend on each other. N = 0 is the diagonal family.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cpvae_jax.config import Config
from cpvae_jax.distributions import categorical, gaussian, noise
from cpvae_jax.distributions.mixture import Components
from cpvae_jax.distributions.precision import exact
from cpvae_jax.posteriors import diagonal
from cpvae_jax.posteriors.base import PosteriorFamily, values
from cpvae_jax.types import Tree

TRIANGLE = "triangle"
"""The head of the numbers under the diagonal"""


class Code(NamedTuple):
    """All posteriors of a batch: their diagonal part, and the numbers under the diagonal."""

    diagonal: gaussian.Spread
    triangle_x: jax.Array
    """[B, D (D - 1) / 2]"""
    triangle_c: jax.Array
    """[K, D (D - 1) / 2]"""


class Conditional(NamedTuple):
    """One posterior per example."""

    mean: jax.Array
    """[..., B, D]"""
    factor: jax.Array
    """L, [..., B, D, D]"""


def heads(config: Config) -> dict[str, int]:
    """Those of the diagonal family, and a number for each pair of dimensions."""
    pairs = config.latent * (config.latent - 1) // 2
    return {**diagonal.heads(config), **({TRIANGLE: pairs} if pairs else {})}


def spread(weights: Tree, of_x: Mapping[str, jax.Array], of_c: Mapping[str, jax.Array]) -> Code:
    """The triangle is a sum of both parts, like the mean."""
    triangle_x, triangle_c = values(of_x, TRIANGLE), values(of_c, TRIANGLE)
    return Code(diagonal.spread(weights, of_x, of_c), triangle_x, triangle_c)


def at(code: Code, category: jax.Array | None) -> Conditional:
    """Mean and factor for one category per example."""
    mean, log_var = diagonal.at(code.diagonal, category)
    triangle = code.triangle_x
    if category is not None:
        triangle = triangle + categorical.rows(code.triangle_c, category)
    return Conditional(mean, _factor(log_var, triangle))


def _factor(log_var: jax.Array, triangle: jax.Array) -> jax.Array:
    """L = diag(σ) (I + N). Dividing N by D keeps fresh posteriors close to the diagonal family."""
    D = log_var.shape[-1]
    around = [(0, 0)] * (triangle.ndim - 1)
    starts = [i * (i - 1) // 2 for i in range(D + 1)]  # row i has i numbers
    rows = [
        jnp.pad(triangle[..., starts[i] : starts[i + 1]], [*around, (0, D - i)])[..., None, :]
        for i in range(D)
    ]
    unit = jnp.concatenate(rows, axis=-2) / D + jnp.eye(D, dtype=jnp.float32)
    return jnp.exp(0.5 * log_var)[..., None] * unit


@exact
def sample(
    weights: Tree, key: jax.Array, conditional: Conditional, num: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """z = μ + L · noise, and its log-density."""
    del weights
    mean, factor = conditional
    shape = mean.shape if num is None else (num, *mean.shape[-2:])
    white = noise.normal(key, shape)
    z = mean + jnp.einsum("...ij,...j->...i", factor, white)
    return z, _density(white, factor)


def _density(white: jax.Array, factor: jax.Array) -> jax.Array:
    """The log-density at μ + L · white."""
    zero = jnp.zeros(())
    return gaussian.log_prob(white, zero, zero) - _log_det(factor)


def _log_det(factor: jax.Array) -> jax.Array:
    """log |L|, [...]."""
    return jnp.sum(jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)


def mean(weights: Tree, conditional: Conditional) -> jax.Array:
    """μ."""
    del weights
    return conditional.mean


def marginal(conditional: Conditional) -> tuple[jax.Array, jax.Array]:
    """μ and the logarithm of each dimension's own variance, Σ_j L_ij²."""
    variance = jnp.sum(jnp.square(conditional.factor), axis=-1)
    return conditional.mean, jnp.log(variance)


@exact
def log_prob(weights: Tree, conditional: Conditional, z: jax.Array) -> jax.Array:
    """log N(z | μ, L Lᵀ)."""
    del weights
    mean, factor = conditional
    white = jax.scipy.linalg.solve_triangular(factor, (z - mean)[..., None], lower=True)[..., 0]
    return _density(white, factor)


def kl(code: Code, components: Components) -> jax.Array:
    """KL to the Gaussian of each category, in closed form; one category after the other."""
    B, K = len(code.triangle_x), components.mean.shape[0]

    def of_category(k: jax.Array) -> jax.Array:
        own = jax.tree.map(lambda a: a[k][None], components)
        return _kl(at(code, jnp.full(B, k, jnp.int32)), own)

    return jax.lax.map(of_category, jnp.arange(K, dtype=jnp.int32)).T


@exact
def _kl(q: Conditional, component: Components) -> jax.Array:
    """E log q − E log p for one Gaussian p; [..., B].

    log p is quadratic, so its expectation is its mean over the 2 D points μ ± √D L_j, where L_j are
    the columns of L. This holds for any p, diagonal or full.
    """
    D = q.mean.shape[-1]
    columns = math.sqrt(D) * jnp.swapaxes(q.factor, -1, -2)
    centre = q.mean[..., None, :]
    points = jnp.concatenate([centre + columns, centre - columns], axis=-2)
    log_p = jnp.mean(component.log_prob_of_each(points)[..., 0], axis=-1)
    return -0.5 * D * (1 + math.log(2 * math.pi)) - _log_det(q.factor) - log_p


def kl_to(conditional: Conditional, mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """KL to a diagonal Gaussian: that of the marginals, and what the dimensions share."""
    own = marginal(conditional)
    shared = 0.5 * jnp.sum(own[1], axis=-1) - _log_det(conditional.factor)
    return gaussian.kl(*own, mean, log_var) + shared


POSTERIOR = PosteriorFamily(
    heads,
    diagonal.init,
    spread,
    at,
    sample,
    mean,
    gaussian=marginal,
    kl=kl,
    log_prob=log_prob,
    kl_to=kl_to,
)
