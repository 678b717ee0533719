"""Nearest neighbours, against all pairs."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from cpvae_jax import Config
from cpvae_jax.objectives.views import nearest


def config(columns):
    return Config((columns,), 2, 2, (4,), likelihood="gaussian")


@pytest.mark.parametrize("columns", [1, nearest.COLUMNS, nearest.COLUMNS + 1, 30])
def test_neighbours_are_those_of_all_pairs(columns, monkeypatch):
    """By a tree and by comparison, in chunks."""
    monkeypatch.setattr(nearest, "CHUNK", 30)
    x = np.random.default_rng(0).normal(100, 1, (80, columns)).astype(np.float32)
    found = nearest.search(config(columns), x, 7)
    pairs = cdist(np.float64(x), np.float64(x))
    np.fill_diagonal(pairs, np.inf)
    np.testing.assert_array_equal(found.rows, np.argsort(pairs, axis=1)[:, :7])
    np.testing.assert_allclose(found.distance, np.sort(pairs, axis=1)[:, :7], rtol=1e-4)
    assert found.among == 80


@pytest.mark.parametrize("columns", [2, 9])
def test_equal_examples_are_neighbours_at_distance_0_and_none_is_its_own(columns):
    x = np.repeat(np.random.default_rng(0).normal(50, 1, (3, columns)), 20, axis=0)
    found = nearest.search(config(columns), x.astype(np.float32), 10)
    np.testing.assert_array_equal(found.distance, 0)
    np.testing.assert_array_equal(found.rows // 20, np.arange(60)[:, None] // 20 * np.ones(10))
    assert not np.any(found.rows == np.arange(60)[:, None])


@pytest.mark.parametrize("dimensions", [2, 6])
def test_distances_within_a_sample_are_brought_to_those_of_all(dimensions, monkeypatch):
    """For data on a plane of fewer dimensions than columns; the same sample every time."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, dimensions)) @ rng.normal(size=(dimensions, 20))
    x = x.astype(np.float32)
    exact = nearest.search(config(20), x, 10).distance[:, -1]
    monkeypatch.setattr(nearest, "WORK", 1)
    monkeypatch.setattr(nearest, "FEWEST", 500)
    found, again = (nearest.search(config(20), x, 10) for _ in range(2))
    np.testing.assert_array_equal(found.rows, again.rows)
    assert found.among == 500 == len(np.unique(found.rows))
    assert not np.any(found.rows == np.arange(3000)[:, None])
    raw = np.median(found.distance[:, -1] / exact)
    corrected = np.median(nearest.within_more(found.distance, 3000 / 500) / exact)
    assert raw > 6 ** (0.8 / dimensions)
    assert corrected == pytest.approx(1, abs=0.1)


def test_nothing_is_corrected_without_a_sample_or_without_distances():
    distance = np.array([[1.0, 2.0], [0.5, 4.0]])
    np.testing.assert_array_equal(nearest.within_more(distance, 1), [2, 4])
    np.testing.assert_array_equal(nearest.within_more(distance[:, :1], 5), [1, 0.5])
    np.testing.assert_array_equal(nearest.within_more(np.zeros((2, 3)), 5), [0, 0])
