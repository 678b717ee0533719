"""Which unit real numbers have, judged by where they lie: one for all columns, that of the training data."""

from __future__ import annotations

import warnings

import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.data.moments import Moments
from cpvae_jax.errors import UserError

WIDE, MOST = 0.5, 2 / 3
"""Columns share a unit if this share of them, `MOST`, spans `WIDE` of the range of all. Observed: 0.87 to 1
of the columns in pixels of digits, pen coordinates, spectral values and counts from 0 to 15; 0.07 to 0.25
in iris, wine, breast cancer and penguins."""

NARROWEST = 0.1
"""Columns that share a unit get one scale if the narrowest has less than this share of it. Scaled one by
one, pixels that are hardly ever inked would weigh as much as the others (digits: 0.004, pen coordinates:
0.5). Without such columns a scale for each is as good or better (docs/research.md)."""

BEYOND = 2.0
"""Times the reach of the training data: more is a sign of another unit."""

NARROW = 0.1
"""Standard deviations of the training data: a narrower spread of all columns is such a sign."""

OF_CONSTANT = 10.0
"""The reach that stands for that of a constant column, in units of its scale, 1."""

FEWEST = 8
"""Examples from which a spread can be judged."""

ABSURD = 1e15
"""Standard deviations from the mean whose squares float32 can just add up."""

LARGEST = 1e37
"""The largest value in the model's unit, whatever the training data were."""

LOOKED_AT = 1000
"""Examples that are looked at, evenly spaced."""

Constants = tuple[np.ndarray, np.ndarray, np.ndarray]


def common_scale(found: Moments) -> float | None:
    """The standard deviation of columns that share a unit, where some of them hardly vary; else None.

    >>> from cpvae_jax.data import moments
    >>> x = np.array([[0, 16, 0, 7], [16, 0, 1, 7], [0, 16, 0, 7]])
    >>> common_scale(moments.of(x, columns=True)) is None
    False
    >>> common_scale(moments.of(x * [1, 9, 1, 1], columns=True)) is None
    True
    """
    vary = ~found.constant
    low, high, std = found.low[vary], found.high[vary], found.std[vary]
    if len(std) < 2:
        return None
    with np.errstate(over="ignore"):
        wide = high - low >= WIDE * (np.max(high) - np.min(low))
        scale = float(np.sqrt(np.mean(std**2)))
    return scale if np.mean(wide) >= MOST and np.min(std) < NARROWEST * scale else None


def compare(config: Config, data: np.ndarray, constants: Constants, name: str) -> None:
    """Warns if data seem to have another unit than the training data.

    Args:
      config: The model.
      data: Examples [B, X] in the user's unit.
      constants: Shift, scale and reach of the training data, [X] each; reach in units of scale, 0
        for a constant column, negative if unknown.
      name: What to call the data.

    Raises:
      UserError: A value is so far off that the model would compute infinity.
    """
    shift, scale, reach = constants
    ends = np.stack([data.min(axis=0), data.max(axis=0)]).astype(np.float64)
    far = np.max(np.abs(ends / scale - shift / scale), axis=0)
    known = bool(np.all(reach >= 0))
    if np.any(far > (ABSURD if known else LARGEST)):
        column = int(np.argmax(far))
        value = ends[np.argmax(np.abs(ends[:, column] - shift[column])), column]
        raise UserError(
            f"{name} holds {value:g}, {far[column]:.1g} standard deviations from the mean of "
            f"{of_column(config, column)} at fit; give it in the same unit."
        )
    if not known:
        return
    reach = np.where(reach > 0, reach, OF_CONSTANT)
    few = data[np.linspace(0, len(data) - 1, min(len(data), LOOKED_AT)).astype(int)]
    x = (few.astype(np.float64) - shift) / scale
    if len(config.shape) > 1:  # one unit: what counts is the pixel of each image that lies farthest
        x, reach = np.max(np.abs(x), axis=1, keepdims=True), reach[:1]
    median = np.median(np.abs(x), axis=0)
    off = np.flatnonzero(median > BEYOND * reach)
    if off.size:
        column = off[0]
        warn(
            f"{name} may have another unit than the training data: in half of its examples "
            f"{of_column(config, column, 'a value')} is at least {median[column]:.3g} standard "
            f"deviations from their mean, where they reach {reach[column]:.3g}"
        )
    elif len(few) >= FEWEST and 0 < (spread := _spread(config, few, scale)) < NARROW:
        warn(
            f"{name} may have another unit than the training data: its standard deviation is "
            f"{spread:.2g} of theirs"
        )


def warn(text: str, remedy: str = "convert it as the training data were") -> None:
    """Warns that data may have another unit."""
    warnings.warn(f"{text}; {remedy}.", UserWarning, stacklevel=2)


def _spread(config: Config, data: np.ndarray, scale: np.ndarray) -> float:
    """The largest standard deviation of a column in that of the training data."""
    x = data.astype(np.float64) / scale
    return float(np.std(x) if len(config.shape) > 1 else np.max(np.std(x, axis=0)))


def of_column(config: Config, column: int | np.integer, whole: str = "the data") -> str:
    """How a message names a column of a table; images and single numbers have none.

    >>> of_column(Config(shape=(3,)), 2), of_column(Config(shape=(2, 3)), 0)
    ('column 2 (counting from 0)', 'the data')
    """
    if len(config.shape) > 1 or config.size == 1:
        return whole
    return f"column {column} (counting from 0)"
