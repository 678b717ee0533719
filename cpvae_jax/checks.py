"""Checks of users' input, made on concrete values before JAX sees them.

JAX clamps an index that is out of range and carries NaN along silently; these checks raise a
`UserError` instead. Values traced inside a user's own `jit` cannot be checked and pass.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import likelihoods
from cpvae_jax.config import Config
from cpvae_jax.data.dataset import Dataset, check
from cpvae_jax.data.rows import Rows, sample_of
from cpvae_jax.errors import UserError
from cpvae_jax.keys import is_key


def concrete(value: jax.typing.ArrayLike) -> bool:
    """Returns whether this process can read the values: not if traced, or held by other processes."""
    if isinstance(value, jax.core.Tracer):
        return False
    return not isinstance(value, jax.Array) or value.is_fully_addressable


def data(config: Config, x: jax.typing.ArrayLike | Rows, name: str = "x") -> jax.Array:
    """Returns checked examples as a JAX array [B, *shape].

    Args:
      config: The model that reads the examples.
      x: Examples [B, *shape], or flat ones [B, X].
      name: What the caller calls them, for the error message.

    Raises:
      UserError: There are no examples, they have another shape or no numbers, they are not
        finite, or the likelihood does not accept them.
    """
    if isinstance(x, Rows):
        raise UserError(
            f"{name} is Rows, which only fit and aggregated_posterior can read; give an array, "
            "such as rows[np.arange(1000)]."
        )
    array = x if isinstance(x, jax.Array) else np.asarray(x)
    shape(config, array, name)
    if array.shape[0] == 0:
        raise UserError(f"{name} is empty; give at least one example.")
    _dtype(array, name)
    if concrete(array):
        values(config, np.asarray(array), name)
    return jnp.asarray(array).reshape(array.shape[0], *config.shape)


def readable(
    config: Config, given: jax.typing.ArrayLike | Rows, name: str = "train"
) -> jax.Array | Rows:
    """Returns checked examples [N, *shape] as a JAX array, or as `Rows` if they are `Rows`.

    Args:
      config: The model that reads the examples.
      given: Examples [N, *shape], or flat ones [N, X]. All `Rows` are read once, in blocks.
      name: What the caller calls them, for the error message.

    Raises:
      UserError: As `data`.
    """
    if not isinstance(given, Rows):
        return data(config, given, name)
    start = 0
    for block in given.blocks():
        shape(config, block, name)
        values(config, block, name, start=start)
        start += len(block)
    return given.shaped(config.shape)


def dataset(config: Config, given: Dataset) -> None:
    """Raises a `UserError` unless a model can learn from a data set.

    Of a training part that stays on disk, only a sample is read; `readable` reads all of it.

    Args:
      config: The model, whose shape and likelihood the examples must suit.
      given: The data set.

    Raises:
      UserError: The parts or labels do not fit together (`data.check`), or the values are not
        finite, or the likelihood does not accept them.
    """
    check(given)
    for part, x in given.parts.items():
        name = f"{given.name}: the {part} part"
        array = np.asarray(sample_of(x))
        shape(config, array, name)
        values(config, array, name)


def shape(config: Config, array: np.ndarray | jax.Array, name: str) -> None:
    """Raises a `UserError` unless an array holds examples [B, *shape], or flat ones [B, X]."""
    if array.ndim < 1 or array.shape[1:] not in (config.shape, (config.size,)):
        wanted = ", ".join(map(str, ("B", *config.shape)))
        raise UserError(
            f"{name} has the shape {array.shape}; this model takes examples of shape ({wanted}), so "
            "add or drop an axis, or resize them."
        )


def values(config: Config, array: np.ndarray, name: str, *, start: int = 0) -> None:
    """Raises a `UserError` for values that the model's likelihood does not accept.

    Args:
      config: The model.
      array: Examples [B, ...], at least one.
      name: What the caller calls them, for the error message.
      start: The index of the first example, if they are part of a larger array.

    Raises:
      UserError: The array does not hold real numbers, some are NaN or infinite, or the
        likelihood's own check refuses them.
    """
    _dtype(array, name)
    # NaN and infinity show in the minimum or the maximum; only the message needs a mask.
    if not (np.isfinite(array.min()) and np.isfinite(array.max())):
        bad = ~np.isfinite(array)
        first = start + int(bad.reshape(len(bad), -1).any(axis=1).argmax())
        count = int(bad.sum())
        numbers = "1 number that is" if count == 1 else f"{count} numbers that are"
        raise UserError(
            f"{name} holds {numbers} NaN or infinite, the first in example {first} (counting from "
            "0); remove those examples or replace the numbers."
        )
    likelihoods.of(config).check(config, array, name)


def _dtype(array: np.ndarray | jax.Array, name: str) -> None:
    """Raises a `UserError` unless an array holds booleans, integers or floats."""
    if getattr(array.dtype, "kind", None) not in ("b", "u", "i", "f"):  # keys have no kind
        raise UserError(
            f"{name} has dtype {array.dtype}; convert it to float32 or to uint8 grey levels."
        )


def category(K: int, k: jax.typing.ArrayLike) -> jax.Array:
    """Returns a category, or an array of categories, as int32.

    Raises:
      UserError: A category is not a whole number from 0 to K - 1. JAX would clamp it.
    """
    array = k if isinstance(k, jax.Array) else np.asarray(k)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise UserError(f"category is {k!r}; it must be a whole number from 0 to {K - 1}.")
    if concrete(array):
        outside = np.asarray(array)[(np.asarray(array) < 0) | (np.asarray(array) >= K)]
        if outside.size:
            raise UserError(
                f"category is {outside.flat[0]}; this model has {K} categories, 0 to {K - 1}."
            )
    return jnp.asarray(array, jnp.int32)


def keys(key: jax.Array) -> jax.Array:
    """Returns random keys as `jax.random.key` makes them; those of `jax.random.PRNGKey` are wrapped."""
    try:
        found = jnp.asarray(key)
        return found if is_key(found) else jax.random.wrap_key_data(found)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"key is {key!r}; give a random key, such as jax.random.key(0), or an array of keys to "
            "train several seeds."
        ) from error


def key(given: jax.Array) -> jax.Array:
    """Returns a single random key, as `keys` does; an array of keys is a `UserError`."""
    found = keys(given)
    if found.ndim:
        raise UserError(f"key has the shape {found.shape}; give a single random key.")
    return found


def temperature(value: jax.typing.ArrayLike) -> None:
    """Raises a `UserError` unless temperature > 0."""
    if concrete(value) and not np.asarray(value) > 0:
        raise UserError(f"temperature is {value}; it must be a positive number.")


def at_least(name: str, value: int, least: int) -> None:
    """Raises a `UserError` unless a count is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise UserError(f"{name} is {value!r}; it must be a whole number of at least {least}.")
