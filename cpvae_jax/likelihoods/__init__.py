"""Distributions of x given the decoder's output, one file each, and their look-up.

A likelihood is a record of pure functions; a new one is a file that ends in such a record
and a line in `LIKELIHOODS`. Data come in as the data set holds them, flattened to [B, X]:
whole numbers are grey levels 0..255, floats are used as they are.
"""

from __future__ import annotations

from cpvae_jax.config import Config
from cpvae_jax.errors import UserError
from cpvae_jax.likelihoods import bernoulli, gaussian
from cpvae_jax.likelihoods.base import Likelihood

LIKELIHOODS: dict[str, Likelihood] = {
    "bernoulli": bernoulli.LIKELIHOOD,
    "gaussian": gaussian.LIKELIHOOD,
}


def of(config: Config) -> Likelihood:
    """The likelihood that a configuration names; `UserError` if there is none of that name."""
    if config.likelihood not in LIKELIHOODS:
        raise UserError(
            f"likelihood is {config.likelihood!r}; choose one of {', '.join(LIKELIHOODS)}."
        )
    return LIKELIHOODS[config.likelihood]
