"""Regularisers of q(c|x). Any q is allowed in the bound, so it stays a lower bound with all of them.

Together they make categories follow the modes of the data: `consistency` asks for the same
category in every view of an example, `certainty` for a definite one, and `balance` for all
categories to be used. Source of the combination: Hu et al., "Learning discrete representations via
information maximizing self-augmented training", ICML 2017.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax import likelihoods, models
from cpvae_jax.config import Training
from cpvae_jax.distributions import categorical
from cpvae_jax.objectives import views
from cpvae_jax.objectives.base import Regulariser
from cpvae_jax.types import Encoding, Params


def balance(training: Training) -> Regulariser:
    """Σ_c q̄(c) log q̄(c) with q̄ the batch mean of q(c|x): asks for all categories to be used.

    Between −log K (all categories used alike) and 0 (a single one), in nats.
    """
    del training

    def regulariser(params: Params, key: jax.Array, x: jax.Array, posterior: Encoding) -> jax.Array:
        del params, key, x
        # In logarithms, so that a category whose probabilities round to 0 has a finite gradient.
        log_probs = jax.nn.log_softmax(posterior.logits)
        return -categorical.entropy(jax.nn.logsumexp(log_probs, axis=0))

    return regulariser


def certainty(training: Training) -> Regulariser:
    """The batch mean of the entropy H(q(c|x)): asks for a definite category of each example.

    Between 0 and log K, in nats.
    """
    del training

    def regulariser(params: Params, key: jax.Array, x: jax.Array, posterior: Encoding) -> jax.Array:
        del params, key, x
        return jnp.mean(categorical.entropy(posterior.logits))

    return regulariser


def consistency(training: Training) -> Regulariser:
    """−Σ_c q(c|x) log q(c|x′) for an affine view x′ of an image: asks for one category for both.

    The batch mean in nats. q(c|x) is a fixed target, so gradients reach the encoder through x′.
    """
    del training

    def regulariser(params: Params, key: jax.Array, x: jax.Array, posterior: Encoding) -> jax.Array:
        # Views are black, 0 in the unit of the data, where the image does not reach.
        black = likelihoods.of(params.config).prepare(params.likelihood, jnp.zeros_like(x[:1]))
        view = models.of(params.config).infer(params, views.affine(key, x - black) + black)
        target = jax.lax.stop_gradient(posterior.probs)
        return -jnp.mean(jnp.sum(target * jax.nn.log_softmax(view.logits), axis=-1))

    return regulariser
