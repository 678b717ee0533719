"""Distributions of x given the decoder's output, one file each, and their look-up.

Data arrive as the data set holds them, [B, *shape]: integers are grey levels 0..255, floats are
used as they are. A likelihood of your own is a `Likelihood` record, registered under a name: see
docs/extending.md.
"""

from __future__ import annotations

from cpvae_jax.config import Config
from cpvae_jax.likelihoods.base import Likelihood
from cpvae_jax.registry import LIKELIHOODS

register = LIKELIHOODS.register
names = LIKELIHOODS.names


def of(config: Config) -> Likelihood:
    """The likelihood that a configuration names."""
    return LIKELIHOODS[config.likelihood]


def suiting(kind: str) -> str:
    """The name of the likelihood that is the default for a kind of data, "grey" or "real".

    >>> suiting("real")
    'gaussian'
    """
    return next(name for name in names() if LIKELIHOODS[name].suits == kind)
