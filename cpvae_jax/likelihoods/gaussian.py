"""N(x | output, σ² I): real numbers with one shared noise scale, fixed or learned.

The model's unit is a standard deviation of the data from their mean, so any unit will do. Data
are standardised in float64 before they become float32. Densities, samples and σ are in the data's
own unit. Learned noise is in proportion to the standard deviation of each column of a table.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.data import moments
from cpvae_jax.data.rows import Rows
from cpvae_jax.distributions import gaussian
from cpvae_jax.errors import UserError
from cpvae_jax.likelihoods import unit
from cpvae_jax.likelihoods.base import Array, Likelihood, flat, readable, shaped
from cpvae_jax.types import Own, Tree

LARGEST = 1e37
"""The largest value in float32, with room for what the model adds to it."""

SPREADS = (1e-35, 1e35)
"""Standard deviations that float32 holds with all its digits, in sums and products too."""

NARROWEST = 1e-6
"""The smallest fixed noise, in standard deviations of the data. Squares of less would overflow."""

LOG_VAR_LIMIT = 60.0
"""Of fixed noise in the model's unit: its inverse times a square stays finite in float32."""

RESOLVED = 1000.0
"""Numbers of float32 in one standard deviation, at least, for samples to be float32."""

PIECE = 2**22
"""Numbers that are standardised at once."""

UNKNOWN = -1.0
"""The reach of data that were not measured."""


def init(key: jax.Array, config: Config, data: np.ndarray | None) -> Own:
    """The log-variance; the learned noise starts at the scale of the data. `measure` gives the rest."""
    del key, data
    stats = {"shift": 0.0, "shift_low": 0.0, "scale": 1.0, "noise": 1.0, "reach": UNKNOWN}
    filled = {name: jnp.full(config.shape, value, jnp.float32) for name, value in stats.items()}
    return Own({"log_var": jnp.zeros((), jnp.float32)}, filled)


def measure(config: Config, data: np.ndarray | Rows) -> Tree:
    """Constants of the data, [*shape] each.

    Columns of a table have their own units and are scaled one by one, unless they look like pixels
    (`unit.common_scale`). The pixels of an image share one unit and one scale.

    Returns:
      "shift", the mean, and "shift_low", the digits of it that float32 does not hold; "scale", the
      standard deviation; "noise", that of the column in units of the scale, which the noise of the
      column is proportional to; "reach", the most standard deviations from the mean, 0 for a constant
      column. A constant column has the scale 1, or its rounding errors if those are larger.
    """
    found = moments.of(data, columns=len(config.shape) == 1)
    with np.errstate(over="ignore"):  # infinity is out of range
        spread = np.maximum(found.high - found.low, 1.0)
    common = unit.common_scale(found)
    scale = np.where(found.constant, spread, found.std if common is None else common)
    _check_range(config, found, scale)
    high = found.mean.astype(np.float32)
    reach = np.maximum(found.high - found.mean, found.mean - found.low) / scale
    stats = {
        "shift": high,
        "shift_low": found.mean - high,
        "scale": scale,
        "noise": np.where(found.constant, 1.0, found.std / scale),
        "reach": np.where(found.constant, 0.0, reach),
    }
    size = (config.size,)
    return {
        name: jnp.asarray(np.broadcast_to(a, size).reshape(config.shape), jnp.float32)
        for name, a in stats.items()
    }


def _check_range(config: Config, found: moments.Moments, scale: np.ndarray) -> None:
    """Raise `UserError` for a unit that float32 cannot compute in, or in which the noise is lost."""
    largest = np.maximum(np.abs(found.low), np.abs(found.high))
    fits = (largest < LARGEST) & (scale > SPREADS[0]) & (scale < SPREADS[1])
    for column in map(int, np.flatnonzero(~fits)):
        low, high = found.low[column], found.high[column]
        size = (
            largest[column] if found.constant[column] else min(high / 2 - low / 2, largest[column])
        )
        power = min(max(-round(math.log10(size)), -300), 300)
        raise UserError(
            f"{unit.of_column(config, column)} ranges from {low:g} to {high:g}, which is outside "
            f"what float32 can compute with; change its unit, such as by multiplying by 1e{power}."
        )
    if config.scale is None:
        return
    spread = np.where(found.constant, np.nan, scale)
    narrow = np.flatnonzero(config.scale < NARROWEST * spread)
    if narrow.size or np.all(config.scale * NARROWEST > spread):
        column = int(narrow[0]) if narrow.size else 0
        raise UserError(
            f"scale is {config.scale:g}, but {unit.of_column(config, column)} has a standard "
            f"deviation of {spread[column]:g}; scale is the noise in the unit of the data, so give "
            "a value nearer to that, or None to learn it."
        )


def _constants(own: Own) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shift, scale and reach in float64, [*shape] each."""
    stats = {name: np.asarray(a, np.float64) for name, a in own.stats.items()}
    return stats["shift"] + stats["shift_low"], stats["scale"], stats["reach"]


def prepare(own: Own, data: Array) -> Array:
    """(data − shift) / scale as float32; computed in float64 unless something is traced."""
    if not isinstance(data, np.ndarray) or not readable(own, data):
        x = jnp.asarray(data, jnp.float32)
        return (x - own.stats["shift"] - own.stats["shift_low"]) / own.stats["scale"]
    shift, scale, _ = _constants(own)
    given = data.reshape(-1, *shift.shape)
    found = np.empty(given.shape, np.float32)
    step = max(1, PIECE // shift.size)
    with np.errstate(over="ignore"):  # `compare` refuses what is too large
        for start in range(0, len(given), step):
            piece = slice(start, start + step)
            found[piece] = (given[piece].astype(np.float64) - shift) / scale
    return found.reshape(data.shape)


def restore(own: Own, x: Array) -> Array:
    """shift + scale · x: float32 where that tells the values of every column apart.

    Where it does not, as at 1.7e9 ± 10, a NumPy array of float64; inside `jit` always float32.
    """
    if readable(own, x):
        shift, scale, reach = _constants(own)
        spacing = np.spacing(np.abs(shift).astype(np.float32)).astype(np.float64)
        if not np.all((scale >= RESOLVED * spacing) | (reach == 0)):
            return shift + scale * np.asarray(x, np.float64)
    stats = own.stats
    return stats["shift"] + (stats["shift_low"] + stats["scale"] * jnp.asarray(x, jnp.float32))


def compare(config: Config, own: Own, data: np.ndarray, name: str) -> None:
    """Warn or refuse if data seem to have another unit than the training data."""
    shift, scale, reach = (a.reshape(-1) for a in _constants(own))
    unit.compare(config, data.reshape(len(data), -1), (shift, scale, reach), name)


def _log_var(config: Config, own: Own) -> jax.Array:
    """log σ² of each number in the model's unit, [X]."""
    log_scale = jnp.log(own.stats["scale"].reshape(-1))
    if config.scale is not None:
        found = 2 * (math.log(config.scale) - log_scale)
        return jnp.clip(found, -LOG_VAR_LIMIT, LOG_VAR_LIMIT)
    return gaussian.soft_limit(own.weights["log_var"]) + 2 * jnp.log(own.stats["noise"].reshape(-1))


def mean(config: Config, own: Own, output: jax.Array) -> jax.Array:
    """The output itself."""
    del config, own
    return output[..., 0]


def log_prob(config: Config, own: Own, output: jax.Array, x: jax.Array) -> jax.Array:
    """log N(x | output, σ² I) − Σ log scale: standardised, but per unit of the data."""
    log_scale = jnp.log(own.stats["scale"].reshape(-1))
    centre = flat(config, mean(config, own, output))
    found = gaussian.log_prob(flat(config, x), centre, _log_var(config, own))
    return found - jnp.sum(log_scale)


def sample(config: Config, own: Own, key: jax.Array, output: jax.Array) -> jax.Array:
    """output + σ · noise."""
    centre = flat(config, mean(config, own, output))
    log_var = jnp.broadcast_to(_log_var(config, own), centre.shape)
    return shaped(config, gaussian.sample(key, centre, log_var))


LIKELIHOOD = Likelihood(
    init,
    log_prob,
    mean,
    sample,
    options=("scale",),
    suits="real",
    description="real numbers with one noise scale; to draw ink black or white choose --likelihood "
    "bernoulli",
    measure=measure,
    prepare=prepare,
    restore=restore,
    compare=compare,
)
