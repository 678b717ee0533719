"""Classical clusterings: scikit-learn's k-means and Gaussian mixture, in bounded time."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np

SEED = 0
"""Decides all random choices, so that every run on the same data with the same K has the same
baselines."""

RESTARTS = 10
"""Starts of k-means, of which the smallest sum of squared distances is kept."""

WORK = 1.6e9
"""Starts · rows · columns · K of k-means: ten starts on 20,000 images of MNIST with K = 10, which takes
seconds. Where one start is more, there are fewer, down to one."""

SHORT_RUNS, SHORT_STEPS, STEPS = 5, 20, 200
"""The mixture goes 20 steps of EM from each of 5 starts by k-means, and up to 200 more from the most
probable. Source: Biernacki, Celeux and Govaert, "Choosing starting values for the EM algorithm",
Computational Statistics and Data Analysis, 2003."""

EM_WORK = 7.5e10
"""Steps · rows · columns² · K of the mixture: all steps above on 10,000 images of MNIST with K = 10, which
take seconds. Larger problems get a single start, and fewer steps after it, down to 20."""

MOST_COLUMNS = 50
"""Columns of the mixture, whose covariances have X² / 2 numbers each. More columns, or more than there
are rows per component, are reduced to principal components."""

REGULARISATION = 1e-6
"""What is added to the variances of the mixture, in mean variances of the columns: scikit-learn's
default for standardised columns."""

T = TypeVar("T")

Function = Callable[[np.ndarray], np.ndarray]


class Fitted(NamedTuple):
    """A fitted baseline.

    Attributes:
      cluster: Rows [B, X] to clusters [B].
      log_prob: Such rows to log-densities [B]; None if it has none, or none of all columns, or one
        without a limit because a column is constant.
      how: "rows" and "columns" that it was fitted to, fewer columns than X if they are principal
        components, and "restarts".
    """

    cluster: Function
    log_prob: Function | None
    how: dict[str, int]


def one_thread(function: Callable[..., T]) -> Callable[..., T]:
    """A function whose products of matrices take one thread.

    They are small, so threads mostly wait for each other. On cores that have other work, two took ten
    times as long as one.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits.wrap(limits=1)(function)


def kmeans(x: np.ndarray, K: int) -> Fitted:
    """k-means of rows [n, X]."""
    from sklearn.cluster import KMeans

    restarts = int(np.clip(WORK / (x.size * K), 1, RESTARTS))
    # The distances that the triangle inequality spares outweigh those that "lloyd" takes at once.
    found = KMeans(K, n_init=restarts, algorithm="elkan", random_state=SEED)
    one_thread(found.fit)(x)
    return Fitted(one_thread(found.predict), None, _how(x, x.shape[1], restarts))


def mixture(x: np.ndarray, K: int) -> Fitted:
    """A mixture of Gaussians with full covariances of rows [n, X], computed in float64."""
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    columns = min(x.shape[1], MOST_COLUMNS, len(x) // K)
    whole = columns == x.shape[1]
    affordable = EM_WORK / (len(x) * columns**2 * K)
    starts = int(np.clip(affordable / 3 / SHORT_STEPS, 1, SHORT_RUNS))
    steps = int(np.clip(affordable * 2 / 3, SHORT_STEPS, STEPS))
    components = PCA(columns, random_state=SEED)
    found = GaussianMixture(
        K, n_init=starts, max_iter=SHORT_STEPS, warm_start=True, random_state=SEED
    )

    def reduced(rows: np.ndarray) -> np.ndarray:
        rows = rows.astype(np.float64)
        return rows if whole else components.transform(rows)

    def fit() -> np.ndarray:
        if not whole:
            components.fit(x.astype(np.float64))
        z = reduced(x)
        found.set_params(reg_covar=REGULARISATION * (float(z.var(axis=0).mean()) or 1.0)).fit(z)
        found.set_params(max_iter=steps).fit(z)
        return z

    has_density = np.ptp(one_thread(fit)(), axis=0).min() > 0 and whole
    return Fitted(
        one_thread(lambda rows: found.predict(reduced(rows))),
        one_thread(lambda rows: found.score_samples(reduced(rows))) if has_density else None,
        _how(x, columns, starts),
    )


def _how(x: np.ndarray, columns: int, restarts: int) -> dict[str, int]:
    return {"rows": len(x), "columns": columns, "restarts": restarts}
