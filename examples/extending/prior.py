"""The prior "tied": Gaussians of one variance, whose means start at encoded training examples."""

import jax.numpy as jnp

from cpvae_jax import priors
from cpvae_jax.distributions import gaussian
from cpvae_jax.distributions.mixture import Diagonal
from cpvae_jax.priors.base import Prior


def init(key, config, start):
    """The means lie where the fresh encoder puts K random examples, so all categories differ."""
    mean, _ = start.encode(start.examples(key, config.K))
    return {"mean": mean, "log_var": jnp.zeros(config.latent)}


def components(config, weights, encode):
    """N(μ_k, diag σ²): a mean for each category and one variance for all, [K, D] each."""
    mean = weights["mean"]
    return Diagonal(mean, jnp.broadcast_to(gaussian.soft_limit(weights["log_var"]), mean.shape))


priors.register("tied", Prior(init, components, inferred=True))
