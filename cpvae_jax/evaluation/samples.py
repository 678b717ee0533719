"""How good generated examples are, from features of them and of real examples.

Features are [N, F], of any network. Every score depends on the network, so the caller chooses it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cpvae_jax import checks
from cpvae_jax.errors import UserError
from cpvae_jax.evaluation.categories import entropy

NEAREST = 5
"""k of the nearest-neighbour balls; 5 as in Naeem et al."""

ROWS = 500
"""Rows of a matrix of distances that are in memory at once."""

PER_CATEGORY = 200
"""Samples of each category for `purity`, whatever K: 100 choose the main class, and 100 are scored."""


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½) of the Gaussians fitted to two sets of features.

    The trace of the root is the sum of the roots of the eigenvalues of Σ_a^½ Σ_b Σ_a^½, which
    is symmetric. Source: Heusel et al., NeurIPS 2017, with another network's features.

    Args:
      a: features [N, F].
      b: features [M, F].

    Raises:
      UserError: the features have the wrong shape, or are not finite.

    >>> x = np.random.default_rng(0).normal(size=(1000, 3))
    >>> round(frechet_distance(x, x + np.array([2.0, 0, 0])), 6)
    4.0
    """
    a, b = _pair(a, b)
    unit = _unit(a, b)
    a, b = a / unit, b / unit
    a, b = a - a.mean(axis=0), b - a.mean(axis=0)
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    middle = np.linalg.eigvalsh(root @ cov_b @ root)
    trace = np.trace(cov_a) + np.trace(cov_b) - 2 * np.sqrt(np.maximum(middle, 0)).sum()
    squared = np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2) + trace
    return float(max(squared, 0.0)) * unit * unit


class Manifold:
    """Real features, each with the ball that reaches its k-th nearest neighbour.

    Make it once for a data set, and compare any number of generated sets with it. Distances are
    computed in float64 from the differences of features, so that neither an offset nor the scale of
    the features matters. A ball contains its surface: equal examples are in each other's balls.

    Args:
      real: features of real examples, [N, F] with N > k.
      k: which neighbour the balls reach.

    Raises:
      UserError: k is below 1, or the features have the wrong shape, are not finite or are too few.
    """

    def __init__(self, real: np.ndarray, k: int = NEAREST) -> None:
        checks.at_least("k", k, 1)
        self.k = k
        self.real = _features(real)
        self.radii = _radii(self.real, k)

    def scores(self, fake: np.ndarray) -> dict[str, float]:
        """Compares generated features with the real ones.

        Args:
          fake: features of generated examples, [M, F] with M > k.

        Returns:
          precision: the share of fakes within a ball of a real example; recall: the share of
          reals within a ball of a fake (Kynkäänniemi et al., NeurIPS 2019). density: the mean
          number of balls of reals that a fake is in, over k; coverage: the share of reals with a
          fake in their ball (Naeem et al., ICML 2020).

        Raises:
          UserError: the features have the wrong shape, are not finite or are too few.

        >>> x = np.random.default_rng(0).normal(size=(50, 2))
        >>> Manifold(x).scores(x)["coverage"], Manifold(x).scores(x + 100)["precision"]
        (1.0, 0.0)
        """
        _, fake = _pair(self.real, fake)
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
    """The share of a category's samples in its main class, averaged over categories.

    The samples of each category are split into two halves at random. The most frequent class of one
    half is scored on the other, and the other way round. So samples without any structure score the
    frequency of a class, however many categories there are. With few samples per category the main
    class may be missed, which lowers the score; compare scores from equally many samples.

    Args:
      classes: the class that a classifier gives each sample, whole numbers [N].
      categories: the category that each sample was drawn from, whole numbers [N], at least two
        samples of each. Every category counts the same.

    Returns:
      0 to 1. Where two classes are equally frequent in a half, the mean of their shares counts.

    Raises:
      UserError: the two differ in length, or a category has a single sample.

    >>> purity(np.array([3, 3, 1, 7]), np.array([0, 0, 1, 1]))
    0.5
    """
    if np.ndim(classes) != 1 or np.shape(classes) != np.shape(categories) or not len(classes):
        raise UserError(
            f"classes and categories have shapes {np.shape(classes)} and {np.shape(categories)}; "
            "give one of each per sample."
        )
    names, categories, sizes = np.unique(categories, return_inverse=True, return_counts=True)
    if sizes.min() < 2:
        raise UserError(
            f"category {names[np.argmin(sizes)]} has one sample; purity needs at least two of each, "
            "one to choose the main class and one to score it."
        )
    found, classes = np.unique(classes, return_inverse=True)
    order = np.random.default_rng(0).permutation(len(classes))
    order = order[np.argsort(categories[order], kind="stable")]
    within = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    counts = np.zeros((2, len(names), len(found)))
    np.add.at(counts, (within % 2, categories[order], classes[order]), 1)
    shares = counts / counts.sum(axis=2, keepdims=True)
    main = counts == counts.max(axis=2, keepdims=True)
    main = main / main.sum(axis=2, keepdims=True)
    return float(np.mean(np.sum(main * shares[::-1], axis=2)))


def class_entropy(classes: np.ndarray) -> float:
    """The entropy of the class frequencies, in nats.

    Args:
      classes: whole numbers [N].

    >>> round(class_entropy(np.array([0, 1, 2, 3])), 4)
    1.3863
    """
    used = np.unique(classes, return_counts=True)[1] / len(classes)
    return float(entropy(used))


def _distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Euclidean distances of a [N, F] to all of b [M, F], in chunks: (rows of a, [.., M]).

    ‖a‖² + ‖b‖² − 2 a·b would be faster, but it rounds a distance away that is small beside ‖a‖.
    """
    from scipy.spatial.distance import cdist

    unit = _unit(a, b)
    a, b = a / unit, b / unit
    for start in range(0, len(a), ROWS):
        rows = slice(start, min(start + ROWS, len(a)))
        yield rows, cdist(a[rows], b) * unit


def _radii(x: np.ndarray, k: int) -> np.ndarray:
    """The distance of each of x [N, F] to its k-th nearest neighbour other than itself."""
    if len(x) <= k:
        raise UserError(f"there are {len(x)} examples; give more than k = {k}.")
    parts = []
    for rows, distances in _distances(x, x):
        distances[np.arange(rows.stop - rows.start), np.arange(rows.start, rows.stop)] = np.inf
        parts.append(np.partition(distances, k - 1, axis=1)[:, k - 1])
    return np.concatenate(parts)


def _unit(a: np.ndarray, b: np.ndarray) -> float:
    """A power of two near the largest feature: dividing by it is exact, and no square overflows."""
    exponent = np.frexp(max(np.abs(a).max(), np.abs(b).max()))[1]
    return 2.0 ** int(np.clip(exponent, -1000, 1000))


def _features(x: np.ndarray) -> np.ndarray:
    """Features in float64; `UserError` unless they are [N, F] and finite."""
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or len(x) < 2 or not x.shape[1]:
        raise UserError(f"features have shape {x.shape}; give [N, F] with N at least 2.")
    if not np.isfinite(x).all():
        row = int(np.argmin(np.isfinite(x).all(axis=1)))
        raise UserError(f"the features of example {row} are not finite; leave that example out.")
    return x


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of features in float64; `UserError` unless they are comparable."""
    a, b = _features(a), _features(b)
    if a.shape[1] != b.shape[1]:
        raise UserError(
            f"features have {a.shape[1]} and {b.shape[1]} numbers; compare those of one network."
        )
    return a, b
