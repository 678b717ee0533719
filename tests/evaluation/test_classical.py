"""k-means and the Gaussian mixture of scikit-learn on data whose clusters and density are known."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans

from cpvae_jax.evaluation import classical
from cpvae_jax.evaluation.clustering import hungarian_accuracy

CENTRES = np.array([[0.0, 0.0, 0.0], [6.0, 0.0, 0.0], [0.0, 6.0, 0.0]])
SHAPE = np.array([[1.0, 0.6, 0.0], [0.6, 1.0, 0.0], [0.0, 0.0, 0.25]])


def drawn(num, seed=0):
    """Three ellipsoids: rows in float32, and their components."""
    rng = np.random.default_rng(seed)
    component = rng.integers(0, 3, num)
    noise = rng.multivariate_normal(np.zeros(3), SHAPE, num)
    return np.float32(CENTRES[component] + noise), component


def test_both_find_clusters_that_are_apart():
    x, component = drawn(2000)
    for fit in (classical.kmeans, classical.mixture):
        found = fit(x, 3)
        assert hungarian_accuracy(found.cluster(x), component) > 0.99
        restarts = 10 if fit is classical.kmeans else 5
        assert found.how == {"rows": 2000, "columns": 3, "restarts": restarts}


def test_the_mixture_has_the_density_of_the_truth():
    x, _ = drawn(20_000)
    test, _ = drawn(5000, seed=1)
    truth = np.mean([multivariate_normal(c, SHAPE).pdf(test) for c in CENTRES], axis=0)
    found = classical.mixture(x, 3).log_prob(test)
    assert found.dtype == np.float64
    # 29 parameters, each fitted up to its standard error: half a nat each, of all 20,000 rows.
    assert abs(np.mean(np.log(truth) - found)) < 5 * 29 / 2 / 20_000
    assert classical.kmeans(x, 3).log_prob is None


def test_kmeans_is_the_best_of_ten_starts():
    x, _ = drawn(300)
    wanted = KMeans(7, n_init=10, random_state=0).fit(x)
    found = classical.kmeans(x, 7).cluster(x)
    cost = sum(np.sum((x[found == k] - x[found == k].mean(axis=0)) ** 2) for k in range(7))
    assert cost == pytest.approx(wanted.inertia_, rel=1e-3)


def test_many_columns_are_reduced_and_have_no_density():
    x, component = drawn(300)
    wide = np.float32(x @ np.random.default_rng(2).normal(size=(3, 60)))
    found = classical.mixture(wide, 3)
    assert found.how["columns"] == 50
    assert found.log_prob is None
    assert hungarian_accuracy(found.cluster(wide), component) > 0.98
    few = classical.mixture(wide[:20], 2)
    assert few.how["columns"] == 10  # as many as rows per component


def test_a_constant_column_leaves_no_density():
    x, component = drawn(500)
    x[:, 2] = 7
    found = classical.mixture(x, 3)
    assert found.log_prob is None
    assert hungarian_accuracy(found.cluster(x), component) > 0.99


def test_large_work_has_fewer_starts(monkeypatch):
    x, _ = drawn(100)
    monkeypatch.setattr(classical, "WORK", 2.5 * x.size * 3)
    assert classical.kmeans(x, 3).how["restarts"] == 2
    monkeypatch.setattr(classical, "WORK", 1)
    assert classical.kmeans(x, 3).how["restarts"] == 1
    assert classical.mixture(x, 3).how["restarts"] == 5
    monkeypatch.setattr(classical, "EM_WORK", 3 * 20 * 2 * x.size * 3 * 3)
    assert classical.mixture(x, 3).how["restarts"] == 2
    monkeypatch.setattr(classical, "EM_WORK", 1)
    assert classical.mixture(x, 3).how["restarts"] == 1


def test_the_work_is_done_in_one_thread():
    from threadpoolctl import threadpool_info

    counts = classical.one_thread(lambda: {pool["num_threads"] for pool in threadpool_info()})()
    assert counts == {1}
