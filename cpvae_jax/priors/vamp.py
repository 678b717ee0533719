"""VampPrior: the mixture of the posteriors of K learned pseudo-inputs, equally weighted.

Source: Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018. Gradients pass through the
pseudo-inputs and through the encoder.
"""

from __future__ import annotations

import jax

from cpvae_jax import likelihoods
from cpvae_jax.config import Config
from cpvae_jax.mixture import Diagonal
from cpvae_jax.priors.base import Encode, Examples, Prior
from cpvae_jax.types import Tree


def init(key: jax.Array, config: Config, examples: Examples | None) -> Tree:
    """Pseudo-inputs start at K random training examples; at noise where there are no data.

    They are kept as numbers without limits, which `Likelihood.to_input` brings into the range
    of the data smoothly: a clipped pixel that left the range would never come back.
    """
    if examples is None:
        return {"pseudo_inputs": jax.random.normal(key, (config.K, config.size))}
    return {"pseudo_inputs": likelihoods.of(config).from_input(examples(key, config.K))}


def components(prior: Tree, config: Config, encode: Encode) -> Diagonal:
    """q(z|u_k) for every pseudo-input u_k."""
    return Diagonal(*encode(likelihoods.of(config).to_input(prior["pseudo_inputs"])))


PRIOR = Prior(init, components, inferred=False)
