"""Standard errors of means over examples, the only place where they are computed."""

from __future__ import annotations

import math

import numpy as np


def standard_error(values: np.ndarray) -> float:
    """The standard error of a mean: the standard deviation with N − 1, over √N.

    Args:
      values: independent values [N], in any unit.

    Returns:
      In the same unit; NaN for a single value, whose error is unknown.

    >>> standard_error(np.array([1.0, 3.0]))
    1.0
    """
    return math.sqrt(_variance(values) / len(values))


def mean_and_error(values: np.ndarray) -> dict[str, float]:
    """The mean of independent values [N] and its standard error, for a file of scores.

    >>> mean_and_error(np.array([1.0, 3.0]))
    {'mean': 2.0, 'standard_error': 1.0}
    """
    error = standard_error(values)
    return {"mean": float(np.mean(values, dtype=np.float64)), "standard_error": error}


def controlled_error(control: np.ndarray, gap: np.ndarray, chosen: np.ndarray) -> float:
    """The standard error of a mean with a control variate: mean(control) + mean(gap).

    The control is known for all N examples, the gap (the value of interest − the control) for n of
    them, chosen at random. The squared error is

        Var(control) / N + Var(gap) / n + 2 Cov(control, gap) / N,

    because the two means share n examples. It is computed as the error of N known gaps, and what
    the choice of n adds to it; neither can be negative.

    Args:
      control: values [N], in any unit.
      gap: the differences of the chosen examples, [n].
      chosen: their places among the N, [n].

    Returns:
      In the same unit; NaN for a single gap.

    >>> control = np.array([0.0, 2.0, 4.0, 6.0])
    >>> gap = np.array([1.0, 3.0])
    >>> controlled_error(control, gap, np.array([0, 1])) ** 2  # (20/3) / 4 + 2 / 2 + 2 · 2 / 4
    3.6666666666666665
    """
    if len(gap) < 2:
        return math.nan
    shared = np.cov(np.asarray(control, np.float64)[chosen], np.asarray(gap, np.float64))[0, 1]
    whole = _variance(control) + _variance(gap) + 2 * shared
    return math.sqrt(max(whole, 0.0) / len(control) + choice_error(gap, len(control)) ** 2)


def choice_error(gap: np.ndarray, of: int) -> float:
    """The standard error that a random choice of n examples adds to a mean over `of` examples.

    Args:
      gap: the values of the chosen examples [n], in any unit; drawn without replacement.
      of: how many examples there are, at least n.

    >>> choice_error(np.array([1.0, 3.0]), of=2)
    0.0
    """
    return math.sqrt(_variance(gap) * (1 / len(gap) - 1 / of))


def _variance(values: np.ndarray) -> float:
    """The unbiased variance, in float64; NaN for a single value."""
    values = np.asarray(values, np.float64)
    return float(np.var(values, ddof=1)) if len(values) > 1 else math.nan
