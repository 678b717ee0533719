"""How good generated examples are, from features of them and of real examples.

Features are [N, F], of any network. Every score depends on the network, so the caller chooses it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cpvae_jax import checks
from cpvae_jax.errors import UserError

NEAREST = 5
"""k of the nearest-neighbour balls; 5 as in Naeem et al."""

ROWS = 2000
"""Rows of a matrix of distances that are in memory at once."""


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½) of the Gaussians fitted to two sets of features.

    The trace of the root is the sum of the roots of the eigenvalues of Σ_a^½ Σ_b Σ_a^½, which
    is symmetric. Source: Heusel et al., NeurIPS 2017, with another network's features.

    Args:
      a: features [N, F].
      b: features [M, F].

    Raises:
      UserError: the features have the wrong shape.

    >>> x = np.random.default_rng(0).normal(size=(1000, 3))
    >>> round(frechet_distance(x, x + np.array([2.0, 0, 0])), 6)
    4.0
    """
    _check(a, b)
    a, b = a.astype(np.float64), b.astype(np.float64)
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    middle = np.linalg.eigvalsh(root @ cov_b @ root)
    trace = np.trace(cov_a) + np.trace(cov_b) - 2 * np.sqrt(np.maximum(middle, 0)).sum()
    return float(max(np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + trace, 0.0))


class Manifold:
    """Real features, each with the ball that reaches its k-th nearest neighbour.

    Make it once for a data set, and compare any number of generated sets with it.

    Args:
      real: features of real examples, [N, F] with N > k.
      k: which neighbour the balls reach.
    """

    def __init__(self, real: np.ndarray, k: int = NEAREST) -> None:
        checks.at_least("k", k, 1)
        self.k = k
        self.real = real
        self.radii = _radii(real, k)

    def scores(self, fake: np.ndarray) -> dict[str, float]:
        """Compares generated features with the real ones.

        Args:
          fake: features of generated examples, [M, F] with M > k.

        Returns:
          precision: the share of fakes within a ball of a real example; recall: the share of
          reals within a ball of a fake (Kynkäänniemi et al., NeurIPS 2019). density: the mean
          number of balls of reals that a fake is in, over k; coverage: the share of reals with a
          fake in their ball (Naeem et al., ICML 2020).

        >>> x = np.random.default_rng(0).normal(size=(50, 2))
        >>> Manifold(x).scores(x)["coverage"], Manifold(x).scores(x + 100)["precision"]
        (1.0, 0.0)
        """
        _check(self.real, fake)
        fake_radii = _radii(fake, self.k)
        balls = np.zeros(len(fake), np.int64)
        recalled, covered = [], []
        for rows, distances in _distances(self.real, fake):
            inside = distances <= self.radii[rows, None]
            balls += inside.sum(axis=0)
            covered.append(inside.any(axis=1))
            recalled.append((distances <= fake_radii[None, :]).any(axis=1))
        return {
            "precision": float(np.mean(balls > 0)),
            "recall": float(np.mean(np.concatenate(recalled))),
            "density": float(np.mean(balls) / self.k),
            "coverage": float(np.mean(np.concatenate(covered))),
        }


def purity(classes: np.ndarray, categories: np.ndarray) -> float:
    """The share of a category's samples in its most frequent class, averaged over categories.

    Args:
      classes: the class that a classifier gives each sample, whole numbers [N].
      categories: the category that each sample was drawn from, whole numbers [N]. Every
        category counts the same.

    >>> purity(np.array([3, 3, 1, 7]), np.array([0, 0, 1, 1]))
    0.75
    """
    shares = []
    for category in np.unique(categories):
        counts = np.bincount(classes[categories == category])
        shares.append(counts.max() / counts.sum())
    return float(np.mean(shares))


def class_entropy(classes: np.ndarray) -> float:
    """The entropy of the class frequencies, in nats.

    Args:
      classes: whole numbers [N].

    >>> round(class_entropy(np.array([0, 1, 2, 3])), 4)
    1.3863
    """
    frequencies = np.bincount(classes) / len(classes)
    used = frequencies[frequencies > 0]
    return float(-np.sum(used * np.log(used)))


def _distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Euclidean distances of a [N, F] to all of b [M, F], in chunks: (rows of a, [.., M])."""
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    squares = np.sum(b * b, axis=1)
    for start in range(0, len(a), ROWS):
        rows = slice(start, min(start + ROWS, len(a)))
        part = a[rows]
        found = np.sum(part * part, axis=1)[:, None] + squares[None, :] - 2 * part @ b.T
        yield rows, np.sqrt(np.maximum(found, 0, out=found), out=found)


def _radii(x: np.ndarray, k: int) -> np.ndarray:
    """The distance of each of x [N, F] to its k-th nearest neighbour other than itself."""
    if len(x) <= k:
        raise UserError(f"there are {len(x)} examples; give more than k = {k}.")
    parts = []
    for rows, distances in _distances(x, x):
        distances[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = np.inf
        parts.append(np.partition(distances, k - 1, axis=1)[:, k - 1])
    return np.concatenate(parts)


def _check(a: np.ndarray, b: np.ndarray) -> None:
    """Raise `UserError` unless both are [N, F] with the same F."""
    for x in (a, b):
        if x.ndim != 2 or len(x) < 2:
            raise UserError(f"features have shape {x.shape}; give [N, F] with N at least 2.")
    if a.shape[1] != b.shape[1]:
        raise UserError(
            f"features have {a.shape[1]} and {b.shape[1]} numbers; compare those of one network."
        )
