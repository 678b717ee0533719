"""Scores of a clustering against labels. Labels are never used for training.

Categories and labels are classes: whole numbers of any type and size, or strings. Only their
equality counts. Here -1 is a class like any other; `labelled` leaves out the examples that have no
label.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cpvae_jax.data import labels as classes
from cpvae_jax.errors import UserError


class Labelled(NamedTuple):
    """The examples that have a label, and the number of those without one."""

    categories: np.ndarray
    labels: np.ndarray
    unlabelled: int


def labelled(categories: Any, labels: Any) -> Labelled:
    """Leaves out the examples without a label: those with -1, NaN, None, "" or a masked entry.

    Args:
      categories: one per example, [N].
      labels: whole numbers from 0, or strings, with -1 for an example without a label; [N].

    Raises:
      UserError: the arrays are no classes, their lengths differ, or a label is below -1.

    >>> labelled([0, 0, 1, 1], [-1, -1, 2, 2])
    Labelled(categories=array([1, 1]), labels=array([2, 2]), unlabelled=2)
    """
    found, has = classes.known("labels", labels)
    of_each, _ = classes.as_classes("categories", categories)
    _same_length("categories", of_each, "labels", found)
    return Labelled(of_each[has], found[has], int(np.sum(~has)))


def _same_length(name: str, a: np.ndarray, other: str, b: np.ndarray) -> None:
    if len(a) != len(b):
        raise UserError(
            f"{name} has {len(a)} entries, but {other} has {len(b)}: give one of each per example."
        )


def _codes(name: str, *given: Any) -> tuple[np.ndarray, ...]:
    """Classes as whole numbers from 0 up, in the order of the classes; several arrays share them."""
    found = []
    for one in given:
        values, missing = classes.as_classes(name, one)
        if not len(values):
            raise UserError(f"{name} is empty: give at least one example.")
        if missing.any():
            raise UserError(
                f"{name} has {np.sum(missing)} missing entries: leave those examples out with "
                "clustering.labelled."
            )
        found.append(values)
    if len({values.dtype.kind for values in found}) > 1:  # a common type would round large numbers
        found = [values.astype(object) for values in found]
    joint = np.concatenate(found)
    try:
        numbers = np.unique(joint, return_inverse=True)[1]
    except TypeError as error:
        raise UserError(f"{name} holds numbers and strings: give one kind.") from error
    return tuple(np.split(numbers, np.cumsum([len(values) for values in found])[:-1]))


def _pair(categories: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    (of_category,), (of_label,) = _codes("categories", categories), _codes("labels", labels)
    _same_length("categories", of_category, "labels", of_label)
    return of_category, of_label


def _table(categories: np.ndarray, labels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    counts = np.bincount(categories * columns + labels, minlength=rows * columns)
    return counts.reshape(rows, columns)


def contingency(categories: Any, labels: Any) -> np.ndarray:
    """Counts the examples of each category and label.

    Args:
      categories: one per example, [N]; whole numbers or strings.
      labels: one per example, [N]; whole numbers or strings. -1 is a class like any other.

    Returns:
      Counts, [distinct categories, distinct labels], both in increasing order.

    Raises:
      UserError: the arrays are empty, are no classes, or differ in length.

    >>> contingency([0, 7, 7], [2_000_000_000, -1, -1]).tolist()
    [[0, 1], [2, 0]]
    """
    of_category, of_label = _pair(categories, labels)
    return _table(of_category, of_label, of_category.max() + 1, of_label.max() + 1)


def hungarian_accuracy(categories: Any, labels: Any) -> float:
    """The accuracy of the best one-to-one matching of categories and labels (Kuhn, 1955).

    With more categories than labels, examples of the unmatched categories count as wrong.

    Args:
      categories: one per example, [N]; whole numbers or strings.
      labels: one per example, [N]; whole numbers or strings. -1 is a class like any other.

    Returns:
      The share of correct examples, 0 to 1.

    Raises:
      UserError: as `contingency`.

    >>> hungarian_accuracy([2, 2, 0, 0, 1], [0, 0, 1, 1, 1])
    0.8
    >>> hungarian_accuracy([0, 0, 0, 0], [-1, -1, 2, 2])
    0.5
    """
    return float(np.mean(matched(categories, labels)))


def matched(categories: Any, labels: Any) -> np.ndarray:
    """Which examples are correct under the best one-to-one matching of categories and labels, [N].

    Args:
      categories: one per example, [N]; whole numbers or strings.
      labels: one per example, [N]; whole numbers or strings. -1 is a class like any other.

    Raises:
      UserError: as `contingency`.

    >>> matched([2, 2, 0, 0, 1], [0, 0, 1, 1, 1]).tolist()
    [True, True, True, True, False]
    """
    from scipy.optimize import linear_sum_assignment

    of_category, of_label = _pair(categories, labels)
    table = _table(of_category, of_label, of_category.max() + 1, of_label.max() + 1)
    rows, columns = linear_sum_assignment(table, maximize=True)
    label_of = np.full(len(table), -1)
    label_of[rows] = columns
    return label_of[of_category] == of_label


def majority_accuracy(categories: Any, labels: Any, fit_categories: Any, fit_labels: Any) -> float:
    """The accuracy when each category predicts its most frequent label among other examples.

    The map from category to label comes from examples that are not scored, such as the training
    set. A map from the scored examples themselves would reward chance: with few examples per
    category, some label is frequent in each. A category without an example to fit predicts the
    most frequent label of all. Several categories may share a label, so this tends to rise with K.

    Args:
      categories: one per scored example, [N]; whole numbers or strings.
      labels: one per scored example, [N]; whole numbers or strings. -1 is a class like any other.
      fit_categories: one per example that the map is fitted to, [M].
      fit_labels: one per example that the map is fitted to, [M].

    Returns:
      The share of correct examples, 0 to 1.

    Raises:
      UserError: as `contingency`.

    >>> majority_accuracy([0, 1, 1], [5, 6, 5], fit_categories=[0, 1, 1], fit_labels=[5, 6, 6])
    0.6666666666666666
    """
    of_category, fit_category = _codes("categories", categories, fit_categories)
    of_label, fit_label = _codes("labels", labels, fit_labels)
    _same_length("categories", of_category, "labels", of_label)
    _same_length("fit_categories", fit_category, "fit_labels", fit_label)
    rows = max(of_category.max(), fit_category.max()) + 1
    table = _table(fit_category, fit_label, rows, max(of_label.max(), fit_label.max()) + 1)
    predicted = np.where(table.any(axis=1), table.argmax(axis=1), table.sum(axis=0).argmax())
    return float(np.mean(predicted[of_category] == of_label))


def halves(num: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A random half of `num` examples to fit a map to, and the other to score; in order.

    >>> [len(half) for half in halves(5)]
    [2, 3]
    """
    order = np.random.default_rng(seed).permutation(num)
    return np.sort(order[: num // 2]), np.sort(order[num // 2 :])


def clustering(
    categories: Any, labels: Any, fit_categories: Any = None, fit_labels: Any = None
) -> dict[str, float]:
    """All scores: both accuracies, normalised mutual information and the adjusted Rand index.

    NMI is normalised by the arithmetic mean of the entropies.

    Args:
      categories: one per example, [N]; whole numbers or strings.
      labels: one per example, [N]; whole numbers or strings. -1 is a class like any other.
      fit_categories: one per example that majority accuracy fits its map to, [M]. Without these
        examples it is fitted to a random half of the N and scored on the other half.
      fit_labels: one per example that majority accuracy fits its map to, [M].

    Returns:
      "accuracy_hungarian", "accuracy_majority", "nmi" and "ari". A single example without others to
      fit has no "accuracy_majority".

    Raises:
      UserError: as `contingency`, or only one of fit_categories and fit_labels is given.

    >>> clustering([1, 1, 0], [0, 0, 1])["ari"]
    1.0
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    if (fit_categories is None) != (fit_labels is None):
        raise UserError("fit_categories and fit_labels belong together: give both, or neither.")
    of_category, of_label = _pair(categories, labels)
    result = {"accuracy_hungarian": hungarian_accuracy(of_category, of_label)}
    if fit_labels is not None:
        majority = majority_accuracy(categories, labels, fit_categories, fit_labels)
        result["accuracy_majority"] = majority
    elif len(of_label) > 1:
        fit, rest = halves(len(of_label))
        result["accuracy_majority"] = majority_accuracy(
            of_category[rest], of_label[rest], of_category[fit], of_label[fit]
        )
    return {
        **result,
        "nmi": float(normalized_mutual_info_score(of_label, of_category)),
        "ari": float(adjusted_rand_score(of_label, of_category)),
    }
