"""Checks of users' input, made on concrete values before JAX sees them.

JAX clamps an index that is out of range and carries NaN along silently; these checks raise a
`UserError` instead. Values traced inside a user's own `jit` cannot be checked and pass.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import likelihoods
from cpvae_jax.config import Config
from cpvae_jax.data import coding, frames
from cpvae_jax.data.conversion import NotFinite, as_numbers, check_dtype, concrete, finite, native
from cpvae_jax.data.dataset import Dataset, check
from cpvae_jax.data.rows import CHECKED, Rows
from cpvae_jax.errors import UserError
from cpvae_jax.keys import is_key
from cpvae_jax.types import Params

Given = jax.typing.ArrayLike | Rows
Raw = np.ndarray | jax.Array | Rows
"""Checked examples [N, *shape] in the user's unit; a JAX array only where values cannot be read."""

COMPARED = 1000
"""Examples of `Rows` whose unit is compared with that of the training data."""


def model(given: Any, name: str = "params") -> None:
    """Raises a `UserError` unless this is a model, and says where a fit or an estimator keeps its own."""
    if isinstance(given, Params):
        return
    inside = [own for own in ("params", "params_") if isinstance(getattr(given, own, None), Params)]
    remedy = f"the model in it, .{inside[0]}" if inside else "one, such as cpvae_jax.load returns"
    raise UserError(f"{name} is {type(given).__name__} and not a model; give {remedy}.")


def configuration(config: Any) -> None:
    """Raises a `UserError` unless this is the configuration of a model."""
    if not isinstance(config, Config):
        raise UserError(
            f"config is {type(config).__name__} and not a configuration; give one, such as "
            "cpvae_jax.Config(shape=(28, 28), K=10)."
        )


def data(params: Params, x: Given, name: str = "x") -> jax.Array:
    """Returns checked examples in the model's unit, as a JAX array [B, *shape].

    Args:
      params: The model that reads the examples.
      x: Examples [B, *shape], or flat ones [B, X], in the user's unit.
      name: What the caller calls them, for the error message.

    Raises:
      UserError: `params` is no model. There are no examples, they have another shape or no numbers,
        they are not finite, or the likelihood does not accept them.
    """
    array(x, name)
    found = readable(params, x, name)
    assert not isinstance(found, Rows)
    return found


def array(given: Any, name: str) -> None:
    """Raises a `UserError` for `Rows` where an array is needed."""
    if isinstance(given, Rows):
        raise UserError(
            f"{name} is Rows, which only fit and aggregated_posterior can read; give an array, "
            "such as rows[np.arange(1000)]."
        )


def readable(params: Params, given: Given, name: str = "train") -> jax.Array | Rows:
    """Returns checked examples [N, *shape] in the model's unit, as `Rows` if they are `Rows`.

    Args:
      params: The model that reads the examples.
      given: Examples [N, *shape], or flat ones [N, X]. All `Rows` are read once, in blocks.
      name: What the caller calls them, for the error message.

    Raises:
      UserError: As `data`.
    """
    model(params)
    return prepared(params, examples(params.config, {name: given})[name], name)


def prepared(params: Params, raw: Raw, name: str) -> jax.Array | Rows:
    """Returns examples that `examples` returned in the model's unit.

    Warns if they seem to have another unit than the model's training data.
    """
    likelihood = likelihoods.of(params.config)
    prepare = partial(likelihood.prepare, params.likelihood)
    known = all(map(concrete, jax.tree.leaves(params.likelihood.stats)))
    some = raw.sample(COMPARED) if isinstance(raw, Rows) else raw
    if known and isinstance(some, np.ndarray):
        likelihood.compare(params.config, params.likelihood, some, name)
    return raw.mapped(prepare) if isinstance(raw, Rows) else jnp.asarray(prepare(raw))


def examples(config: Config, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Returns parts of the data checked, in the user's unit, as NumPy arrays [N, *shape] or `Rows`.

    Args:
      config: The model that reads the examples.
      parts: Examples [N, *shape], or flat ones [N, X], by what the caller calls them. All `Rows`
        are read once, in blocks. Values traced inside a user's own `jit` stay JAX arrays.

    Raises:
      UserError: As `data`. A message about NaN names the rows of all parts.
    """
    found = {name: _shaped(config, given, name) for name, given in parts.items()}
    faults = NotFinite()
    for name, raw in found.items():
        if isinstance(raw, Rows):
            start = 0
            for block in raw.blocks():
                _values(config, block, name, faults, start)
                start += len(block)
        elif isinstance(raw, np.ndarray):
            _values(config, raw, name, faults)
    faults.raise_any()
    return found


def _shaped(config: Config, given: Any, name: str) -> Any:
    """Returns numbers of any container and dtype as an array [N, *shape] or `Rows`."""
    if config.columns is not None and frames.is_frame(given):
        coded = likelihoods.of(config).coded
        given = coding.rows_of(config.columns, given, name, coded=coded)
    if isinstance(given, Rows):
        shape(config, given, name)
        check_dtype(given.dtype, name)
        plain = native(np.empty(0, given.dtype), name).dtype == given.dtype
        rows = given if plain else given.mapped(partial(native, name=name))
        return rows.shaped(config.shape)
    if isinstance(given, jax.Array) and not concrete(given):
        check_dtype(given.dtype, name)
        array: Any = given
    else:
        array = as_numbers(given, name)
    shape(config, array, name)
    if array.shape[0] == 0:
        raise UserError(f"{name} is empty; give at least one example.")
    return array.reshape(array.shape[0], *config.shape)


def dataset(config: Config, given: Dataset) -> None:
    """Raises a `UserError` unless a model can learn from a data set.

    Of a training part that stays on disk, only a sample is read; `examples` reads all of it.

    Args:
      config: The model, whose shape and likelihood the examples must suit.
      given: The data set.

    Raises:
      UserError: The parts or labels do not fit together (`data.check`), or the values are not
        finite, or the likelihood does not accept them or their unit.
    """
    check(given)
    faults = NotFinite()
    for part, x in given.parts.items():
        name = f"{given.name}: the {part} part"
        rows = x.sampled(CHECKED) if isinstance(x, Rows) else np.arange(len(x))
        array = as_numbers(x[rows] if isinstance(x, Rows) else x, name)
        shape(config, array, name)
        _values(config, array, name, faults, rows)
        if part == "training":
            train = array.reshape(-1, *config.shape)
    faults.raise_any()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `fit` measures again, and warns
        likelihoods.of(config).measure(config, train)


def shape(config: Config, array: np.ndarray | jax.Array | Rows, name: str) -> None:
    """Raises a `UserError` unless an array holds examples [B, *shape], or flat ones [B, X]."""
    if len(array.shape) < 1 or array.shape[1:] not in (config.shape, (config.size,)):
        wanted = ", ".join(map(str, ("B", *config.shape)))
        if likelihoods.of(config).coded:
            raise UserError(
                f"{name} has the shape {array.shape}; this model takes rows of a table, so give a data frame with "
                f"its {len(config.columns or ())} columns, or coded rows of shape ({wanted})."
            )
        raise UserError(
            f"{name} has the shape {array.shape}; this model takes examples of shape ({wanted}), so "
            "add or drop an axis, or resize them."
        )


def _values(
    config: Config, array: np.ndarray, name: str, faults: NotFinite, rows: np.ndarray | int = 0
) -> None:
    """Collects the rows that are not finite, and raises if the likelihood refuses the others.

    Args:
      config: The model.
      array: Examples [B, ...], at least one.
      name: What the caller calls them, for the error message.
      faults: Collects the rows.
      rows: The numbers of the examples, or that of the first, if they are part of a larger array.
    """
    if faults.add(name, array, rows):
        likelihoods.of(config).check(config, array, name)


def category(K: int, k: jax.typing.ArrayLike) -> jax.Array:
    """Returns a category, or an array of categories, as int32.

    Raises:
      UserError: A category is not a whole number from 0 to K - 1. JAX would clamp it.
    """
    array = k if isinstance(k, jax.Array) else as_numbers(k, "category")
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


def codes(z: jax.typing.ArrayLike, latent: int) -> jax.Array:
    """Returns codes [B, D] as float32.

    Raises:
      UserError: They have another shape, or are not finite real numbers.
    """
    array = z if isinstance(z, jax.Array) and not concrete(z) else as_numbers(z, "z")
    if array.ndim != 2 or array.shape[1] != latent:
        raise UserError(
            f"z has the shape {array.shape}; this model takes codes of shape (B, {latent})."
        )
    check_dtype(array.dtype, "z")
    if isinstance(array, np.ndarray) and array.size:
        with np.errstate(over="ignore"):  # a number too large becomes infinity, which is refused
            array = array.astype(np.float32)
        finite({"z": array})
    return jnp.asarray(array, jnp.float32)


def temperature(value: jax.typing.ArrayLike) -> None:
    """Raises a `UserError` unless temperature > 0."""
    if not concrete(value):
        return
    number = np.asarray(value)
    if number.ndim or number.dtype.kind not in "uif" or not number > 0:
        raise UserError(f"temperature is {value}; it must be a positive number.")


def at_least(name: str, value: int, least: int) -> None:
    """Raises a `UserError` unless a count is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise UserError(f"{name} is {value!r}; it must be a whole number of at least {least}.")
