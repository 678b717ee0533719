"""Coordinates in which clusters look more like Gaussians, with their density."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

SKEWED = 1.0
"""Columns with a larger absolute skewness are transformed. Below it, clusters of unequal sizes alone
make a column skewed. On tables with log-normal noise, the transform took the accuracy of a mixture from
.62-.96 to .95-1.00."""

STRONGEST = 2.0
"""Columns are left alone if λ is farther than this from 1, which is no transform. Tails of measured
columns gave values between 0 and 2. Many equal values, such as the empty margins of images, gave -4 to
-50: there the likelihood of λ grows as all other values are squeezed together."""


class Transform(NamedTuple):
    """A change of coordinates, column by column.

    Attributes:
      apply: Rows [B, X] to the new coordinates [B, X].
      log_jacobian: Such rows to log |dz/dx|, [B], in nats: what the log-density in the new
        coordinates lacks to be one in the old.
    """

    apply: Callable[[np.ndarray], np.ndarray]
    log_jacobian: Callable[[np.ndarray], np.ndarray]


PLAIN = Transform(lambda x: x, lambda x: np.zeros(len(x)))


def unskewed(x: np.ndarray) -> Transform | None:
    """The Yeo-Johnson transform of the skewed columns of x [N, X], which has no constant column.

    λ maximises the likelihood of one Gaussian per standardised column. Each column keeps its mean
    and standard deviation, so a column that is merely rescaled stays as it is. Source: Yeo and
    Johnson, "A new family of power transformations to improve normality or symmetry", Biometrika,
    2000.

    Returns:
      None if there is no such column.
    """
    from scipy.stats import skew, yeojohnson

    mean, std = x.mean(axis=0), x.std(axis=0)
    u = (x - mean) / std
    columns, lambdas = [], []
    for column in np.flatnonzero(np.abs(skew(u)) > SKEWED):
        # A column of huge outliers overflows on the way; its λ then lies outside.
        with np.errstate(all="ignore"):
            power = yeojohnson(u[:, column])[1]
        if abs(power - 1) <= STRONGEST:
            columns.append(column)
            lambdas.append(power)
    if not columns:
        return None
    powers = np.array(lambdas)
    fitted = _power(u[:, columns], powers)
    centre, spread = fitted.mean(axis=0), fitted.std(axis=0)

    def apply(x: np.ndarray) -> np.ndarray:
        z = x.copy()
        u = (x[:, columns] - mean[columns]) / std[columns]
        z[:, columns] = mean[columns] + std[columns] * (_power(u, powers) - centre) / spread
        return z

    def log_jacobian(x: np.ndarray) -> np.ndarray:
        u = (x[:, columns] - mean[columns]) / std[columns]
        slopes = (powers - 1) * np.sign(u) * np.log1p(np.abs(u)) - np.log(spread)
        return slopes.sum(axis=1)

    return Transform(apply, log_jacobian)


def _power(u: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """The transform of Yeo and Johnson of columns [B, n] with one λ each, [n]."""
    from scipy.stats import yeojohnson

    return np.stack([yeojohnson(u[:, i], power) for i, power in enumerate(powers)], axis=1)
