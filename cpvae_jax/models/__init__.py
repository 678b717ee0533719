"""Models, one file each, and their look-up."""

from __future__ import annotations

from cpvae_jax.config import Config
from cpvae_jax.errors import UserError
from cpvae_jax.models import cpvae
from cpvae_jax.models.base import Model

MODELS: dict[str, Model] = {"cp": cpvae.MODEL}


def of(config: Config) -> Model:
    """The model that a configuration names; `UserError` if there is none of that name."""
    if config.model not in MODELS:
        raise UserError(f"model is {config.model!r}; choose one of {', '.join(MODELS)}.")
    return MODELS[config.model]
