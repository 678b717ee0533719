"""The objective "free-bits": the bound, in which the first nats of KL(z) cost nothing.

Source: Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow", 2016.
"""

import jax
import jax.numpy as jnp

from cpvae_jax import models, objectives
from cpvae_jax.objectives import schedules

FREE = 3.0  # nats


def free_bits(training):
    def objective(params, key, batch, progress):
        beta = schedules.beta(training, progress.epoch)
        temperature = schedules.temperature(training, progress.epoch)
        terms = models.of(params.config).terms(
            params, key, batch.x, batch.encoding, training.estimator, temperature
        )
        kl_z = jnp.maximum(jnp.mean(terms.kl_z), FREE)
        loss = beta * (jnp.mean(terms.kl_c) + kl_z) - jnp.mean(terms.reconstruction)
        return loss, jax.tree.map(jnp.mean, terms.named())

    return objective


objectives.register("free-bits", free_bits)
