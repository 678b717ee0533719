"""Stability between seeds: pairs of partitions, whatever their categories are called."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cpvae_jax.evaluation import stability


def test_names_of_categories_do_not_matter():
    first = np.random.default_rng(0).integers(0, 4, 500)
    found = stability.between({3: first, 4: 3 - first, 9: first + 7})
    assert (found["mean"], found["min"], found["max"]) == (1, 1, 1)
    assert [pair["seeds"] for pair in found["pairs"]] == [[3, 4], [3, 9], [4, 9]]


def test_unrelated_seeds_score_nothing_and_the_mean_is_over_pairs():
    rng = np.random.default_rng(0)
    first, other = rng.integers(0, 4, (2, 4000))
    found = stability.between({0: first, 1: first, 2: other})
    expected = adjusted_rand_score(first, other)
    assert abs(expected) < 0.01
    assert found["mean"] == pytest.approx((1 + 2 * expected) / 3)
    assert (found["min"], found["max"]) == (pytest.approx(expected), 1)


def test_the_line_of_one_pair_has_no_spread():
    found = stability.between({0: np.array([0, 1, 1]), 1: np.array([0, 1, 1])})
    assert stability.summary(found) == "between seeds: adjusted Rand index 1.000"
