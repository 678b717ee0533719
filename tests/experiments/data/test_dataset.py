from dataclasses import replace

import numpy as np
import pytest

from cpvae_jax.errors import UserError
from experiments.data.dataset import Dataset, check, gather, split


def made(**changes) -> Dataset:
    x = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)
    labels = np.arange(4, dtype=np.int32)
    return replace(
        Dataset("made", x, x.copy(), x.copy(), labels, labels, labels, "bernoulli", "made here."),
        **changes,
    )


def test_sound_data_pass():
    check(made(), "bernoulli")
    check(made(train_labels=None), "bernoulli")
    grey = np.full((4, 3), 255, np.uint8)
    check(made(train=grey, valid=grey, test=grey), "bernoulli")
    check(made(train=np.full((4, 3), -7.0, np.float32)), "gaussian")
    assert made().shape == (3,)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"valid": np.zeros((0, 3), np.float32)}, "made: the validation part is empty"),
        ({"train": np.zeros((4, 0), np.float32)}, "made: the training part is empty"),
        ({"test": np.zeros((4, 2), np.float32)}, r"test example has the shape \(2,\) .* \(3,\)"),
        ({"test_labels": np.zeros(3, np.int32)}, r"test labels have the shape \(3,\).*4 examples"),
        ({"train": np.zeros((4, 3), np.int64)}, "training part has the type int64"),
        ({"train": np.array([["a"]])}, "training part has the type <U1"),
        ({"train": np.full((4, 3), 1.5, np.float32)}, r"between 1.5 and 1.5.*--likelihood gauss"),
        ({"test": np.full((4, 3), -0.25, np.float32)}, "test values lie between -0.25 and -0.25"),
    ],
)
def test_flaws_are_told(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        check(made(**changes), "bernoulli")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_located(value):
    x = np.zeros((4, 3), np.float32)
    x[2, 1] = x[3, 0] = value
    for likelihood in ("bernoulli", "gaussian"):
        with pytest.raises(UserError, match=r"validation part has 2 value.* first in example 2:"):
            check(made(valid=x), likelihood)


def test_a_split_is_a_fixed_partition():
    parts = split(100, valid=7, test=13)
    assert [len(part) for part in parts] == [80, 7, 13]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(100))
    for part, again in zip(parts, split(100, valid=7, test=13), strict=True):
        np.testing.assert_array_equal(part, again)
    assert not np.array_equal(parts[0], split(100, valid=7, test=13, seed=1)[0])
    # Frozen: a change of the permutation would change every published number.
    assert split(10, valid=2, test=2)[0].tolist() == FROZEN


FROZEN = [4, 6, 2, 7, 3, 5]


def test_a_split_leaves_something_to_train_on():
    with pytest.raises(UserError, match=r"2 example.* at least 3 are needed"):
        split(2, valid=1, test=1)


def test_gather_keeps_labels_beside_their_examples():
    x = np.arange(10)[:, None]
    fields = gather(x, np.arange(10), split(10, valid=2, test=3))
    for part in ("train", "valid", "test"):
        np.testing.assert_array_equal(fields[part][:, 0], fields[f"{part}_labels"])
