from dataclasses import replace

import numpy as np
import pytest

from cpvae_jax.data import Dataset, Rows, check
from cpvae_jax.data.dataset import gather, split
from cpvae_jax.errors import UserError


def made(**changes) -> Dataset:
    x = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)
    labels = np.arange(4, dtype=np.int32)
    return replace(
        Dataset("made", x, x.copy(), x.copy(), labels, labels, labels, "grey", "made here."),
        **changes,
    )


def test_sound_data_pass():
    check(made())
    check(made(train_labels=None))
    check(made(train=Rows([np.zeros((2, 3)), np.zeros((2, 3))])))
    assert made().shape == (3,)
    assert list(made().parts) == ["training", "validation", "test"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"valid": np.zeros((0, 3))}, r"made: the validation part has shape \(0, 3\)"),
        ({"train": np.zeros((4, 0))}, r"made: the training part has shape \(4, 0\)"),
        ({"test": np.array(3.0)}, r"made: the test part has shape \(\)"),
        ({"test": np.zeros((4, 2))}, r"\(3,\), but the test examples have shape \(2,\)"),
        ({"test_labels": np.zeros(3, np.int32)}, r"test labels have shape \(3,\).*4 examples"),
        ({"train": Rows([np.zeros((5, 3))])}, r"training labels have shape \(4,\).*5 examples"),
    ],
)
def test_parts_that_do_not_fit_together_are_named(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        check(made(**changes))


def test_a_split_is_a_fixed_partition():
    parts = split(100, valid=7, test=13)
    assert [len(part) for part in parts] == [80, 7, 13]
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(100))
    for part, again in zip(parts, split(100, valid=7, test=13), strict=True):
        np.testing.assert_array_equal(part, again)
    assert not np.array_equal(parts[0], split(100, valid=7, test=13, seed=1)[0])
    # A change of the permutation would change every published number.
    assert split(10, valid=2, test=2)[0].tolist() == FROZEN


FROZEN = [4, 6, 2, 7, 3, 5]


def test_a_split_leaves_something_to_train_on():
    with pytest.raises(UserError, match=r"2 examples, .* give at least 3"):
        split(2, valid=1, test=1)


def test_gather_keeps_labels_beside_their_examples():
    x = np.arange(10)[:, None]
    fields = gather(x, np.arange(10), split(10, valid=2, test=3))
    for part in ("train", "valid", "test"):
        np.testing.assert_array_equal(fields[part][:, 0], fields[f"{part}_labels"])
