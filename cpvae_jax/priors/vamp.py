"""VampPrior: the mixture of the posteriors of K learned pseudo-inputs, with equal weights.

Gradients pass through the pseudo-inputs and the encoder. Source: Tomczak and Welling, "VAE with a
VampPrior", AISTATS 2018.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax import likelihoods
from cpvae_jax.config import Config
from cpvae_jax.distributions.mixture import Diagonal
from cpvae_jax.priors.base import Encode, Prior, Start
from cpvae_jax.types import Tree


def init(key: jax.Array, config: Config, start: Start) -> Tree:
    """Pseudo-inputs [K, *shape] start at random training examples, or at noise without data.

    They are stored as unlimited numbers, which `Likelihood.to_input` maps smoothly into the range
    of the data. A clipped pixel that left the range would never come back.
    """
    if start.data is None:
        noise = jax.random.normal(key, (config.K, config.size), jnp.float32)
        return {"pseudo_inputs": noise.reshape(config.K, *config.shape)}
    examples = start.examples(key, config.K)
    return {"pseudo_inputs": likelihoods.of(config).from_input(examples)}


def components(config: Config, weights: Tree, encode: Encode) -> Diagonal:
    """q(z|u_k) for every pseudo-input u_k."""
    return Diagonal(*encode(likelihoods.of(config).to_input(weights["pseudo_inputs"])))


PRIOR = Prior(init, components, inferred=False)
