"""Priors of the continuous code, one file each, and their look-up.

Each is the prior of the one-level model of its name, and of the top level of the two-level
model of that name with an "h" before it: "cp" and "hcp", "vae" and "hvae".
"""

from __future__ import annotations

from cpvae_jax.config import Config
from cpvae_jax.errors import UserError
from cpvae_jax.priors import cholesky, conditional, free, standard, vamp
from cpvae_jax.priors.base import Prior

PRIORS: dict[str, Prior] = {
    "cp": conditional.PRIOR,
    "full": cholesky.PRIOR,
    "mg": free.PRIOR,
    "vae": standard.PRIOR,
    "vp": vamp.PRIOR,
}

TWO_LEVELS = "h"
"""What the name of a two-level model begins with."""


def names() -> list[str]:
    """The names of all models that the known priors make.

    >>> names()[:6]
    ['cp', 'full', 'mg', 'vae', 'vp', 'hcp']
    """
    return [*PRIORS, *(TWO_LEVELS + name for name in PRIORS)]


def register(name: str, prior: Prior) -> None:
    """Make a prior of your own known under a name, for `Config.model` and the commands.

    Raises `UserError` for a name that is taken, by another prior or a two-level model.
    Registering the same record again does nothing.
    """
    if PRIORS.get(name) is prior:
        return
    if not name.isidentifier() or name in names() or TWO_LEVELS + name in names():
        raise UserError(
            f"a prior cannot be registered as {name!r}; take a name that is one word and none of "
            f"{', '.join(names())}."
        )
    PRIORS[name] = prior


def levels(config: Config) -> int:
    """1 or 2: how many continuous codes the model of a configuration has."""
    return 1 if config.model in PRIORS else 2


def of(config: Config) -> Prior:
    """The prior that a configuration names.

    Raises `UserError` if there is none of that name, or if it has no room for K categories.
    """
    name = config.model
    if name not in names():
        raise UserError(
            f"model is {name!r}; choose one of {', '.join(names())}, or register a prior of your own "
            "first, see cpvae_jax.priors.register; a command takes its file by --extend."
        )
    prior = PRIORS[name if name in PRIORS else name.removeprefix(TWO_LEVELS)]
    if prior.single and config.K != 1:
        raise UserError(
            f"K is {config.K}, but the model {name!r} has a single prior component; give K = 1, "
            "or choose a model with categories, such as 'cp'."
        )
    return prior
