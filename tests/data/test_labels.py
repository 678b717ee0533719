"""Labels of every type that arrays can have, and examples without one."""

import numpy as np
import pytest

from cpvae_jax.data.labels import UNLABELLED, as_classes, as_labels, known
from cpvae_jax.errors import UserError


class NAType:
    """Named as the missing value of pandas."""


@pytest.mark.parametrize(
    ("given", "labels", "has"),
    [
        ([3, 0], [3, 0], [1, 1]),
        ([3, -1], [3, -1], [1, 0]),
        ([True, False], [1, 0], [1, 1]),
        (np.array([300, 7], ">u2"), [300, 7], [1, 1]),
        (np.array([2**64 - 1, 7], np.uint64), [2**64 - 1, 7], [1, 1]),
        (np.array([7, 8], np.uint64), [7, 8], [1, 1]),
        (np.array([2e9, np.nan]), [2_000_000_000, -1], [1, 0]),
        (np.array([2, -1], np.float16), [2, -1], [1, 0]),
        (np.array([2, np.nan], np.longdouble), [2, -1], [1, 0]),
        (np.array([[4], [5]]), [4, 5], [1, 1]),
        ([None, 5], [-1, 5], [0, 1]),
        ([None, 2**63 + 1, 5], [0, 2**63 + 1, 5], [0, 1, 1]),
        ([float("nan"), 5, NAType(), np.float32("nan")], [-1, 5, -1, -1], [0, 1, 0, 0]),
        (np.array([2**64 - 1, None], object), [2**64 - 1, 0], [1, 0]),
        ([None, None], [-1, -1], [0, 0]),
        (["b", "", " ", "a"], ["b", "", "", "a"], [1, 0, 0, 1]),
        ([None, "b"], ["", "b"], [0, 1]),
        (np.array([b"b", b"\xff", b""]), ["b", "\\xff", ""], [1, 1, 0]),
        (np.array(["b", "é"], ">U1"), ["b", "é"], [1, 1]),
        (np.array(["b", ""], np.dtypes.StringDType()), ["b", ""], [1, 0]),
        (np.ma.array([9, 4], mask=[1, 0]), [-1, 4], [0, 1]),
        (np.ma.array([9.0, np.nan, 4], mask=[1, 0, 0]), [-1, -1, 4], [0, 0, 1]),
        (np.ma.array(["x", "y"], mask=[1, 0]), ["", "y"], [0, 1]),
        ([], [], []),
    ],
)
def test_labels_of_every_type_are_read(given, labels, has):
    found, labelled = known("labels", given)
    assert found.tolist() == labels
    assert labelled.tolist() == [bool(one) for one in has]
    assert found.dtype.kind == "U" or found.dtype in (np.int64, np.uint64)
    assert found.dtype.isnative


def test_classes_may_be_negative_where_they_are_no_labels_of_a_data_set():
    classes, missing = as_classes("categories", [-5, -1])
    assert (classes.tolist(), missing.any()) == ([-5, -1], False)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([0, -3], "mine hold -3: give whole numbers from 0, with -1 for an example without"),
        ([0.5], "mine hold 0.5: give whole numbers or strings"),
        ([np.nan, 0.5], "mine hold 0.5"),
        ([None, 0.5], "mine hold 0.5"),
        ([-np.inf], "mine hold -inf"),
        ([1e300], r"mine hold 1e\+300"),
        ([2**70, 0], "mine hold 1180591620717411303424: give whole numbers of 64 bits"),
        ([1j], "dtype complex128"),
        (np.array(["2020-01-01"], "M8[D]"), "dtype datetime64"),
        (["a", 1, None], "mine hold 'a' among others"),
        (np.array([{}, {}]), "mine hold {} among others"),
        (np.eye(3), r"the shape \(3, 3\): give one class per example"),
        (5, r"the shape \(\)"),
        ([[0], [0, 1]], "mine are ragged"),
    ],
)
def test_what_is_no_label_is_named_with_the_remedy(given, words):
    with pytest.raises(UserError, match=words):
        known("mine", given)


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [([2_000_000_000, -1], np.int32), ([2**40, -1], np.int64), ([2**63, 5], np.uint64)],
)
def test_labels_of_files_are_int32_or_as_wide_as_they_need(labels, dtype):
    found, names = as_labels("here", {"train": np.array(labels, object), "valid": None})
    assert (found["train"].tolist(), found["train"].dtype) == (labels, dtype)
    assert (found["valid"], names) == (None, None)


def test_class_names_leave_out_what_has_none():
    parts = {"train": np.array(["b", ""]), "valid": np.array([None, None]), "test": ["a", "b"]}
    found, names = as_labels("here", parts)
    assert names == ("a", "b")
    assert {part: labels.tolist() for part, labels in found.items()} == {
        "train": [1, UNLABELLED],
        "valid": [UNLABELLED, UNLABELLED],
        "test": [0, 1],
    }


def test_strings_in_one_part_and_numbers_in_another_are_refused():
    with pytest.raises(UserError, match="here: some parts have strings as labels and others"):
        as_labels("here", {"train": np.array(["a"]), "test": np.array([1])})
    with pytest.raises(UserError, match=r"here: the test labels hold 0\.5"):
        as_labels("here", {"test": np.array([0.5])})
