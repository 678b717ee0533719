"""Neighbours as views: one of the nearest training examples stands for x; for any data in memory."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import likelihoods
from cpvae_jax.config import Config, Training
from cpvae_jax.data.rows import Rows
from cpvae_jax.errors import UserError
from cpvae_jax.objectives.base import Source
from cpvae_jax.objectives.views import nearest
from cpvae_jax.objectives.views.base import Given, View, measured
from cpvae_jax.types import Params, Tree

NEIGHBOURS = 10
"""Nearest examples that a view is drawn from."""


def apply(
    params: Params, key: jax.Array, x: jax.Array, probs: jax.Array, source: Source | None
) -> jax.Array:
    """One of the nearest neighbours of each example, drawn at random and observed as x is.

    Args:
      params: The model.
      key: A random key.
      x: What the model explains, [B, *shape].
      probs: q(c|x), [B, K].
      source: Where x comes from, with the neighbours that `measure` found, [N, k].
    """
    del probs
    table = measured("neighbours", source)["neighbours"]
    assert source is not None
    assert source.data is not None
    key_choice, key_x = jax.random.split(key)
    choice = jax.random.randint(key_choice, (len(x),), 0, table.shape[1], jnp.int32)
    chosen = source.data[table[source.index, choice]]
    return likelihoods.of(params.config).observe(params.config, key_x, chosen)


def measure(training: Training, params: Params, data: jax.Array | Rows) -> Tree:
    """The rows of the 10 nearest neighbours of each training example, [N, k], by `nearest.search`."""
    del training
    found = nearest.search(params.config, np.asarray(data), NEIGHBOURS)
    return {"neighbours": jnp.asarray(found.rows, jnp.int32)}


def check(config: Config, data: Given) -> None:
    """Raise `UserError` for data without neighbours to choose from."""
    del config
    if isinstance(data, Rows):
        raise UserError(
            "the view 'neighbours' needs the training data in memory, but they stay on disk; load "
            "them as an array, or choose another view, such as 'adversarial'."
        )
    if len(data) < 2:
        raise UserError(
            "train has 1 example, which has no neighbour; give at least 2, or another view, such "
            "as 'noise'."
        )


VIEW = View(apply, measure, check)
