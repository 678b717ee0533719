"""Class labels: what they may be, which examples have one, and labels from the user's files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from cpvae_jax.data.conversion import is_absent
from cpvae_jax.errors import UserError

UNLABELLED = -1
"""The label of an example whose class is unknown. Scores leave such examples out and count them."""

Labels = dict[str, np.ndarray | None]
"""Labels `[N]` by part, whole numbers with `UNLABELLED`; None for a part without labels."""


def as_classes(what: str, given: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns classes in a form that can be compared, and which entries are missing.

    Args:
      what: What the classes are, for the error message.
      given: Whole numbers of any type, booleans, or strings: `[N]` or `[N, 1]`, in an array or a
        list. NaN, None, a blank string and a masked entry are missing.

    Returns:
      int64 (uint64 for larger numbers) or strings `[N]`, and booleans `[N]`, True where missing.
      Missing entries are `UNLABELLED`, 0 in uint64, or "".

    Raises:
      UserError: The classes have another type or shape, or are fractions or infinite.

    >>> as_classes("labels", [2.0, float("nan")])
    (array([ 2, -1]), array([False,  True]))
    """
    try:
        array = np.asanyarray(given)
    except ValueError as error:  # a ragged list
        raise UserError(f"{what} are ragged ({error}): give one class per example.") from error
    if array.dtype.kind == "V":  # records, whose mask is a record too
        raise UserError(f"{what} have dtype {array.dtype}: give one whole number or string each.")
    masked = np.ma.getmaskarray(array).reshape(-1)
    array = np.asarray(array)
    if array.ndim == 0 or array.size != len(array):
        raise UserError(f"{what} have the shape {array.shape}: give one class per example, [N].")
    array = array.reshape(-1)
    if array.dtype.kind in "OSTU":
        missing = masked | np.array([_is_missing(value) for value in array.tolist()], bool)
        kept = _plain(what, array[~missing].tolist())
    else:
        missing = masked | (np.isnan(array) if array.dtype.kind == "f" else False)
        kept = _whole(what, array[~missing])
    classes = np.full(len(array), "" if kept.dtype.kind == "U" else 0, kept.dtype)
    if kept.dtype == np.int64:
        classes[:] = UNLABELLED
    classes[~missing] = kept
    return classes, missing


def _is_missing(value: Any) -> bool:
    """Whether an object stands for no class: None, NaN, pandas' NA and NaT, a blank string."""
    if isinstance(value, float | np.floating):
        return bool(np.isnan(value))
    if isinstance(value, str | bytes):
        return not value.strip()
    return is_absent(value)


def _plain(what: str, values: list[Any]) -> np.ndarray:
    """Python objects as an array of strings or of whole numbers, not of both."""
    if all(isinstance(v, str | bytes) for v in values) and values:
        texts = [
            v.decode("utf-8", "backslashreplace") if isinstance(v, bytes) else v for v in values
        ]
        return np.array(texts, np.str_)
    other = next((v for v in values if isinstance(v, str | bytes) or not np.isscalar(v)), None)
    if other is not None:
        raise UserError(
            f"{what} hold {other!r} among others: give whole numbers, or strings for every example."
        )
    if all(isinstance(v, int | np.integer) for v in values):  # NumPy would round large ones
        for dtype in (np.int64, np.uint64):
            with suppress(OverflowError):
                return np.array(values, dtype)
        raise UserError(f"{what} hold {max(values, key=abs)}: give whole numbers of 64 bits.")
    return _whole(what, np.array(values))


def _whole(what: str, array: np.ndarray) -> np.ndarray:
    """Numbers as int64, or as uint64 if they are larger."""
    remedy = "give whole numbers or strings, one class per example."
    if array.dtype.kind not in "biuf":
        raise UserError(f"{what} have dtype {array.dtype}: {remedy}")
    if array.dtype.kind == "f":
        array = array.astype(np.promote_types(array.dtype, np.float64))
        bad = array[(np.rint(array) != array) | (np.abs(array) >= 2.0**63)]
        if bad.size:
            raise UserError(f"{what} hold {bad[0]}: {remedy}")
    large = array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max
    return array.astype(np.uint64 if large else np.int64)


def known(what: str, given: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels in a form that can be compared, and which examples have one.

    -1 says that an example has no label, and so does what `as_classes` calls missing.

    Args:
      what: What the labels are, for the error message.
      given: Labels `[N]`, as `as_classes` takes them.

    Returns:
      Labels `[N]` as `as_classes` returns them, and booleans `[N]`, True where there is a label.

    Raises:
      UserError: As `as_classes`, or a label is below -1.

    >>> known("labels", np.array([7, -1, 2_000_000_000]))[1].tolist()
    [True, False, True]
    """
    labels, missing = as_classes(what, given)
    if labels.dtype.kind == "U":
        return labels, ~missing
    negative = labels[labels < UNLABELLED]
    if negative.size:
        raise UserError(
            f"{what} hold {negative[0]}: give whole numbers from 0, with {UNLABELLED} for an example "
            "without a label."
        )
    return labels, ~missing & (labels != UNLABELLED)


def as_labels(what: str, given: Mapping[str, Any]) -> tuple[Labels, tuple[str, ...] | None]:
    """Returns the labels of each part as whole numbers, and the class names if they were strings.

    Args:
      what: The source of the labels, for the error message.
      given: For each part labels `[N]` as `known` takes them, or None.

    Returns:
      int32 labels by part, wider where the numbers need it, `UNLABELLED` where there is none; and
      the class names in sorted order, or None.

    Raises:
      UserError: As `known`, or some parts have strings and others numbers.

    >>> labels, names = as_labels("here", {"train": np.array(["b", "a", ""]), "test": None})
    >>> labels["train"].tolist(), labels["test"], names
    ([1, 0, -1], None, ('a', 'b'))
    """
    read = {
        part: known(f"{what}: the {part} labels", labels)
        for part, labels in given.items()
        if labels is not None
    }
    result: Labels = dict.fromkeys(given)
    texts = [labels[has] for labels, has in read.values() if labels.dtype.kind == "U"]
    if not texts:
        return result | {part: _narrow(labels) for part, (labels, _) in read.items()}, None
    if any(has.any() and labels.dtype.kind != "U" for labels, has in read.values()):
        raise UserError(
            f"{what}: some parts have strings as labels and others numbers: give strings for every "
            "part, or whole numbers."
        )
    names = np.unique(np.concatenate(texts))
    for part, (labels, has) in read.items():
        numbers = np.full(len(labels), UNLABELLED, np.int32)
        numbers[has] = np.searchsorted(names, labels[has])
        result[part] = numbers
    return result, tuple(names.tolist())


def _narrow(labels: np.ndarray) -> np.ndarray:
    """Labels as int32 if they fit."""
    fits = not labels.size or labels.max() <= np.iinfo(np.int32).max
    return labels.astype(np.int32) if fits else labels
