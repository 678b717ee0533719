"""Which K to try, and which one the bounds of the same examples speak for."""

import numpy as np
import pytest
from scipy import stats

from cpvae_jax import UserError
from cpvae_jax.training import numbers


def row(K, behind, error=0.1):
    return {"K": K, "bound": -behind, "behind": behind, "behind_error": error}


def test_the_errors_of_differences_are_paired():
    """As a paired t-test has them; those of the means themselves are far larger."""
    rng = np.random.default_rng(0)
    shared = rng.normal(scale=50, size=80)
    bounds = {K: shared + rng.normal(loc=-abs(K - 4), size=80) for K in (2, 4, 7)}
    found = numbers.table(bounds)
    assert [r["K"] for r in found] == [2, 4, 7]
    assert (found[1]["behind"], found[1]["behind_error"]) == (0, 0)
    for r in (found[0], found[2]):
        test = stats.ttest_rel(bounds[4], bounds[r["K"]])
        np.testing.assert_allclose(r["behind"] / r["behind_error"], test.statistic, rtol=1e-9)
        np.testing.assert_allclose(r["bound_error"], stats.sem(bounds[r["K"]]), rtol=1e-9)
        assert r["bound_error"] > 10 * r["behind_error"]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(2, 0.11), row(3, 0.09), row(4, 0, 0), row(5, 0.05)], 3),
        ([row(2, 0.11), row(3, 0.101), row(4, 0, 0), row(5, 0.05)], 4),
        ([row(2, 0.05), row(3, 0.3), row(4, 0, 0)], 4),  # 3 is behind, so 2 is not reached
        ([row(2, 0, 0), row(3, 0.0)], 2),
        ([row(2, 0, np.nan), row(3, 0.2, np.nan)], 2),  # one validation example: no error is known
    ],
)
def test_the_smallest_number_within_one_error_of_the_best_is_chosen(rows, expected):
    assert numbers.chosen(rows) == expected


def test_of_equal_bounds_the_first_is_the_best_and_none_is_behind():
    same = np.array([-1.0, -2.0])
    rows = numbers.table({3: same, 2: same, 9: same})
    assert [row["behind"] for row in rows] == [0, 0, 0]
    assert numbers.chosen(rows) == 2


@pytest.mark.parametrize("true", [2, 3, 5, 13, 20, 37])
def test_the_search_ends_at_the_number_whose_bound_is_best(true):
    rng = np.random.default_rng(true)
    shared = rng.normal(size=500)
    bounds = {}
    while (K := numbers.following(bounds, 2, 100)) is not None:
        assert K not in bounds
        bounds[K] = shared - 0.05 * abs(K - true) + rng.normal(scale=0.1, size=500)
    assert numbers.chosen(numbers.table(bounds)) == true
    assert len(bounds) <= 20
    assert {true - 1, true + 1} <= set(bounds) | {1}


def test_the_search_stays_within_its_limits():
    bounds = {}
    while (K := numbers.following(bounds, 2, 10)) is not None:
        bounds[K] = np.arange(5.0) + K  # ever better
    assert list(bounds) == [2, 3, 4, 6, 8, 10, 9]


def test_few_rows_allow_few_categories():
    assert [numbers.most(rows) for rows in (10, 60, 1000, 50_000)] == [2, 3, 50, numbers.MOST]


@pytest.mark.parametrize("K", ["many", "2-5", [], 0, [0, 2], [2.5], {3, 4.5}, None, True, np.nan])
def test_what_is_no_range_of_numbers_is_refused(K):
    with pytest.raises(UserError, match=r"^K is .*; give (the )?numbers of categories"):
        numbers.given(K)


@pytest.mark.parametrize(
    "K", [[5, 3, 3], (3, 5), np.array([3, 5], np.int8), range(3, 6, 2), iter([3, 5])]
)
def test_numbers_come_in_any_container(K):
    assert numbers.given(K) == (3, 5)
