"""Priors of the continuous code, one file each, and their look-up.

Each is the prior of a one-level model, or of the top level of a two-level one
(`Config.levels`). A prior of your own is a `Prior` record, registered under a name: see
docs/extending.md.
"""

from __future__ import annotations

from cpvae_jax.config import Config
from cpvae_jax.errors import UserError
from cpvae_jax.priors.base import Prior
from cpvae_jax.registry import PRIORS, TWO_LEVELS

names = PRIORS.names


def register(name: str, prior: Prior) -> None:
    """Make a prior of your own known under a name.

    Raises:
      UserError: The name is taken, or would be read as the two-level model of another prior.
    """
    lower = name.removeprefix(TWO_LEVELS) if isinstance(name, str) else name
    if lower != name and lower in PRIORS:
        raise UserError(
            f"a prior cannot be registered as {name!r}, which is short for {lower!r} on two levels; "
            "choose another name."
        )
    PRIORS.register(name, prior)


def of(config: Config) -> Prior:
    """The prior that a configuration names."""
    return PRIORS[config.prior]
