"""Diagonal Gaussians q(z|x, c) = N(μ(x, c), diag σ²(x, c)), the paper's section 3.2."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from cpvae_jax.config import Config
from cpvae_jax.distributions import categorical, gaussian
from cpvae_jax.distributions.mixture import Components
from cpvae_jax.posteriors.base import PosteriorFamily
from cpvae_jax.types import Tree

Conditional = tuple[jax.Array, jax.Array]
"""Mean and log-variance, [..., B, D] each."""


def heads(config: Config) -> dict[str, int]:
    """A mean and a log-variance for each dimension of z."""
    return {"mean": config.latent, "log_var": config.latent}


def init(key: jax.Array, config: Config) -> Tree:
    """No weights beside the heads."""
    del key, config
    return {}


def spread(
    weights: Tree, of_x: Mapping[str, jax.Array], of_c: Mapping[str, jax.Array]
) -> gaussian.Spread:
    """Means are sums of both parts, log-variances sums of both limited parts."""
    del weights
    return gaussian.Spread(
        mean_x=of_x["mean"],
        log_var_x=gaussian.soft_limit(of_x["log_var"]),
        mean_c=of_c["mean"],
        log_var_c=gaussian.soft_limit(of_c["log_var"]),
    )


def at(code: gaussian.Spread, category: jax.Array | None) -> Conditional:
    """Mean and log-variance for one category per example."""
    if category is None:
        return code.mean_x, code.log_var_x
    mean = code.mean_x + categorical.rows(code.mean_c, category)
    log_var = code.log_var_x + categorical.rows(code.log_var_c, category)
    return mean, log_var


def sample(
    weights: Tree, key: jax.Array, conditional: Conditional, num: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """z = μ + σ · noise, and its log-density."""
    del weights
    mean, log_var = conditional
    if num is not None:
        mean, log_var = (jnp.broadcast_to(a, (num, *a.shape[-2:])) for a in (mean, log_var))
    z = gaussian.sample(key, mean, log_var)
    return z, gaussian.log_prob(z, mean, log_var)


def mean(weights: Tree, conditional: Conditional) -> jax.Array:
    """μ."""
    del weights
    return conditional[0]


def log_prob(weights: Tree, conditional: Conditional, z: jax.Array) -> jax.Array:
    """log N(z | μ, diag σ²)."""
    del weights
    return gaussian.log_prob(z, *conditional)


def kl(code: gaussian.Spread, components: Components) -> jax.Array:
    """KL to the Gaussian of each category, in closed form."""
    return components.kl_from(code)


def kl_to(conditional: Conditional, mean: jax.Array, log_var: jax.Array) -> jax.Array:
    """KL to another diagonal Gaussian."""
    return gaussian.kl(*conditional, mean, log_var)


POSTERIOR = PosteriorFamily(
    heads,
    init,
    spread,
    at,
    sample,
    mean,
    gaussian=lambda c: c,
    kl=kl,
    log_prob=log_prob,
    kl_to=kl_to,
)
