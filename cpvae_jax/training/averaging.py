"""Averages of the weights along training: less noisy than the last weights, and often better.

Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; with
exponential weights as Kingma and Ba, "Adam", ICLR 2015, section 7.2.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from cpvae_jax.types import Params, Tree


class Averaged(NamedTuple):
    """The state of an optimiser whose weights are averaged.

    Attributes:
      inner: The state of the optimiser itself.
      average: The average of the weights after each step until now; before the first, the weights.
      steps: Steps taken, [].
    """

    inner: Any
    average: Tree
    steps: jax.Array


def averaged(optimiser: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """An optimiser that also keeps the exponential moving average of the weights.

    After n steps with the weights w_1 to w_n it is Σ_k d^(n−k) w_k / Σ_k d^(n−k), which is the
    average of Adam with its correction of the bias. The updates stay those of the optimiser.

    Args:
      optimiser: Any optax transformation; its `update` gets the weights.
      decay: d, between 0 and 1.
    """

    def init(weights: Tree) -> Averaged:
        return Averaged(optimiser.init(weights), weights, jnp.zeros((), jnp.int32))

    def update(updates: Tree, state: Averaged, weights: Tree) -> tuple[Tree, Averaged]:
        updates, inner = optimiser.update(updates, state.inner, weights)
        steps = state.steps + 1
        share = _share(decay, steps)
        average = jax.tree.map(
            lambda mean, w: mean + share.astype(w.dtype) * (w - mean),
            state.average,
            optax.apply_updates(weights, updates),
        )
        return updates, Averaged(inner, average, steps)

    return optax.GradientTransformation(init, update)


def _share(decay: float, steps: jax.Array) -> jax.Array:
    """What the newest of n weights counts in their average: (1 − d) / (1 − dⁿ), which is 1 for n = 1."""
    total = -jnp.expm1(steps.astype(jnp.float32) * math.log(decay))
    return jnp.minimum((1 - decay) / total, 1.0)


def of(params: Params, opt_state: Any) -> Params:
    """The parameters to validate and to keep: averaged where the optimiser's state has an average.

    Constants of the data stay as they are.
    """
    return params.with_weights(opt_state.average) if isinstance(opt_state, Averaged) else params
