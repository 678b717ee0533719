"""Regularisers of q(c|x). Any q is allowed in the bound, so it stays a lower bound with all of them.

Together they make categories follow the modes of the data: `consistency` asks for the same
category in every view of an example, `certainty` for a definite one, and `balance` for all
categories to be used. Source of the combination: Hu et al., "Learning discrete representations via
information maximizing self-augmented training", ICML 2017.

Weights are in nats per example, and have to be given. The recipe "modes" takes 100 for `consistency`,
40 for `balance` and 10 for `certainty` with affine views of images; 20, 8 and 2 suit tables with the
view "adversarial".
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from cpvae_jax import models
from cpvae_jax.config import Training
from cpvae_jax.distributions import categorical
from cpvae_jax.models import category
from cpvae_jax.objectives import views
from cpvae_jax.objectives.base import Regulariser, Source
from cpvae_jax.types import Encoding, Params


def balance(training: Training) -> Regulariser:
    """Σ_c q̄(c) log q̄(c) with q̄ the batch mean of q(c|x): asks for all categories to be used.

    Between −log K (all categories used alike) and 0 (a single one), in nats. With a learned p(c) it
    is KL(q̄ || p(c)) − log K, which is the same where p(c) is uniform: it asks for categories as
    frequent as p(c) says, not for equal ones. p(c) is a fixed target here and follows q(c|x) through
    the bound, so it comes to rest where the bound wants it.
    """
    del training

    def regulariser(params: Params, key: jax.Array, x: jax.Array, posterior: Encoding) -> jax.Array:
        del key, x
        # In logarithms, so that a category whose probabilities round to 0 has a finite gradient.
        log_probs = jax.nn.log_softmax(posterior.logits)
        logits = jax.nn.logsumexp(log_probs, axis=0)
        if not category.learned(params.config):
            return -categorical.entropy(logits)
        expected = jax.lax.stop_gradient(category.log_probs(params))
        return categorical.kl(logits, expected) - math.log(params.config.K)

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
    """−Σ_c q(c|x) log q(c|x′) for a view x′ of each example: asks for one category for both.

    The batch mean in nats, at least that of `certainty`. q(c|x) is a fixed target, and x′ is fixed
    too, so gradients reach the encoder through q(c|x′) alone. `training.view` names the view.
    """
    view = views.of(training)

    def regulariser(
        params: Params,
        key: jax.Array,
        x: jax.Array,
        posterior: Encoding,
        *,
        source: Source | None = None,
    ) -> jax.Array:
        target = jax.lax.stop_gradient(posterior.probs)[:: view.every]
        origin = None if source is None else source.every(view.every)
        seen = jax.lax.stop_gradient(view.apply(params, key, x[:: view.every], target, origin))
        log_q = jax.nn.log_softmax(models.of(params.config).infer(params, seen).logits)
        return -jnp.mean(jnp.sum(target * log_q, axis=-1))

    return regulariser
