"""Categories against labels: which examples are scored, and which the majority map is fitted to."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax.data import Dataset, Rows
from cpvae_jax.errors import UserError
from cpvae_jax.evaluation import clustering
from cpvae_jax.report import agreement

TEST = np.array([0, 0, 1, 1, 2, 2])
TRAIN = np.array([0, 0, 1, 1, 1, 2, 2, 2])


@pytest.fixture
def data(monkeypatch):
    """Data whose single number is the category that the model gives; category 2 is mixed."""
    monkeypatch.setattr(agreement.api, "predict", lambda params, x: np.eye(3)[x[:, 0].astype(int)])
    train, test = (np.float32(c)[:, None] for c in (TRAIN, TEST))
    labels = np.array([7, 7, 8, 8, 9, 9, 9, 8])
    return Dataset(
        name="made",
        train=train,
        valid=train,
        test=test,
        train_labels=labels,
        valid_labels=np.where(labels == 7, 8, 7),
        test_labels=np.array([7, 7, 8, 8, 9, 7]),
        kind="real",
        source="",
    )


def with_labels(data):
    """The scores of the model whose `predict` is replaced."""
    return agreement.with_labels(partial(agreement.predicted, None), data, 0).scores


def scored(data, **changes):
    return with_labels(replace(data, **changes))


@pytest.mark.parametrize(
    ("changes", "part", "examples"),
    [
        ({}, "training", 8),
        ({"train_labels": np.array([7, -1, 8, 8, -1, 9, 9, -1])}, "training", 5),
        ({"train_labels": None}, "validation", 8),
        ({"train_labels": np.full(8, -1)}, "validation", 8),
        ({"train_labels": None, "valid_labels": None}, "half of test", 3),
        ({"train_labels": np.full(8, np.nan), "valid_labels": [None] * 8}, "half of test", 3),
    ],
)
def test_the_map_is_fitted_to_labelled_training_examples_or_the_next_best(
    data, changes, part, examples
):
    found = scored(data, **changes)
    assert (found["majority_from"], found["majority_examples"]) == (part, examples)
    if part == "training":
        assert found["accuracy_majority"] == 5 / 6
    if part == "validation":
        assert found["accuracy_majority"] == 1 / 6  # its labels are others: 7 becomes 8, and 8 7
    assert ("fitted on half" in agreement.summary(found)) == (part == "half of test")


@pytest.mark.parametrize(
    "labels",
    [
        [7, 7, -1, 8, 9, -1],
        np.array([7, 7, np.nan, 8, 9, np.nan]),
        [7, 7, None, 8, 9, None],
        np.ma.array([7, 7, 0, 8, 9, 0], mask=[0, 0, 1, 0, 0, 1]),
    ],
)
def test_test_examples_without_a_label_are_left_out_and_counted(data, labels):
    found = scored(data, test_labels=labels)
    assert (found["unlabelled"], found["accuracy_majority"], found["nmi"]) == (2, 1, 1)
    assert "; 2 test examples without a label left out" in agreement.summary(found)


@pytest.mark.parametrize("labels", [np.full(6, -1), np.full(6, np.nan), [""] * 6, [None] * 6])
def test_data_without_any_test_label_have_no_scores_and_one_note(data, labels):
    found = scored(data, test_labels=labels)
    assert found == {"unlabelled": 6}
    assert agreement.summary(found) == (
        "no scores against labels: none of the 6 test examples has a label"
    )


def test_the_examples_that_the_matching_gets_right_are_marked(data):
    found = agreement.with_labels(partial(agreement.predicted, None), data, 0)
    assert found.correct.tolist() == [True] * 5 + [False]
    assert np.mean(found.correct) == found.scores["accuracy_hungarian"]
    none = replace(data, test_labels=np.full(6, -1))
    assert len(agreement.with_labels(partial(agreement.predicted, None), none, 0).correct) == 0


def test_a_single_labelled_example_is_scored(data):
    found = scored(data, test_labels=[7, *[-1] * 5], train_labels=None, valid_labels=None)
    assert found["accuracy_hungarian"] == 1
    assert "majority" not in agreement.summary(found)


def test_labels_may_be_large_or_strings(data):
    same = scored(data)
    big = {7: 2_000_000_000, 8: 2**40, 9: 0}
    for change in (np.vectorize(big.get), lambda a: a.astype(str), lambda a: a.astype(">u8")):
        parts = ("train_labels", "valid_labels", "test_labels")
        assert scored(data, **{n: change(getattr(data, n)) for n in parts}) == pytest.approx(same)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"test_labels": [0, 1, 2, 0, 1, -2]}, "labels hold -2"),
        ({"train_labels": np.full(8, 0.5)}, "made: the training labels hold 0.5"),
        ({"test_labels": [0, 1]}, "labels has 2"),
    ],
)
def test_invalid_labels_are_one_message(data, changes, words):
    with pytest.raises(UserError, match=words):
        scored(data, **changes)


@pytest.mark.parametrize("rows", [False, True])
def test_the_map_is_fitted_to_a_limited_number_of_examples(data, monkeypatch, rows):
    monkeypatch.setattr(agreement, "FITTED", 5)
    train = Rows([data.train[:3], data.train[3:]]) if rows else data.train
    found = scored(data, train=train)
    assert found["majority_examples"] == 5
    assert found == scored(data, train=train)


@pytest.mark.parametrize("num", [1, 499, 500, 501, 1203])
def test_categories_come_from_batches_of_one_size(num):
    config = cpvae_jax.Config(shape=(3,), K=7, latent=2, hidden=(8,), likelihood="gaussian")
    x = np.random.default_rng(0).normal(size=(1500, 3)).astype(np.float32)
    x[:600] = 0.5  # as in sorted data, whose batches differ from the whole
    params = cpvae_jax.initialise(jax.random.key(0), config, x)
    chosen = np.sort(np.random.default_rng(1).choice(1500, num, replace=False))
    wanted = np.argmax(np.asarray(cpvae_jax.predict(params, x[chosen])), axis=1)
    for given in (x, Rows([x[:700], x[700:]])):
        np.testing.assert_array_equal(agreement.predicted(params, given, chosen), wanted)


def test_random_categories_score_chance_on_data_like_omniglot(monkeypatch):
    """500 categories and 50 alphabets; fitted to the test labels, the score would be 0.13."""
    rng = np.random.default_rng(0)
    x = {part: np.float32(rng.integers(0, 500, (n, 1))) for part, n in (("a", 23_000), ("b", 8000))}
    labels = {part: rng.integers(0, 50, len(values)) for part, values in x.items()}
    monkeypatch.setattr(
        agreement.api, "predict", lambda params, x: np.eye(500)[x[:, 0].astype(int)]
    )
    data = Dataset("chance", x["a"], x["b"], x["b"], labels["a"], None, labels["b"], "real", "made")
    found = with_labels(data)
    error = np.sqrt(0.02 * 0.98 / 8000)
    assert abs(found["accuracy_majority"] - 0.02) < 5 * error
    of_test = x["b"][:, 0]
    in_sample = clustering.majority_accuracy(of_test, labels["b"], of_test, labels["b"])
    assert in_sample > 0.1
