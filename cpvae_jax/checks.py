"""Checks of what users hand in, made on concrete values before JAX sees them.

JAX clamps an index that is out of range and carries NaN along without a word; here is where
such input is refused. Traced values, inside a user's own `jit`, pass unchecked.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.errors import UserError
from cpvae_jax.keys import is_key
from cpvae_jax.rows import Rows


def concrete(value: jax.typing.ArrayLike) -> bool:
    """Whether a value can be looked at: no traced one, and none that lies with other processes."""
    if isinstance(value, jax.core.Tracer):
        return False
    return not isinstance(value, jax.Array) or value.is_fully_addressable


def data(config: Config, x: jax.typing.ArrayLike, name: str = "x") -> jax.Array:
    """Examples [B, *shape], or flat [B, X], as a flat array [B, X] that the model can read."""
    if isinstance(x, Rows):
        raise UserError(
            f"{name} is Rows, which only training data and q(c) may be; give an array, such as "
            "rows[np.arange(1000)]."
        )
    array = x if isinstance(x, jax.Array) else np.asarray(x)
    shape(config, array, name)
    if array.shape[0] == 0:
        raise UserError(f"{name} is empty; give at least one example.")
    if concrete(array):
        values(config, np.asarray(array), name)
    return jnp.asarray(array).reshape(array.shape[0], config.size)


def shape(config: Config, array: np.ndarray | jax.Array, name: str) -> None:
    """Raise `UserError` unless an array holds examples [B, *shape], or flat ones [B, X]."""
    if array.ndim < 1 or array.shape[1:] not in (config.shape, (config.size,)):
        wanted = ", ".join(map(str, ("B", *config.shape)))
        raise UserError(
            f"{name} has the shape {array.shape}; this model takes examples of shape ({wanted}), "
            "so add or drop an axis, or resize them."
        )


def values(config: Config, array: np.ndarray, name: str) -> None:
    """Raise `UserError` for numbers that the likelihood of a configuration cannot explain."""
    if array.dtype.kind not in "buif":
        raise UserError(
            f"{name} holds {array.dtype}; convert it to floats or to uint8 grey levels."
        )
    low, high = array.min(), array.max()  # NaN shows in both
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UserError(
            f"{name} holds {int((~np.isfinite(array)).sum())} numbers that are NaN or infinite; "
            "remove those examples or fill the gaps."
        )
    if config.likelihood != "bernoulli":
        return
    if low < 0 or high > (255 if array.dtype.kind in "ui" else 1):
        raise UserError(
            f"{name} ranges from {low:g} to {high:g}, but a Bernoulli likelihood takes grey levels "
            "from 0 to 255 as whole numbers or from 0 to 1 as floats; rescale the data or choose "
            "the likelihood 'gaussian'."
        )
    if array.dtype.kind in "ui" and high == 1:
        raise UserError(
            f"{name} holds whole numbers 0 and 1, but whole numbers are grey levels from 0 to 255; "
            "give black and white as floats or booleans."
        )


def category(K: int, k: jax.typing.ArrayLike) -> jax.Array:
    """A category or an array of them as int32; out of 0..K-1 is an error, not a clamp."""
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
    """Random keys of either kind, `jax.random.key` or `jax.random.PRNGKey`, as those of the first."""
    try:
        found = jnp.asarray(key)
        return found if is_key(found) else jax.random.wrap_key_data(found)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"key is {key!r}; give a random key, such as jax.random.key(0), or an array of them where "
            "several seeds are trained."
        ) from error


def key(given: jax.Array) -> jax.Array:
    """A single random key."""
    found = keys(given)
    if found.ndim:
        raise UserError(f"key has the shape {found.shape}; give a single random key.")
    return found


def temperature(value: jax.typing.ArrayLike) -> None:
    """Raise `UserError` for a temperature that relaxes nothing."""
    if concrete(value) and not np.asarray(value) > 0:
        raise UserError(f"temperature is {value}; it must be a positive number.")


def at_least(name: str, value: int, least: int) -> None:
    """Raise `UserError` unless a count is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise UserError(f"{name} is {value!r}; it must be a whole number of at least {least}.")
