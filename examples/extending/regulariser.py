"""The regulariser "steady": an example and a noisy copy of it belong to one category."""

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from cpvae_jax import models, objectives

NOISE = 0.2  # in standard deviations of the data


def steady(training):
    def regulariser(params, key, x, posterior):
        """KL(q(c|x) || q(c|noisy x)) in nats, with q(c|x) as a fixed target."""
        noisy = x + NOISE * jnp.std(x) * jax.random.normal(key, x.shape)
        log_q = jax.nn.log_softmax(models.of(params.config).infer(params, noisy).logits)
        target = jax.lax.stop_gradient(posterior.probs)
        return jnp.mean(jnp.sum(xlogy(target, target) - target * log_q, axis=-1))

    return regulariser


objectives.register_regulariser("steady", steady)
