"""Families of the posterior q(z|x, c), one file each, and their look-up.

The library owns linear heads on [h, c]; a family says how many numbers it needs from them and
what they mean. A family of your own is a `PosteriorFamily` record, registered under a name: see
docs/extending.md.
"""

from __future__ import annotations

from cpvae_jax.config import Config
from cpvae_jax.posteriors.base import PosteriorFamily
from cpvae_jax.registry import POSTERIORS

register = POSTERIORS.register
names = POSTERIORS.names


def of(config: Config) -> PosteriorFamily:
    """The posterior family that a configuration names."""
    return POSTERIORS[config.posterior]
