"""Scores of a clustering against labels. Labels are never used for training."""

from __future__ import annotations

import numpy as np


def contingency(categories: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts the examples of each category and label.

    Args:
      categories: whole numbers from 0 up, [N].
      labels: whole numbers from 0 up, [N].

    Returns:
      Counts, [largest category + 1, largest label + 1].

    >>> contingency(np.array([0, 1, 1]), np.array([1, 0, 0])).tolist()
    [[0, 1], [2, 0]]
    """
    categories, labels = np.asarray(categories), np.asarray(labels)
    table = np.zeros((categories.max() + 1, labels.max() + 1), np.int64)
    np.add.at(table, (categories, labels), 1)
    return table


def hungarian_accuracy(categories: np.ndarray, labels: np.ndarray) -> float:
    """The accuracy of the best one-to-one matching of categories and labels (Kuhn, 1955).

    With more categories than labels, examples of the unmatched categories count as wrong.

    Args:
      categories: whole numbers from 0 up, [N].
      labels: whole numbers from 0 up, [N].

    Returns:
      The share of correct examples, 0 to 1.

    >>> hungarian_accuracy(np.array([2, 2, 0, 0, 1]), np.array([0, 0, 1, 1, 1]))
    0.8
    """
    from scipy.optimize import linear_sum_assignment

    table = contingency(categories, labels)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / table.sum())


def majority_accuracy(categories: np.ndarray, labels: np.ndarray) -> float:
    """The accuracy when each category predicts its most frequent label.

    Several categories may share a label, so this tends to rise with K.

    Args:
      categories: whole numbers from 0 up, [N].
      labels: whole numbers from 0 up, [N].

    Returns:
      The share of correct examples, 0 to 1.

    >>> majority_accuracy(np.array([2, 2, 0, 0, 1]), np.array([0, 0, 1, 1, 1]))
    1.0
    """
    table = contingency(categories, labels)
    return float(table.max(axis=1).sum() / table.sum())


def clustering(categories: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """All scores: both accuracies, normalised mutual information and the adjusted Rand index.

    NMI is normalised by the arithmetic mean of the entropies.

    Args:
      categories: whole numbers from 0 up, [N].
      labels: whole numbers from 0 up, [N].

    Returns:
      "accuracy_hungarian", "accuracy_majority", "nmi" and "ari".

    >>> clustering(np.array([1, 1, 0]), np.array([0, 0, 1]))["ari"]
    1.0
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    return {
        "accuracy_hungarian": hungarian_accuracy(categories, labels),
        "accuracy_majority": majority_accuracy(categories, labels),
        "nmi": float(normalized_mutual_info_score(labels, categories)),
        "ari": float(adjusted_rand_score(labels, categories)),
    }
