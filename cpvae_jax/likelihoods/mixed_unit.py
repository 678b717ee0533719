"""The unit of coded rows: every number standardised, on a logarithmic scale where the kind asks for it.

A categorical column has variance 1 in all, as a real one, so that distances between rows weigh all
columns alike. What is missing is 0, the mean.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import columns as kinds
from cpvae_jax.columns import Columns
from cpvae_jax.config import Config
from cpvae_jax.data.rows import Rows, blocks_of
from cpvae_jax.errors import UserError
from cpvae_jax.likelihoods.base import Array, readable
from cpvae_jax.likelihoods.unit import warn
from cpvae_jax.types import Own, Tree

LOG, LOG1P = 1, 2
"""Transforms of values before they are standardised, beside 0 for none."""

TRANSFORMS = {kinds.POSITIVE: LOG, kinds.COUNT: LOG1P}

SPREADS = (1e-30, 1e30)
"""Standard deviations that float32 computes with."""

FARTHEST = 1e15
"""Standard deviations from the mean whose squares float32 can add up."""

BEYOND = 2.0
"""Times the reach of the training data: a median beyond it is a sign of another unit."""

FEWEST = 8
"""Values of a column from which its unit can be judged."""


class Layout(NamedTuple):
    """Where the numbers of a coded row are.

    Attributes:
      width: Numbers that hold values, W; the others say which columns are missing.
      owner: The column of each value, [W].
      transform: The transform of each value, [W].
      values: The places of the values of each kind of column, by kind.
      columns: The numbers of the columns of each kind, by kind.
    """

    width: int
    owner: np.ndarray
    transform: np.ndarray
    values: dict[str, np.ndarray]
    columns: dict[str, np.ndarray]


@lru_cache(maxsize=64)
def layout(columns: Columns) -> Layout:
    """The layout of the coded rows of a table."""
    owner = np.array(kinds.owners(columns))
    transform = np.array([TRANSFORMS.get(columns[i].kind, 0) for i in owner])
    numbers = {
        k: np.array([i for i, c in enumerate(columns) if c.kind == k], int) for k in kinds.KINDS
    }
    values = {k: np.flatnonzero(np.isin(owner, found)) for k, found in numbers.items()}
    return Layout(len(owner), owner, transform, values, numbers)


def columns_of(config: Config) -> Columns:
    """The columns of a model of a table.

    Raises:
      UserError: The model has none.
    """
    if config.columns is None:
        raise UserError(
            f"the likelihood {config.likelihood!r} needs the columns of a table; give columns, such as "
            "(Column('age', 'real'),), or a data frame to CPVAE."
        )
    return config.columns


def empty(config: Config) -> Tree:
    """The constants without data."""
    found = layout(columns_of(config))
    zeros, ones = np.zeros(found.width, np.float32), np.ones(found.width, np.float32)
    return {
        "shift": jnp.asarray(zeros),
        "shift_low": jnp.asarray(zeros),
        "scale": jnp.asarray(ones),
        "base": jnp.asarray(zeros),
        "reach": jnp.asarray(-ones),
        "gaps": jnp.ones(len(columns_of(config)), jnp.float32),
        "owner": jnp.asarray(found.owner, jnp.int32),
        "transform": jnp.asarray(found.transform, jnp.int32),
    }


def measure(config: Config, data: np.ndarray | Rows) -> Tree:
    """Constants of all coded training rows, in float64 over blocks.

    Returns:
      "shift" and "scale" [W], with "shift_low" for the digits that float32 does not hold; "base" [W], the
      decoder's output where nothing is known of a row: log-odds, logits of levels and logarithms of
      mean counts; "reach" [W], the farthest value; "gaps" [C], whether a column has any; and the
      layout, "owner" and "transform".
    """
    columns = columns_of(config)
    found = layout(columns)
    count, total, square, raw, origin = (np.zeros(found.width) for _ in range(5))
    low, high = np.full(found.width, np.inf), np.full(found.width, -np.inf)
    gaps = np.zeros(len(columns), bool)
    first = True
    with np.errstate(over="ignore", invalid="ignore"):
        for block in blocks_of(data):
            missing = block[:, found.width :] > 0.5
            seen = ~missing[:, found.owner]
            values = block[:, : found.width].astype(np.float64)
            t = np.where(seen, _transformed(values, found.transform), 0)
            here = np.maximum(seen.sum(axis=0), 1)
            origin = t.sum(axis=0) / here if first else origin
            apart = np.where(seen, t - origin, 0)
            count += seen.sum(axis=0)
            total += apart.sum(axis=0)
            square += (apart**2).sum(axis=0)
            raw += np.where(seen, values, 0).sum(axis=0)
            low = np.minimum(low, np.where(seen, t, np.inf).min(axis=0))
            high = np.maximum(high, np.where(seen, t, -np.inf).max(axis=0))
            gaps |= missing.any(axis=0)
            first = False
        number = np.maximum(count, 1)
        mean = origin + total / number
        scale = np.sqrt(np.maximum(square / number - (total / number) ** 2, 0))
    _check_range(columns, found, low, high, scale)
    for places in _categorical(columns):
        scale[places] = np.sqrt(np.sum(scale[places] ** 2))
    scale = np.where((high > low) & (scale > 0), scale, 1.0)
    shift = mean.astype(np.float32)
    return {
        "shift": jnp.asarray(shift),
        "shift_low": jnp.asarray(mean - shift, jnp.float32),
        "scale": jnp.asarray(scale, jnp.float32),
        "base": jnp.asarray(_base(columns, found, count, raw), jnp.float32),
        "reach": jnp.asarray(np.maximum(high - mean, mean - low) / scale, jnp.float32),
        "gaps": jnp.asarray(gaps, jnp.float32),
        "owner": jnp.asarray(found.owner, jnp.int32),
        "transform": jnp.asarray(found.transform, jnp.int32),
    }


def _categorical(columns: Columns) -> list[np.ndarray]:
    """The places of the values of each categorical column."""
    pairs = zip(columns, kinds.places(columns), strict=True)
    return [np.array(places) for c, places in pairs if c.kind == kinds.CATEGORICAL]


def _check_range(
    columns: Columns, found: Layout, low: np.ndarray, high: np.ndarray, scale: np.ndarray
) -> None:
    """Raise `UserError` for a column without values, or in a unit that float32 cannot compute in."""
    for place in np.flatnonzero(~np.isfinite(low)):
        raise UserError(
            f"column {columns[found.owner[place]].name!r} has no value in the training rows; drop it."
        )
    fits = np.isfinite(scale) & ((high == low) | ((scale > SPREADS[0]) & (scale < SPREADS[1])))
    for place in np.flatnonzero(~fits):
        raise UserError(
            f"column {columns[found.owner[place]].name!r} ranges from {low[place]:g} to {high[place]:g}, "
            "outside what float32 can compute with; change its unit."
        )


def _base(columns: Columns, found: Layout, count: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """Outputs that give the frequencies of levels and the means of counts; half a row is added to each."""
    base = np.zeros(found.width)
    binary, counts = found.values[kinds.BINARY], found.values[kinds.COUNT]
    base[binary] = np.log((raw[binary] + 0.5) / (count[binary] - raw[binary] + 0.5))
    base[counts] = np.log((raw[counts] + 0.5) / (count[counts] + 0.5))
    for places in _categorical(columns):
        base[places] = np.log((raw[places] + 0.5) / (count[places] + 0.5 * len(places)))
    return base


def _transformed(values: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Logarithms where the kind asks for them; NaN for a value that has none."""
    found = np.array(values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        for code, function in ((LOG, np.log), (LOG1P, np.log1p)):
            places = transform == code
            found[..., places] = function(found[..., places])
    return found


def prepare(own: Own, data: Array) -> Array:
    """Coded rows [..., W + C] in the unit of the model; in float64 unless something is traced."""
    stats = own.stats
    if not isinstance(data, np.ndarray) or not readable(own, data):
        return _prepared_in_jax(own, jnp.asarray(data, jnp.float32))
    W = len(stats["owner"])
    owner, transform = np.asarray(stats["owner"]), np.asarray(stats["transform"])
    shift = np.asarray(stats["shift"], np.float64) + np.asarray(stats["shift_low"], np.float64)
    missing = data[..., W:]
    with np.errstate(over="ignore"):
        t = (_transformed(data[..., :W], transform) - shift) / np.asarray(
            stats["scale"], np.float64
        )
    t = np.where(missing[..., owner] > 0.5, 0, t)
    return np.concatenate([t, missing], axis=-1).astype(np.float32)


def _prepared_in_jax(own: Own, data: jax.Array) -> jax.Array:
    stats = own.stats
    W = len(stats["owner"])
    values, missing = data[..., :W], data[..., W:]
    transform = stats["transform"]
    t = jnp.where(transform == LOG, jnp.log(jnp.where(transform == LOG, values, 1)), values)
    t = jnp.where(transform == LOG1P, jnp.log1p(jnp.where(transform == LOG1P, values, 0)), t)
    t = (t - stats["shift"] - stats["shift_low"]) / stats["scale"]
    t = jnp.where(missing[..., stats["owner"]] > 0.5, 0, t)
    return jnp.concatenate([t, missing], axis=-1)


def restore(own: Own, x: Array) -> Array:
    """The inverse of `prepare`: coded rows, where a level that is not certain has its probability."""
    stats = own.stats
    W = len(stats["owner"])
    host = readable(own, x)
    xp = np if host else jnp
    dtype = np.float64 if host else np.float32
    x = xp.asarray(x, dtype)
    shift, low, scale = (xp.asarray(stats[n], dtype) for n in ("shift", "shift_low", "scale"))
    t = shift + (low + scale * x[..., :W])
    transform = xp.asarray(stats["transform"])
    t = xp.where(transform == LOG, xp.exp(xp.where(transform == LOG, t, 0)), t)
    t = xp.where(transform == LOG1P, xp.expm1(xp.where(transform == LOG1P, t, 0)), t)
    t = xp.where(x[..., W:][..., xp.asarray(stats["owner"])] > 0.5, 0, t)
    return xp.concatenate([t, x[..., W:]], axis=-1)


def coded(own: Own, x: jax.Array) -> jax.Array:
    """Values [..., W] as they are coded, but for their transform, from x [..., W + C]."""
    stats = own.stats
    W = len(stats["owner"])
    return stats["shift"] + (stats["shift_low"] + stats["scale"] * x[..., :W])


def average(own: Own, log_weights: jax.Array, x: jax.Array) -> jax.Array:
    """Σ_s w_s x_s, with logarithms averaged as what they are of; x [S, B, W + C]."""
    stats = own.stats
    W = len(stats["owner"])
    weights = log_weights[..., None]
    value = coded(own, x)
    logged = stats["transform"] > 0
    log_mean = jax.nn.logsumexp(weights + jnp.where(logged, value, 0), axis=0)
    t = (log_mean - stats["shift"] - stats["shift_low"]) / stats["scale"]
    plain = jnp.sum(jnp.exp(weights) * x, axis=0)
    return jnp.concatenate([jnp.where(logged, t, plain[..., :W]), plain[..., W:]], axis=-1)


def compare(config: Config, own: Own, data: np.ndarray, name: str) -> None:
    """Warn or refuse if the numbers of a column seem to have another unit than at `fit`."""
    columns = columns_of(config)
    found = layout(columns)
    reach = np.asarray(own.stats["reach"])
    t = np.abs(prepare(own, np.asarray(data, np.float64))[..., : found.width])
    seen = data[..., found.width :][..., found.owner] <= 0.5
    for kind in kinds.NUMBERS:
        for place in found.values[kind]:
            far = t[seen[:, place], place]
            column = columns[found.owner[place]].name
            if far.size and not far.max() < FARTHEST:
                raise UserError(
                    f"{name} holds values in column {column!r} too far from those at fit; give it in the "
                    "same unit."
                )
            if (
                reach[place] >= 0
                and len(far) >= FEWEST
                and np.median(far) > BEYOND * max(reach[place], 1)
            ):
                warn(
                    f"{name} may have another unit than the training data: half of column {column!r} is at "
                    f"least {np.median(far):.3g} standard deviations from their mean, where they reach "
                    f"{reach[place]:.3g}"
                )
                return
