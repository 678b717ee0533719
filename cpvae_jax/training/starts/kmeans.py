"""k-means: the partition of spheres of one size."""

from __future__ import annotations

import warnings

import jax
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.evaluation.classical import one_thread
from cpvae_jax.training.starts import rows, seeds

RESTARTS = 10
"""Random initialisations, of which the smallest sum of squared distances is kept."""

MOST_ROWS = 20_000
"""Centres are fitted to at most so many random rows. On MNIST that takes seconds, and a centre is the
mean of 2,000 images."""


def partition(key: jax.Array, config: Config, x: np.ndarray) -> np.ndarray:
    """The cluster of each row of x [N, X], [N].

    If there are no more distinct rows than categories, each has its own, and the other categories
    are empty.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    few = rows.distinct(x, config.K)
    if few is not None:
        return few
    seed = seeds.of(key)
    # The distances that the triangle inequality spares outweigh those that "lloyd" takes at once;
    # one centre spares none.
    algorithm = "elkan" if config.K > 1 else "lloyd"
    model = KMeans(config.K, n_init=RESTARTS, algorithm=algorithm, random_state=seed)
    with warnings.catch_warnings():
        # The sample may have fewer distinct rows than there are categories: some stay empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        one_thread(model.fit)(rows.sample(x, MOST_ROWS, seed))
    return rows.answers(one_thread(model.predict), x)
