"""Nearest neighbours among training examples, by Euclidean distance in the model's unit."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from cpvae_jax import likelihoods
from cpvae_jax.config import Config

COLUMNS = 4
"""Up to so many numbers per example a tree finds all neighbours faster than comparing all pairs."""

WORK = 1e11
"""Multiplications, about ten seconds on two cores, that the comparison of pairs may take."""

PAIR = 50
"""What a pair costs besides one multiplication per number, in multiplications."""

FEWEST = 1000
"""Examples to look for neighbours among, however many there are."""

EQUAL = 1e-6
"""Distances below this share of an example's own length are rounding errors of 0."""

CHUNK = 4096
"""Examples whose neighbours are looked for at once, which bounds the memory."""


class Nearest(NamedTuple):
    """The k nearest neighbours of n examples, nearest first.

    Attributes:
      rows: Where they stand in the data, [n, k].
      distance: Their distances, [n, k].
      among: How many examples they were looked for among.
    """

    rows: np.ndarray
    distance: np.ndarray
    among: int


def search(config: Config, data: np.ndarray, num: int) -> Nearest:
    """The `num` nearest neighbours of every example, or all others if there are fewer.

    Exact for up to about 10,000 images of 28 x 28 pixels, 35,000 rows of 30 columns, and any number
    of rows of up to `COLUMNS` columns. Of more, the neighbours are the nearest within a
    random sample of the examples, always the same one.

    Args:
      config: The model; grey levels count as they are, not as black or white draws of them.
      data: Examples [N, *shape] in the model's unit, N at least 2.
      num: How many neighbours.
    """
    from sklearn.neighbors import NearestNeighbors

    count = len(data)
    tree = config.size <= COLUMNS
    affordable = max(FEWEST, int(WORK / (count * (config.size + PAIR))))
    among = np.arange(count)
    if not tree and count > affordable:
        among = np.sort(np.random.default_rng(0).choice(count, affordable, replace=False))
    k = min(num, count - 1, len(among) - 1)
    found = NearestNeighbors(n_neighbors=k + 1, algorithm="kd_tree" if tree else "brute")
    found.fit(_points(config, data[among]))
    parts = []
    for start in range(0, count, CHUNK):
        rows = np.arange(start, min(start + CHUNK, count))
        points = _points(config, data[rows])
        distance, index = found.kneighbors(points)
        distance[distance < EQUAL * np.linalg.norm(points, axis=1, keepdims=True)] = 0
        index = among[index]
        # An example is no neighbour of itself; of many equal ones it may not be among the first.
        own = index == rows[:, None]
        own[~own.any(axis=1), -1] = True
        parts.append((index[~own].reshape(-1, k), distance[~own].reshape(-1, k)))
    index, distance = map(np.concatenate, zip(*parts, strict=True))
    return Nearest(index, distance, len(among))


def _points(config: Config, data: np.ndarray) -> np.ndarray:
    """Examples [n, *shape] as the encoder is used to them, [n, X]."""
    expect = likelihoods.of(config).expect
    return np.asarray(expect(config, jnp.asarray(data))).reshape(len(data), -1)


def within_more(distance: np.ndarray, ratio: float) -> np.ndarray:
    """The distances to the last neighbours, had they been looked for among `ratio` times as many.

    Within a small ball in m dimensions, the number of examples grows like its radius to the power
    of m, so distances shrink by ratio^(1 / m). The dimension follows from how distances grow from
    neighbour to neighbour. Source: Levina and Bickel, "Maximum likelihood estimation of
    intrinsic dimension", NeurIPS 2004, averaged as by MacKay and Ghahramani.

    Args:
      distance: Distances to the k nearest neighbours, [n, k], nearest first.
      ratio: At least 1.
    """
    last = distance[:, -1]
    inner = distance[:, :-1]
    known = inner > 0
    if ratio <= 1 or not known.any():
        return last
    growth = np.log(np.broadcast_to(last[:, None], inner.shape)[known] / inner[known])
    return last * ratio ** -growth.mean()
