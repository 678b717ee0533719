"""Mean, standard deviation and range of examples, in float64 and one pass over blocks.

Arrays and `Rows` take the same way, so both give the same numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cpvae_jax.data.rows import Rows, blocks_of

ROUNDING = 2.0
"""A standard deviation of at most this many rounding errors of the largest value is no spread."""


WIDEST = 100.0
"""The range of rounding errors, in the largest standard deviation that they may have."""


class Moments(NamedTuple):
    """What is known of each column, [C] in float64.

    Attributes:
      mean: The mean.
      std: The standard deviation.
      low, high: The smallest and the largest value.
      constant: Whether all values are equal, or differ by rounding errors of their dtype only.
    """

    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray
    constant: np.ndarray


def of(data: np.ndarray | Rows, *, columns: bool) -> Moments:
    """Returns the moments of examples.

    Each block is shifted by the first example before it is squared, and blocks are merged by their
    own means, so columns with a large mean and a small spread keep all digits. Source: Chan, Golub
    and LeVeque, "Algorithms for computing the sample variance", The American Statistician, 1983.

    Args:
      data: Finite numbers [N, *shape].
      columns: Take each number of an example for itself (C = X), or all together (C = 1).

    >>> of(np.array([[1.7e9], [1.7e9 + 2]]), columns=True).std
    array([1.])
    """
    count, origin = 0, None
    mean = square = np.zeros(1)
    low = high = None
    with np.errstate(over="ignore", invalid="ignore"):  # squares beyond float64: the range tells
        for block in blocks_of(data):
            x = block.reshape(len(block), -1) if columns else block.reshape(-1, 1)
            ends = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
            low = ends[0] if low is None else np.minimum(low, ends[0])
            high = ends[1] if high is None else np.maximum(high, ends[1])
            origin = x[0].astype(np.float64) if origin is None else origin
            x = x.astype(np.float64) - origin
            of_block = x.mean(axis=0)
            x -= of_block
            number, apart = len(x), of_block - mean
            total = count + number
            square = square + np.sum(x * x, axis=0) + apart**2 * (count * number / total)
            mean = mean + apart * (number / total)
            count = total
        assert origin is not None
        assert low is not None
        assert high is not None
        std = np.sqrt(square / count)
        kind = data.dtype if data.dtype.kind == "f" and data.dtype.itemsize <= 8 else np.float64
        limit = ROUNDING * np.finfo(kind).eps * np.maximum(np.abs(low), np.abs(high))
        # The range too, because squares below 1e-308 vanish.
        constant = (low == high) | ((std <= limit) & (high - low <= WIDEST * limit))
        return Moments(origin + mean, std, low, high, constant)
