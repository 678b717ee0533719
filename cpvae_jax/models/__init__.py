"""The models: `cpvae` is the paper from top to bottom, `marginal` its baselines with c summed out."""

from __future__ import annotations

from cpvae_jax import priors
from cpvae_jax.config import Config
from cpvae_jax.models import cpvae, marginal
from cpvae_jax.models.base import Model


def of(config: Config) -> Model:
    """The model of a configuration, by whether its prior has c inferred or summed out."""
    return cpvae.MODEL if priors.of(config).inferred else marginal.MODEL
