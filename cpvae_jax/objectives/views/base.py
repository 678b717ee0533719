"""The seam of views: altered copies of examples that keep their category."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import numpy as np

from cpvae_jax.config import Config, Training
from cpvae_jax.data.rows import Rows
from cpvae_jax.errors import UserError
from cpvae_jax.objectives.base import Source
from cpvae_jax.types import Params, Tree

Given = np.ndarray | jax.Array | Rows
"""Training examples [N, *shape], in the user's unit or in the model's."""


class Function(Protocol):
    def __call__(self, key: jax.Array, x: jax.Array) -> jax.Array:
        """x′ [B, *shape] from x [B, *shape] in the model's unit: all that a view of one's own needs."""


class Apply(Protocol):
    def __call__(
        self,
        params: Params,
        key: jax.Array,
        x: jax.Array,
        probs: jax.Array,
        source: Source | None,
    ) -> jax.Array:
        """A view x′ [B, *shape] of each example; no gradient reaches the weights through it.

        Args:
          params: The model.
          key: A random key.
          x: What the model explains, [B, *shape] in the model's unit.
          probs: q(c|x), [B, K].
          source: Where x comes from, and what `Measure` found.
        """


class Measure(Protocol):
    def __call__(self, training: Training, params: Params, data: jax.Array | Rows) -> Tree:
        """What the view needs to know of the training data: arrays, or None for nothing.

        Called once before training and again when a run is resumed, eagerly on the host. The same
        data give the same arrays, so they are in no checkpoint.

        Args:
          training: The settings.
          params: The model, whose likelihood knows the unit.
          data: Training examples [N, *shape] in the model's unit.
        """


class Check(Protocol):
    def __call__(self, config: Config, data: Given) -> None:
        """Raise `UserError` for a model or data that the view does not suit; called before `Measure`."""


def measure_nothing(training: Training, params: Params, data: jax.Array | Rows) -> Tree:
    """Nothing."""
    del training, params, data


def accept(config: Config, data: Given) -> None:
    """Take all models and data."""
    del config, data


class View(NamedTuple):
    """Altered copies of examples.

    Attributes:
      apply: Makes the copies of a batch.
      measure: What they need to know of all training data.
      check: Refuses what they do not suit.
      every: The view is made of every n-th example of a batch, for views that cost much.
    """

    apply: Apply
    measure: Measure = measure_nothing
    check: Check = accept
    every: int = 1


ViewOrFunction = View | Callable
"""What can be registered as a view."""


def of_function(name: str, function: Function) -> View:
    """A function of key and x as a `View`. Its result is checked on two examples of zeros."""

    def apply(
        params: Params,
        key: jax.Array,
        x: jax.Array,
        probs: jax.Array,
        source: Source | None,
    ) -> jax.Array:
        del params, probs, source
        return function(key, x).astype(x.dtype)

    def check(config: Config, data: Given) -> None:
        del data
        x = jax.ShapeDtypeStruct((2, *config.shape), "float32")
        found = jax.eval_shape(function, jax.random.key(0), x)
        if getattr(found, "shape", None) != x.shape:
            raise UserError(
                f"the view {name!r} turns examples of shape {x.shape} into "
                f"{getattr(found, 'shape', type(found).__name__)}; it must keep their shape."
            )

    return View(apply, check=check)


def measured(name: str, source: Source | None) -> Tree:
    """What a view measured.

    Raises:
      UserError: Nothing was, because the training loop is not the library's own.
    """
    if source is None or source.measured is None:
        raise UserError(
            f"the view {name!r} has not seen the training data; train with cpvae_jax.fit, or give "
            "what objectives.measure returns."
        )
    return source.measured
