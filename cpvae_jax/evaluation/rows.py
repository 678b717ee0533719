"""What a model says of single rows, in programs of one size: a row has the same result alone and among others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import checks, likelihoods, models, posteriors
from cpvae_jax.distributions.precision import exact
from cpvae_jax.evaluation.estimates import BATCH
from cpvae_jax.types import Params

DRAWS = 8
"""Draws of z per row: the bound of one row has a standard error of a third of that of a single draw."""


def bounds(
    params: Params, key: jax.Array, x: jax.typing.ArrayLike, *, draws: int = DRAWS
) -> np.ndarray:
    """The true bound on log p(x) of each row, in nats.

    All rows share their noise, so a row has the same bound alone and among others.

    Args:
      params: The model.
      key: A random key.
      x: Examples [N, *shape], or a data frame for a model of a table.
      draws: Draws of z per row to average over.

    Returns:
      [N]

    Raises:
      UserError: The data do not suit the model.

    >>> import jax, cpvae_jax
    >>> params = cpvae_jax.initialise(jax.random.key(0), cpvae_jax.Config(shape=(8, 8), K=5))
    >>> bounds(params, jax.random.key(1), np.zeros((2, 8, 8))).shape
    (2,)
    """
    checks.at_least("draws", draws, 1)
    data = checks.data(params, x)
    return padded(partial(_bounds, params, checks.key(key), draws=draws), data)


def probs(params: Params, x: jax.typing.ArrayLike) -> np.ndarray:
    """The probabilities of the categories of each row, as `api.predict` gives them, [N, K].

    Args:
      params: The model.
      x: Examples [N, *shape], or a data frame for a model of a table.

    Raises:
      UserError: The data do not suit the model.
    """
    return padded(partial(probs_of, params), checks.data(params, x))


def codes(params: Params, x: jax.typing.ArrayLike) -> np.ndarray:
    """The mean of q(z|x, c) at the most probable component of each row, [N, D]; see `probs`."""
    return padded(partial(_codes, params), checks.data(params, x))


@jax.jit
@exact
def probs_of(params: Params, data: jax.Array) -> jax.Array:
    """The probabilities of the categories of examples in the model's unit, [B, K]."""
    model = models.of(params.config)
    encoding = model.infer(params, likelihoods.of(params.config).expect(params.config, data))
    return params.by_category(jax.nn.softmax(model.logits(params, encoding)))


@jax.jit
@exact
def _codes(params: Params, data: jax.Array) -> jax.Array:
    config = params.config
    model, family = models.of(config), posteriors.of(config)
    encoding = model.infer(params, likelihoods.of(config).expect(config, data))
    component = jnp.argmax(model.logits(params, encoding), axis=-1).astype(jnp.int32)
    conditional = family.at(encoding.code, model.seen(component))
    return family.mean(params.weights["posterior"], conditional)


def padded(function: Callable[[Any], Any], x: Any) -> np.ndarray:
    """A function of examples [N, ...], always on `BATCH` of them: the last one is repeated to fill up.

    So one program is compiled, and a row has the same result alone and among others.
    """
    found = []
    for start in range(0, len(x), BATCH):
        index = np.minimum(np.arange(start, start + BATCH), len(x) - 1)
        found.append(np.asarray(function(x[index]))[: len(x) - start])
    return np.concatenate(found)


@partial(jax.jit, static_argnames="draws")
@exact
def _bounds(params: Params, key: jax.Array, data: jax.Array, *, draws: int) -> jax.Array:
    config, model = params.config, models.of(params.config)

    def of_row(row: jax.Array, key: jax.Array) -> jax.Array:
        key_x, key_terms = jax.random.split(key)
        x = likelihoods.of(config).observe(config, key_x, row[None])
        return model.terms(params, key_terms, x, model.infer(params, x), "exact").bound[0]

    def more(total: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
        return total + jax.vmap(of_row, in_axes=(0, None))(data, key), None

    total, _ = jax.lax.scan(more, jnp.zeros(len(data), jnp.float32), jax.random.split(key, draws))
    return total / draws
