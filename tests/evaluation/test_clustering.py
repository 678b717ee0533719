"""Scores of a clustering, against the definitions written out."""

from itertools import combinations, permutations, product

import numpy as np
import pytest

from cpvae_jax.evaluation import clustering


def drawn(seed, K, L, N=12):
    rng = np.random.default_rng(seed)
    return rng.integers(0, K, N), rng.integers(0, L, N)


SIZES = [(1, 1), (1, 3), (3, 1), (2, 2), (3, 3), (4, 2), (2, 4), (4, 4)]


def test_the_table_counts_every_pair():
    table = clustering.contingency(np.array([0, 2, 2, 2]), np.array([1, 0, 1, 1]))
    np.testing.assert_array_equal(table, [[0, 1], [0, 0], [1, 2]])


@pytest.mark.parametrize(("K", "L"), SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_hungarian_accuracy_is_the_best_of_all_one_to_one_matchings(seed, K, L):
    categories, labels = drawn(seed, K, L)
    slots = max(K, L)  # a label beyond L is one that no example has
    best = max(
        np.mean(np.array(matching)[categories] == labels) for matching in permutations(range(slots))
    )
    assert clustering.hungarian_accuracy(categories, labels) == pytest.approx(best)


@pytest.mark.parametrize(("K", "L"), SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_majority_accuracy_is_the_best_of_all_maps(seed, K, L):
    categories, labels = drawn(seed, K, L)
    best = max(
        np.mean(np.array(chosen)[categories] == labels) for chosen in product(range(L), repeat=K)
    )
    assert clustering.majority_accuracy(categories, labels) == pytest.approx(best)
    assert clustering.hungarian_accuracy(categories, labels) <= best


@pytest.mark.parametrize(("K", "L"), [(3, 3), (4, 2), (2, 4)])
def test_nmi_and_ari_are_their_definitions(K, L):
    categories, labels = drawn(0, K, L, N=40)
    got = clustering.clustering(categories, labels)
    joint = clustering.contingency(categories, labels) / 40
    p, q = joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    mutual = np.sum(joint[seen] * np.log((joint / (p * q))[seen]))
    entropies = [-np.sum(a[a > 0] * np.log(a[a > 0])) for a in (p, q)]
    assert got["nmi"] == pytest.approx(mutual / np.mean(entropies))
    # The Rand index over pairs of examples, adjusted by its mean over random permutations.
    pairs = np.array(list(combinations(range(40), 2))).T
    same_c, same_l = (np.equal(*a[pairs]) for a in (categories, labels))
    both, expected = np.sum(same_c & same_l), same_c.sum() * same_l.mean()
    largest = (same_c.sum() + same_l.sum()) / 2
    assert got["ari"] == pytest.approx((both - expected) / (largest - expected))


def test_a_perfect_clustering_scores_one_whatever_its_names():
    labels = np.repeat(np.arange(4), 5)
    got = clustering.clustering(np.array([2, 0, 3, 1])[labels], labels)
    assert list(got) == ["accuracy_hungarian", "accuracy_majority", "nmi", "ari"]
    np.testing.assert_allclose(list(got.values()), 1)


def test_one_category_for_all_scores_the_largest_label_and_no_information():
    labels = np.array([0] * 6 + [1] * 3 + [2])
    got = clustering.clustering(np.zeros(10, int), labels)
    np.testing.assert_allclose(list(got.values()), [0.6, 0.6, 0, 0], atol=1e-12)


def test_a_clustering_that_knows_nothing_scores_near_zero():
    rng = np.random.default_rng(0)
    got = clustering.clustering(rng.integers(0, 5, 10_000), rng.integers(0, 5, 10_000))
    assert abs(got["ari"]) < 0.005
    assert got["nmi"] < 0.005


def test_more_categories_than_labels_are_free_by_majority_and_wrong_by_matching():
    categories, labels = np.arange(6), np.array([0, 0, 0, 1, 1, 1])
    assert clustering.majority_accuracy(categories, labels) == 1
    assert clustering.hungarian_accuracy(categories, labels) == pytest.approx(2 / 6)
