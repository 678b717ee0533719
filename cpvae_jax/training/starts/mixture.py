"""A Gaussian mixture: the partition of ellipsoids, of the shape that the data support."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np

from cpvae_jax import likelihoods
from cpvae_jax.config import Config
from cpvae_jax.evaluation.classical import one_thread
from cpvae_jax.training.starts import classes, rows, seeds, transforms
from cpvae_jax.training.starts.transforms import Transform

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture


class Shape(NamedTuple):
    """A kind of covariance.

    Attributes:
      kind: "spherical", "diag", "tied" or "full", as scikit-learn names them.
      floor: What is added to the variances, in mean variances of the columns.
    """

    kind: str
    floor: float


SHAPES = (
    Shape("diag", 0.001),
    Shape("spherical", 0.001),
    Shape("tied", 0.001),
    Shape("full", 0.001),
    Shape("full", 0.03),
    Shape("full", 0.1),
)
"""The shapes to choose from; the first where there are too few rows to choose. Full covariances of a few
hundred rows predict better with a high floor: on 31 tables 0.03 was chosen 14 times, 0.001 7 times."""

COLUMNS = 50
"""The most columns: wider data are reduced to their principal components, because a full covariance of
X columns has X² / 2 numbers."""

MOST_ROWS = 10_000
"""The mixture is fitted to at most so many random rows, and answers for all."""

WORK = 1e8
"""Rows · K · columns² that shapes are compared on: 10,000 rows of 16 columns with K = 26, or 4,000 of 50
columns with K = 10, where comparing took 17 seconds of one core. There are at least 20 per category."""

MANY = 3000
"""Above so many rows the initialisation matters less, and there are fewer folds and restarts."""


class Effort(NamedTuple):
    """Folds of the cross-validation, and initialisations by k-means there and of the last fit."""

    folds: int
    short: int
    long: int


FEW_ROWS, MANY_ROWS = Effort(5, 3, 10), Effort(3, 1, 3)


def partition(key: jax.Array, config: Config, x: np.ndarray) -> np.ndarray:
    """The responsibilities of the mixture that predicts the data best, [N, K], for x [N, X].

    The shape of the covariances and whether skewed columns are transformed is chosen by the
    log-density of rows that were left out of the fit. BIC, the usual choice (Fraley and Raftery,
    "Model-based clustering, discriminant analysis, and density estimation", JASA, 2002), takes too
    few parameters here: spherical or diagonal clusters where full ones are right. On 31 tables the
    mixture chosen so came within 2 points of the better of k-means and a full mixture on 30.

    Coded rows of a table have a mixture of their own (`classes`).

    If there are no more distinct rows than categories, each has its own, and the other categories
    are empty.
    """
    if likelihoods.of(config).coded:
        return classes.partition(key, config, x)
    few = rows.distinct(x, config.K)
    if few is not None:
        return np.eye(config.K)[few]
    # The limit holds for libraries that are loaded before it is set.
    import sklearn.mixture  # noqa: F401

    return one_thread(_responsibilities)(x, config.K, seeds.of(key))


def _responsibilities(x: np.ndarray, K: int, seed: int) -> np.ndarray:
    """Those of the mixture, for rows that differ."""
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning

    some = rows.sample(x, MOST_ROWS, seed)
    varied = np.ptp(some, axis=0) > 0
    if not varied.any():  # the rows that differ are not in the sample
        return np.eye(K)[np.zeros(len(x), int)]
    unit = np.sqrt(some[:, varied].var(axis=0).mean())
    some = some[:, varied] / unit
    wide = some.shape[1] > COLUMNS
    axes = PCA(min(COLUMNS, len(some) - 1), random_state=seed).fit(some) if wide else None

    def reduced(x: np.ndarray) -> np.ndarray:
        x = x[:, varied] / unit
        return x if axes is None else axes.transform(x)

    some = some if axes is None else axes.transform(some)
    # Principal components mix the columns, so their skewness says nothing of any.
    unskewed = None if wide else transforms.unskewed(some)
    with warnings.catch_warnings():
        # An unfinished mixture is still a place to start from, and so are empty components.
        warnings.simplefilter("ignore", ConvergenceWarning)
        shape, transform = choose(
            some, K, [transforms.PLAIN] + ([unskewed] if unskewed else []), seed
        )
        mixture = _fit(transform.apply(some), K, shape, _effort(some).long, seed)
    return rows.answers(lambda x: mixture.predict_proba(transform.apply(reduced(x))), x)


def choose(
    x: np.ndarray, K: int, candidates: list[Transform], seed: int
) -> tuple[Shape, Transform]:
    """The shape and transform whose mixtures of K Gaussians predict left-out rows of x [N, X] best."""
    x = rows.sample(x, int(max(WORK / (K * x.shape[1] ** 2), 20 * K)), seed)
    options = [(shape, transform) for transform in candidates for shape in SHAPES]
    if len(x) < max(2 * K, _effort(x).folds * 2):
        return options[0]
    return max(options, key=lambda option: log_density(x, K, option[0], option[1], seed))


def log_density(x: np.ndarray, K: int, shape: Shape, transform: Transform, seed: int) -> float:
    """The mean log-density in nats of the rows x [N, X], each under a mixture fitted without it.

    It is log p(z) + log |dz/dx|, so transforms compare.
    """
    from sklearn.model_selection import KFold

    effort = _effort(x)
    z = transform.apply(x)
    log_prob = transform.log_jacobian(x)
    for train, test in KFold(effort.folds, shuffle=True, random_state=seed).split(z):
        log_prob[test] += _fit(z[train], K, shape, effort.short, seed).score_samples(z[test])
    return float(log_prob.mean())


def _effort(x: np.ndarray) -> Effort:
    return MANY_ROWS if len(x) > MANY else FEW_ROWS


def _fit(z: np.ndarray, K: int, shape: Shape, restarts: int, seed: int) -> GaussianMixture:
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(
        K, covariance_type=shape.kind, reg_covar=shape.floor, n_init=restarts, random_state=seed
    ).fit(z)
