"""The objective "beta-vae": the bound, in which the divergences weigh more than 1.

Source: Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained Variational
Framework", ICLR 2017.
"""

import jax
import jax.numpy as jnp

from cpvae_jax import models, objectives
from cpvae_jax.objectives import schedules

WEIGHT = 4.0


def beta_vae(training):
    def objective(params, key, batch, progress):
        beta = WEIGHT * schedules.beta(training, progress.epoch)
        temperature = schedules.temperature(training, progress.epoch)
        terms = models.of(params.config).terms(
            params, key, batch.x, batch.encoding, training.estimator, temperature
        )
        loss = jnp.mean(beta * (terms.kl_c + terms.kl_z) - terms.reconstruction)
        return loss, jax.tree.map(jnp.mean, terms.named())

    return objective


objectives.register("beta-vae", beta_vae)
