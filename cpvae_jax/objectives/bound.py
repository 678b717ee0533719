"""The paper's objective: the bound, with the weight of its divergences warmed up."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax import models
from cpvae_jax.config import Training
from cpvae_jax.models import category
from cpvae_jax.objectives import schedules
from cpvae_jax.objectives.base import Batch, Metrics, Objective, Progress
from cpvae_jax.types import Params


def bound(training: Training) -> Objective:
    """The batch mean of −(reconstruction − β · divergences), with β rising to 1 over the warm-up.

    The terms come from the model (`models.cpvae.terms`) by `training.estimator`, at the
    temperature of the schedule. A learned p(c) stays as it starts until the warm-up is over:
    before, q(c|x) has no form that is worth following, and the two would run off together.

    With `training.free_bits` the batch mean of KL(z) counts as at least so many nats. Below, it
    costs nothing and gets no gradient, so the code stays in use; the loss is not the bound then.
    Sources: Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow", NeurIPS
    2016; Chen et al., "Variational Lossy Autoencoder", ICLR 2017.

    Args:
      training: The training settings.

    Returns:
      An objective whose metrics are the batch means of the bound and its terms, in nats.
    """

    def objective(
        params: Params, key: jax.Array, batch: Batch, progress: Progress
    ) -> tuple[jax.Array, Metrics]:
        temperature = schedules.temperature(training, progress.epoch)
        beta = schedules.beta(training, progress.epoch)
        held = category.held(params, beta < 1)
        terms = models.of(params.config).terms(
            held, key, batch.x, batch.encoding, training.estimator, temperature
        )
        metrics = jax.tree.map(jnp.mean, terms.named())
        if training.free_bits:
            kl_z = jnp.maximum(metrics["kl_z"], training.free_bits)
            return beta * (metrics["kl_c"] + kl_z) - metrics["reconstruction"], metrics
        weighted = terms.reconstruction - beta * (terms.kl_c + terms.kl_z)
        return -jnp.mean(weighted), metrics

    return objective
