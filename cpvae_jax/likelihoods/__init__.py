"""Distributions of x given the decoder's output, one file each, and their look-up.

Data arrive as the data set holds them, [B, *shape]: integers are grey levels 0..255, floats are
used as they are. A likelihood of your own is a `Likelihood` record, registered under a name: see
docs/extending.md.
"""

from __future__ import annotations

from typing import Any

import jax

from cpvae_jax.config import Config
from cpvae_jax.distributions.precision import exact
from cpvae_jax.likelihoods.base import Likelihood
from cpvae_jax.registry import LIKELIHOODS
from cpvae_jax.types import Params

register = LIKELIHOODS.register
names = LIKELIHOODS.names


def of(config: Config) -> Likelihood:
    """The likelihood that a configuration names."""
    return LIKELIHOODS[config.likelihood]


@exact
def restored(params: Params, x: jax.Array) -> Any:
    """x [..., *shape] in the unit of the user's data, given in the model's unit.

    A JAX array of float32; or a NumPy array of float64 where float32 cannot tell the values of a
    column apart, such as timestamps. Inside a program of yours under `jit` always the former.
    """
    return of(params.config).restore(params.likelihood, x)


def suiting(kind: str) -> str:
    """The name of the likelihood that is the default for a kind of data, "grey" or "real".

    >>> suiting("real")
    'gaussian'
    """
    return next(name for name in names() if LIKELIHOODS[name].suits == kind)
