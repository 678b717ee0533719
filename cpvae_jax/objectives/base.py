"""The objective and regulariser seams, and the gradient that training follows."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import struct

from cpvae_jax import models
from cpvae_jax.config import Config, Training
from cpvae_jax.types import Encoding, Params, Tree

REGULARISER = 0x7E6
"""Folded into a step's key for the regularisers, so that the objective's draws stay the same."""

Metrics = dict[str, jax.Array]


@struct.dataclass
class Source:
    """Where a batch comes from.

    Attributes:
      index: Rows of the data, [B]; None for data that are streamed.
      data: All training data in the model's unit, [N, *shape]; None for data that are streamed.
      measured: What was measured on them once, before training; None if nothing was.
      own: Arrays of this seed's own: the partition that its categories start from, [N, K], if there
        is one.
    """

    index: jax.Array | None
    data: jax.Array | None
    measured: Tree = None
    own: Tree = None

    @property
    def partition(self) -> jax.Array | None:
        """Where the categories of the batch started, [B, K]; None without any."""
        return None if self.own is None or self.index is None else self.own[self.index]

    def every(self, step: int) -> Source:
        """Where every `step`-th example of the batch comes from."""
        return self if self.index is None else replace(self, index=self.index[::step])


class Batch(NamedTuple):
    """One batch of training data.

    Attributes:
      x: What the model explains, [B, *shape]: drawn black or white where the likelihood says so.
      encoding: The model's posterior of x, shared by the objective and all regularisers.
      source: Where x comes from, if that is known.
    """

    x: jax.Array
    encoding: Encoding
    source: Source | None = None


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


class MakeObjective(Protocol):
    def __call__(self, training: Training) -> Objective:
        """The objective of some training settings."""


class Check(Protocol):
    def __call__(self, training: Training, config: Config) -> None:
        """Raise `UserError` for settings or a model that the objective does not suit."""


class CheckedObjective(NamedTuple):
    """An objective that does not suit every model; it is registered in place of its `make`.

    Attributes:
      make: Makes the objective.
      check: Refuses what it does not suit, before training starts.
    """

    make: MakeObjective
    check: Check

    def __call__(self, training: Training) -> Objective:
        """The objective of some training settings."""
        return self.make(training)


class PlainRegulariser(Protocol):
    def __call__(
        self, params: Params, key: jax.Array, x: jax.Array, posterior: Encoding
    ) -> jax.Array:
        """A scalar in nats to add to the loss, from x [B, *shape] and q(z, c|x)."""


class SourcedRegulariser(Protocol):
    def __call__(
        self,
        params: Params,
        key: jax.Array,
        x: jax.Array,
        posterior: Encoding,
        *,
        source: Source | None,
    ) -> jax.Array:
        """The same; a parameter of the name `source` also gets where x comes from.

        Before training, the view of the settings is checked and measured for it.
        """


class AnchoredRegulariser(Protocol):
    def __call__(
        self,
        params: Params,
        key: jax.Array,
        x: jax.Array,
        posterior: Encoding,
        *,
        partition: jax.Array | None,
    ) -> jax.Array:
        """The same; a parameter of the name `partition` also gets where the categories of x started.

        It is [B, K], with rows of zeros for examples that are free to move; None without any.
        """


Regulariser = PlainRegulariser | SourcedRegulariser | AnchoredRegulariser


def takes(regulariser: Regulariser, name: str) -> bool:
    """Whether a regulariser has a parameter of that name."""
    return name in inspect.signature(regulariser).parameters


def _given(regulariser: Regulariser, source: Source | None) -> dict[str, Any]:
    """What a regulariser asks for by the names of its parameters."""
    found: dict[str, Any] = {}
    if takes(regulariser, "source"):
        found["source"] = source
    if takes(regulariser, "partition"):
        found["partition"] = None if source is None else source.partition
    return found


def regularised(objective: Objective, added: Sequence[tuple[str, Regulariser, float]]) -> Objective:
    """An objective plus weighted regularisers; each appears in the metrics, unweighted."""

    def total(
        params: Params, key: jax.Array, batch: Batch, progress: Progress
    ) -> tuple[jax.Array, Metrics]:
        loss, metrics = objective(params, key, batch, progress)
        for number, (name, regulariser, weight) in enumerate(added):
            own_key = jax.random.fold_in(jax.random.fold_in(key, REGULARISER), number)
            more = _given(regulariser, batch.source)
            value = regulariser(params, own_key, batch.x, batch.encoding, **more)
            loss, metrics = loss + weight * value, {**metrics, name: value}
        return loss, metrics

    return total


def gradient(
    objective: Objective,
    params: Params,
    key: jax.Array,
    x: jax.Array,
    progress: Progress,
    source: Source | None = None,
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
        value, metrics = objective(current, key, Batch(x, encoding, source), progress)
        return jnp.asarray(value), metrics

    (value, metrics), found = jax.value_and_grad(loss, has_aux=True)(params.weights)
    return found, value, metrics
