"""Importance-weighted objectives: log (1/S) Σ_s w_s, with the weights w = p(x, z, c) / q(z, c|x) of S
draws per example. In the mean it lies between the bound and log p(x), and rises with S.

Sources: Burda, Grosse, Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016; Tucker, Lawson,
Gu, Maddison, "Doubly Reparameterized Gradient Estimators for Monte Carlo Objectives", ICLR 2019.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from cpvae_jax import models, posteriors, values
from cpvae_jax.config import Config, Training
from cpvae_jax.distributions import categorical
from cpvae_jax.errors import UserError
from cpvae_jax.models import category as prior_of_c
from cpvae_jax.models import parts
from cpvae_jax.models.base import Category
from cpvae_jax.objectives import schedules
from cpvae_jax.objectives.base import (
    Batch,
    CheckedObjective,
    MakeObjective,
    Metrics,
    Objective,
    Progress,
)
from cpvae_jax.types import Encoding, Params

DRAWS = 5
"""Draws per example of "iwae" and "dreg": Burda et al. train with 5 and 50, and a step costs about as
many decoder passes."""

_fixed = jax.lax.stop_gradient


class Draws(NamedTuple):
    """S draws z, c ~ q(z, c|x) per example.

    Attributes:
      category: Weights [S, B, K], of which one is 1; None where the networks do not see c.
      z: [S, B, D]
      log_q_c: log q(c|x), [S, B].
      log_q_z: log q(z|x, c), [S, B].
    """

    category: Category
    z: jax.Array
    log_q_c: jax.Array
    log_q_z: jax.Array


def importance_weighted(num: int) -> CheckedObjective:
    """The objective of Burda et al., to be registered under a name.

    Its value is that of hard categories, whatever `training.estimator` says. Their gradient is the
    straight-through one, at the temperature of the schedule. In the warm-up
    log w = log p(x|z, c) + β (log p(z, c) − log q(z, c|x)), so that only β = 1 gives a lower bound.
    With one draw it is the bound, with both divergences estimated at the draw.

    Args:
      num: S, draws per example.

    Returns:
      An objective whose metrics are the batch means of the bound, of its terms and of
      "importance_bound", the objective at β = 1, in nats.
    """
    return CheckedObjective(_maker(num, doubly=False), _check_free_bits)


def doubly_reparametrised(num: int) -> CheckedObjective:
    """The same value with the gradient of Tucker et al., which varies less.

    The parameters of q(z|x, c) get their gradient through z alone: log q is constant in them, and
    draw s weighs w̃_s², where w̃ are the weights normalised over the draws, in place of w̃_s. In the
    warm-up it weighs (1 − β) w̃_s + β w̃_s². The mean of the gradient stays that of
    `importance_weighted`.

    This holds for a density that z is reparametrised from. A category is discrete, so q(c|x) keeps
    the gradient of `importance_weighted`, and so does the posterior of a lower level.

    Args:
      num: S, draws per example.
    """
    return CheckedObjective(_maker(num, doubly=True), _check_density)


def _check_free_bits(training: Training, config: Config) -> None:
    del config
    if training.free_bits:
        raise UserError(
            f"free_bits is {training.free_bits:g}, which the objective {training.objective!r} does "
            "not use; leave it out, or choose objective='bound'."
        )


def _check_density(training: Training, config: Config) -> None:
    _check_free_bits(training, config)
    if posteriors.of(config).log_prob is None:
        raise UserError(
            f"the posterior {config.posterior!r} does not give its density at any z, which the "
            f"objective {training.objective!r} needs; choose objective='iwae', or another posterior."
        )


def _maker(num: int, *, doubly: bool) -> MakeObjective:
    """Makes the objective of `num` draws, with or without the gradient of Tucker et al."""
    num = values.whole("num", num, least=1)

    def make(training: Training) -> Objective:
        def objective(
            params: Params, key: jax.Array, batch: Batch, progress: Progress
        ) -> tuple[jax.Array, Metrics]:
            temperature = schedules.temperature(training, progress.epoch)
            beta = schedules.beta(training, progress.epoch)
            held = prior_of_c.held(params, beta < 1)
            key_draws, key_below = jax.random.split(key)
            draws = _draw(held, key_draws, batch.encoding, num, temperature)
            log_prob, log_ratio = _weigh(held, key_below, batch, draws)
            if doubly:
                weights = jax.nn.softmax(_fixed(log_prob + beta * log_ratio), axis=0)
                share = 1 - beta + beta * weights
                draws = _through_z(held, key_draws, batch.encoding, draws, share)
                # The same numbers once more, which XLA computes once; only their gradient differs.
                log_prob, log_ratio = _weigh(held, key_below, batch, draws)
            metrics = _terms(held, batch.encoding, draws, log_prob, log_ratio)
            return -jnp.mean(_log_mean(log_prob + beta * log_ratio)), metrics

        return objective

    return make


def _draw(
    params: Params,
    key: jax.Array,
    encoding: Encoding,
    num: int,
    temperature: jax.Array,
) -> Draws:
    """`num` draws per example: a straight-through c, then z given c."""
    family = posteriors.of(params.config)
    key_c, key_z = jax.random.split(key)
    logits = jnp.broadcast_to(encoding.logits, (num, *encoding.logits.shape))
    hard = categorical.straight_through(key_c, logits, temperature)
    log_q_c = jnp.sum(hard * jax.nn.log_softmax(logits), axis=-1)
    category = models.of(params.config).seen(hard)
    conditional = family.at(encoding.code, category)
    z, log_q_z = family.sample(params.weights["posterior"], key_z, conditional, num)
    return Draws(category, z, log_q_c, log_q_z)


def _through_z(
    params: Params, key: jax.Array, encoding: Encoding, draws: Draws, share: jax.Array
) -> Draws:
    """The same draws: the parameters of q(z|x, c) get `share` [S, B] of the gradient by z, and no other.

    The category keeps all of its own, through z and through the density.
    """
    family, weights = posteriors.of(params.config), params.weights["posterior"]
    assert family.log_prob is not None, "`_check_density` refuses such families"
    _, key_z = jax.random.split(key)
    num = len(draws.z)
    by_code = family.at(encoding.code, _fixed(draws.category))
    by_category = family.at(_fixed(encoding.code), draws.category)
    z, _ = family.sample(weights, key_z, by_code, num)
    of_c, _ = family.sample(_fixed(weights), key_z, by_category, num)
    z = _split(z, of_c, share[..., None])
    return draws._replace(z=z, log_q_z=family.log_prob(_fixed(weights), by_category, z))


@jax.custom_vjp
def _split(of_code: jax.Array, of_category: jax.Array, share: jax.Array) -> jax.Array:
    """z, given twice; the first gets a share of the gradient, and the second all of it."""
    del of_category, share
    return of_code


_split.defvjp(
    lambda of_code, of_category, share: (of_code, share),
    lambda share, slope: (share * slope, slope, None),
)


def _weigh(
    params: Params, key: jax.Array, batch: Batch, draws: Draws
) -> tuple[jax.Array, jax.Array]:
    """log p(x|z, c) and log p(z, c) − log q(z, c|x), [S, B] each; the key draws the codes below z."""
    category, z = draws.category, draws.z
    log_prob, found = parts.explain(params, key, batch.x, batch.encoding, category, z)
    log_p = models.of(params.config).log_prior(params, z, category)
    return log_prob, found.log_ratio + log_p - draws.log_q_z - draws.log_q_c


def _log_mean(log_weights: jax.Array) -> jax.Array:
    """log (1/S) Σ_s w_s, [S, B] to [B]."""
    return jax.nn.logsumexp(log_weights, axis=0) - math.log(len(log_weights))


def _terms(
    params: Params, encoding: Encoding, draws: Draws, log_prob: jax.Array, log_ratio: jax.Array
) -> Metrics:
    """The metrics: the terms of the bound as averages over the draws, with KL(c) in closed form."""
    bound, reconstruction = jnp.mean(log_prob + log_ratio), jnp.mean(log_prob)
    kl_c = jnp.zeros_like(bound)
    if draws.category is not None:
        kl_c = jnp.mean(prior_of_c.kl(params, encoding.logits))
    return {
        "bound": bound,
        "reconstruction": reconstruction,
        "kl_c": kl_c,
        "kl_z": reconstruction - kl_c - bound,
        "importance_bound": jnp.mean(_log_mean(log_prob + log_ratio)),
    }


iwae = importance_weighted(DRAWS)
dreg = doubly_reparametrised(DRAWS)
