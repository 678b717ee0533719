"""Scores of a clustering against labels, each by its named protocol. Labels never train."""

from __future__ import annotations

import numpy as np


def contingency(categories: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts of examples by category and label, [number of categories, number of labels]."""
    categories, labels = np.asarray(categories), np.asarray(labels)
    table = np.zeros((categories.max() + 1, labels.max() + 1), np.int64)
    np.add.at(table, (categories, labels), 1)
    return table


def hungarian_accuracy(categories: np.ndarray, labels: np.ndarray) -> float:
    """The share of examples that are right when each category is given one label and no label
    goes to two: the best such matching (Kuhn, 1955). Categories beyond the number of labels
    count as wrong.

    >>> hungarian_accuracy(np.array([2, 2, 0, 0, 1]), np.array([0, 0, 1, 1, 1]))
    0.8
    """
    from scipy.optimize import linear_sum_assignment

    table = contingency(categories, labels)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / table.sum())


def majority_accuracy(categories: np.ndarray, labels: np.ndarray) -> float:
    """The share of examples that are right when each category is given its most frequent label;
    many categories may share one. It can only rise with K.

    >>> majority_accuracy(np.array([2, 2, 0, 0, 1]), np.array([0, 0, 1, 1, 1]))
    1.0
    """
    table = contingency(categories, labels)
    return float(table.max(axis=1).sum() / table.sum())


def clustering(categories: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy by both protocols, normalised mutual information and the adjusted Rand index.

    categories and labels are [N] whole numbers; NMI is normalised by the arithmetic mean.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    return {
        "accuracy_hungarian": hungarian_accuracy(categories, labels),
        "accuracy_majority": majority_accuracy(categories, labels),
        "nmi": float(normalized_mutual_info_score(labels, categories)),
        "ari": float(adjusted_rand_score(labels, categories)),
    }
