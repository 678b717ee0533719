"""Scores of a clustering, against the definitions written out."""

from itertools import combinations, permutations, product

import jax.numpy as jnp
import numpy as np
import pytest

from cpvae_jax.errors import UserError
from cpvae_jax.evaluation import clustering


def drawn(seed, K, L, N=12):
    rng = np.random.default_rng(seed)
    return rng.integers(0, K, N), rng.integers(0, L, N)


SIZES = [(1, 1), (1, 3), (3, 1), (2, 2), (3, 3), (4, 2), (2, 4), (4, 4)]


def test_the_table_counts_every_pair():
    table = clustering.contingency(np.array([0, 2, 2, 2]), np.array([1, 0, 1, 1]))
    np.testing.assert_array_equal(table, [[0, 1], [1, 2]])


@pytest.mark.parametrize(("K", "L"), SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_hungarian_accuracy_is_the_best_of_all_one_to_one_matchings(seed, K, L):
    categories, labels = drawn(seed, K, L)
    slots = max(K, L)  # a label beyond L is one that no example has
    best = max(
        np.mean(np.array(matching)[categories] == labels) for matching in permutations(range(slots))
    )
    assert clustering.hungarian_accuracy(categories, labels) == pytest.approx(best)
    right = clustering.matched(categories, labels)
    assert np.mean(right) == pytest.approx(best)
    for k in range(K):  # one label per category, and one category per label
        assert len(set(labels[right & (categories == k)])) <= 1
    for label in range(L):
        assert len(set(categories[right & (labels == label)])) <= 1


@pytest.mark.parametrize(("K", "L"), SIZES)
@pytest.mark.parametrize("seed", range(5))
def test_on_the_examples_of_its_fit_majority_accuracy_is_the_best_of_all_maps(seed, K, L):
    categories, labels = drawn(seed, K, L)
    best = max(
        np.mean(np.array(chosen)[categories] == labels) for chosen in product(range(L), repeat=K)
    )
    found = clustering.majority_accuracy(categories, labels, categories, labels)
    assert found == pytest.approx(best)
    assert clustering.hungarian_accuracy(categories, labels) <= best


@pytest.mark.parametrize(
    ("K", "classes", "fit"), [(500, 50, 24_000), (500, 1623, 24_000), (20, 4, 90)]
)
def test_majority_accuracy_of_random_categories_is_chance(K, classes, fit):
    """A map from the scored examples themselves finds far more; the sizes are those of Omniglot."""
    rng = np.random.default_rng(0)

    def random(num):
        return rng.integers(0, K, num), rng.integers(0, classes, num)

    scored, fitted = random(8000), random(fit)
    chance, error = 1 / classes, np.sqrt(1 / classes / 8000)
    assert abs(clustering.majority_accuracy(*scored, *fitted) - chance) < 5 * error
    halves = clustering.clustering(*scored)["accuracy_majority"]
    assert abs(halves - chance) < 5 * np.sqrt(2) * error
    in_sample = clustering.majority_accuracy(*scored, *scored)
    assert in_sample > 2 * chance or K == 20


def test_categories_that_no_fitted_example_has_predict_the_commonest_label():
    scored = [7, 7, 8, 9], ["b", "a", "b", "a"]
    fitted = [8, 8, 9, 1, 1], ["a", "a", "c", "b", "a"]
    assert clustering.majority_accuracy(*scored, *fitted) == 0.25  # of 7 the second, by "a" overall
    assert clustering.majority_accuracy([7], ["b"], [1, 1, 2], ["b", "b", "a"]) == 1


@pytest.mark.parametrize("num", [2, 3, 101])
def test_halves_share_no_example(num):
    fit, rest = clustering.halves(num)
    assert sorted([*fit, *rest]) == list(range(num))
    assert 0 <= len(rest) - len(fit) <= 1


def test_a_single_example_has_no_majority_accuracy_but_the_others():
    assert set(clustering.clustering([3], [1])) == {"accuracy_hungarian", "nmi", "ari"}


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
    got = clustering.clustering(np.array([2, 0, 3, 1])[labels], labels, [2, 0, 3, 1], [0, 1, 2, 3])
    assert list(got) == ["accuracy_hungarian", "accuracy_majority", "nmi", "ari"]
    np.testing.assert_allclose(list(got.values()), 1)


def test_one_category_for_all_scores_the_largest_label_and_no_information():
    labels = np.array([0] * 6 + [1] * 3 + [2])
    got = clustering.clustering(np.zeros(10, int), labels, [0, 0, 0], [0, 2, 0])
    np.testing.assert_allclose(list(got.values()), [0.6, 0.6, 0, 0], atol=1e-12)


def test_a_clustering_that_knows_nothing_scores_near_zero():
    rng = np.random.default_rng(0)
    got = clustering.clustering(rng.integers(0, 5, 10_000), rng.integers(0, 5, 10_000))
    assert abs(got["ari"]) < 0.005
    assert got["nmi"] < 0.005


def test_more_categories_than_labels_are_free_by_majority_and_wrong_by_matching():
    categories, labels = np.arange(6), np.array([0, 0, 0, 1, 1, 1])
    assert clustering.majority_accuracy(categories, labels, categories, labels) == 1
    assert clustering.hungarian_accuracy(categories, labels) == pytest.approx(2 / 6)


WORDS = {0: -1, 1: 2_000_000_000, 2: 5}
CODES = np.random.default_rng(3).integers(0, 3, (2, 60))


def scores(categories, labels):
    """Every score of the module; the map is fitted to the same examples in reverse."""
    table = np.sort(clustering.contingency(categories, labels).ravel()).tolist()
    both = clustering.clustering(categories, labels, categories[::-1], labels[::-1])
    alone = clustering.clustering(categories, labels)
    matched = clustering.hungarian_accuracy(categories, labels)
    return table, both, alone["nmi"], matched


@pytest.mark.parametrize(
    "change",
    [
        lambda a: np.vectorize(WORDS.get)(a),
        lambda a: a - 7,
        lambda a: a * 2**40,
        lambda a: a.astype(np.int8),
        lambda a: a.astype(np.uint64) + np.uint64(2**63),
        lambda a: a.astype(">i4"),
        lambda a: a.astype(">f8"),
        lambda a: a.astype(np.longdouble),
        lambda a: a.astype(object),
        lambda a: a.tolist(),
        lambda a: a[:, None],
        lambda a: np.array(["a", "b", "c"])[a],
        lambda a: np.array([b"a", b"\xff", b"c"])[a],
        lambda a: np.array(["a", "b", "c"], object)[a],
        lambda a: np.ma.array(a),
        jnp.asarray,
    ],
)
def test_scores_depend_on_which_examples_share_a_class_and_on_nothing_else(change):
    categories, labels = CODES
    table, both, nmi, matched = scores(categories, labels)
    for given in ((categories, change(labels)), (change(categories), labels)):
        other = scores(*given)
        assert other[0] == table
        assert other[2:] == pytest.approx((nmi, matched))
        assert {n: v for n, v in other[1].items() if n != "accuracy_majority"} == pytest.approx(
            {n: v for n, v in both.items() if n != "accuracy_majority"}
        )


def test_booleans_are_classes():
    assert clustering.hungarian_accuracy([True, False, True], np.array([False, True, False])) == 1


@pytest.mark.parametrize(
    ("labels", "accuracy"),
    [([-1, -1, 2, 2], 0.5), ([-1, -1, -1, -1], 1.0), ([2_000_000_000, 0, 0, 0], 0.75)],
)
def test_minus_one_is_a_class_like_any_other(labels, accuracy):
    assert clustering.hungarian_accuracy([0, 0, 0, 0], labels) == accuracy
    assert clustering.clustering([0] * 4, labels)["accuracy_hungarian"] == accuracy
    assert clustering.majority_accuracy([0] * 4, labels, [0], [labels[-1]]) == np.mean(
        np.equal(labels, labels[-1])
    )


@pytest.mark.parametrize(
    "labels",
    [
        [-1, 3, 3, -1, 2_000_000_000],
        np.array([np.nan, 3, 3, np.nan, 2e9]),
        [None, 3, 3, None, 2_000_000_000],
        np.array(["", "b", "b", " ", "c"]),
        [None, "b", "b", "", "c"],
        np.ma.array([0, 3, 3, 0, 2_000_000_000], mask=[1, 0, 0, 1, 0]),
    ],
)
def test_examples_without_a_label_are_left_out_and_counted(labels):
    found = clustering.labelled([0, 1, 1, 2, 5], labels)
    assert (found.categories.tolist(), found.unlabelled) == ([1, 1, 5], 2)
    assert clustering.hungarian_accuracy(found.categories, found.labels) == 1


def test_data_without_any_label_leave_nothing():
    found = clustering.labelled(np.arange(3), np.full(3, -1))
    assert (len(found.categories), len(found.labels), found.unlabelled) == (0, 0, 3)


TWO = [0, 1]


@pytest.mark.parametrize(
    "call",
    [
        clustering.contingency,
        clustering.hungarian_accuracy,
        clustering.clustering,
        lambda c, y: clustering.majority_accuracy(c, y, TWO, TWO),
        lambda c, y: clustering.majority_accuracy(TWO, TWO, c, y),
        lambda c, y: clustering.clustering(TWO, TWO, c, y),
    ],
)
@pytest.mark.parametrize(
    ("categories", "labels", "words"),
    [
        ([], [], "is empty: give at least one example"),
        (TWO, [0, 1, 1], "has 2 entries, but .* has 3"),
        (TWO, [0, 0.5], "hold 0.5: give whole numbers"),
        (TWO, [0, np.inf], "hold inf: give whole numbers"),
        (TWO, [0, np.nan], "1 missing entries: leave those examples out with clustering.labelled"),
        (TWO, [1j, 0], "have dtype complex128"),
        (TWO, [[0, 1], [1, 0]], r"have the shape \(2, 2\)"),
        (TWO, [[0], [1, 0]], "are ragged"),
        (np.eye(2), TWO, r"have the shape \(2, 2\)"),
        (TWO, np.array([{}, 1]), "hold {} among others"),
        (TWO, np.array(["a", 1], object), "hold 'a' among others"),
    ],
)
def test_what_is_no_clustering_is_one_message(call, categories, labels, words):
    with pytest.raises(UserError, match=words):
        call(categories, labels)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, -2], "hold -2: give whole numbers from 0, with -1"),
        ([0, 1, 2], "has 2 entries"),
        ([0.25, -1], "hold 0.25"),
    ],
)
def test_labels_that_no_data_set_may_have_are_refused(labels, words):
    with pytest.raises(UserError, match=words):
        clustering.labelled(TWO, labels)


def test_half_of_a_fit_is_refused():
    with pytest.raises(UserError, match="belong together"):
        clustering.clustering(TWO, TWO, fit_categories=TWO)
