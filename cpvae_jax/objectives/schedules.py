"""Schedules of the objective by (fractional) epoch. Learning rates are optax's own schedules."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax.config import Training


def beta(training: Training, epoch: jax.Array) -> jax.Array:
    """The weight of the divergences: rises linearly from 0 to 1 over the warm-up.

    Source: Bowman et al., "Generating sentences from a continuous space", 2016.
    """
    return jnp.minimum(1.0, epoch / training.warmup) if training.warmup else jnp.ones_like(epoch)


def temperature(training: Training, epoch: jax.Array) -> jax.Array:
    """The Gumbel-Softmax temperature: falls exponentially, then stays."""
    done = jnp.minimum(1.0, epoch / max(training.temperature_epochs, 1))
    done = done if training.temperature_epochs else jnp.ones_like(epoch)
    return training.temperature * (training.temperature_end / training.temperature) ** done
