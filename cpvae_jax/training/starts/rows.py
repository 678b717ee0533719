"""What the partitions share: few distinct rows, a sample of many, and answers in parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

PART = 10_000
"""Rows that are answered at a time, so that a float64 copy of them takes little memory."""


def distinct(x: np.ndarray, most: int) -> np.ndarray | None:
    """Numbers the distinct rows of x [N, X] in the order in which they first come.

    Returns:
      The number of each row, [N]; None if there are more than `most` distinct rows.

    >>> distinct(np.array([[1, 0], [0, 0], [1, 0]]), 2).tolist()
    [0, 1, 0]
    """
    numbers: dict[bytes, int] = {}
    found = np.empty(len(x), np.int64)
    for i, row in enumerate(x):
        # Adding 0 makes -0.0 to 0.0, which is equal but has other bytes.
        found[i] = numbers.setdefault((row + 0).tobytes(), len(numbers))
        if len(numbers) > most:
            return None
    return found


def sample(x: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most that many rows in float64, drawn without replacement; all in their order if that is
    enough."""
    if len(x) > most:
        x = x[np.random.default_rng(seed).choice(len(x), most, replace=False)]
    return x.astype(np.float64)


def answers(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """function(x) for rows in float64, a part at a time."""
    parts = range(0, len(x), PART)
    return np.concatenate([function(x[i : i + PART].astype(np.float64)) for i in parts])
