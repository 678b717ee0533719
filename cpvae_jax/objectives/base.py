"""The objective and regulariser seams, and the gradient that training follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from cpvae_jax import models
from cpvae_jax.types import Encoding, Params, Tree

REGULARISER = 0x7E6
"""Folded into a step's key for the regularisers, so that the objective's draws stay the same."""

Metrics = dict[str, jax.Array]


class Batch(NamedTuple):
    """One batch of training data.

    Attributes:
      x: What the model explains, [B, *shape]: drawn black or white where the likelihood says so.
      encoding: The model's posterior of x, shared by the objective and all regularisers.
    """

    x: jax.Array
    encoding: Encoding


class Progress(NamedTuple):
    """How far training has come, for schedules.

    Attributes:
      epoch: Epochs done, this step included; fractional.
      epochs: The most epochs that there will be.
    """

    epoch: jax.Array
    epochs: int


class Objective(Protocol):
    def __call__(
        self, params: Params, key: jax.Array, batch: Batch, progress: Progress
    ) -> tuple[jax.Array, Metrics]:
        """The loss of a batch, and scalars by name for the log; all must be finite."""


class Regulariser(Protocol):
    def __call__(
        self, params: Params, key: jax.Array, x: jax.Array, posterior: Encoding
    ) -> jax.Array:
        """A scalar in nats to add to the loss, from x [B, *shape] and q(z, c|x)."""


def regularised(objective: Objective, added: Sequence[tuple[str, Regulariser, float]]) -> Objective:
    """An objective plus weighted regularisers; each appears in the metrics, unweighted."""

    def total(
        params: Params, key: jax.Array, batch: Batch, progress: Progress
    ) -> tuple[jax.Array, Metrics]:
        loss, metrics = objective(params, key, batch, progress)
        for number, (name, regulariser, weight) in enumerate(added):
            own_key = jax.random.fold_in(jax.random.fold_in(key, REGULARISER), number)
            value = regulariser(params, own_key, batch.x, batch.encoding)
            loss, metrics = loss + weight * value, {**metrics, name: value}
        return loss, metrics

    return total


def gradient(
    objective: Objective, params: Params, key: jax.Array, x: jax.Array, progress: Progress
) -> tuple[Tree, jax.Array, Metrics]:
    """The gradient of the loss by all weights, the loss, and the metrics.

    Reparametrised draws of c and z carry it to every part of the model at once:

    - Eq. (10): to the decoder, ∇ log p(x|z, c) at z, c ~ q(z, c|x);
    - Eq. (11): to the encoder, through z = μ + σ · noise and the Gumbel-Softmax c;
    - Eq. (12): to the prior, through the exact divergence. The paper prints it with a minus sign
      before ∇ log p(z|c), which belongs to the loss: the bound rises with log p(z|c).
    """

    def loss(weights: Tree) -> tuple[jax.Array, Metrics]:
        current = params.with_weights(weights)
        encoding = models.of(params.config).infer(current, x)
        value, metrics = objective(current, key, Batch(x, encoding), progress)
        return jnp.asarray(value), metrics

    (value, metrics), found = jax.value_and_grad(loss, has_aux=True)(params.weights)
    return found, value, metrics
