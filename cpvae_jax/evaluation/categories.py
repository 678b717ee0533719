"""How evenly a model uses its categories, and how much they say about x."""

from __future__ import annotations

import numpy as np


def entropy(probs: np.ndarray) -> np.ndarray:
    """The entropy of distributions [..., K], in nats, [...].

    >>> entropy(np.array([[0.5, 0.5], [0.25, 0.75]])).round(3).tolist()
    [0.693, 0.562]
    """
    p = np.asarray(probs, np.float64)
    return 0.0 - np.sum(p * np.log(np.maximum(p, 1e-300)), axis=-1)


def effective_number(aggregate: np.ndarray) -> float:
    """exp of the entropy of q(c), [K]: K if all categories are equally frequent, 1 if one has all.

    It says nothing about what the categories tell about x: see `information`.

    >>> round(effective_number(np.full(3, 1 / 3)), 6)
    3.0
    """
    return float(np.exp(entropy(aggregate)))


def information(probs: np.ndarray) -> float:
    """I(x; c) = H(q(c)) − E H(q(c|x)): the information that the category carries about x.

    The expectation is over the given examples, and q(c) is the mean of their q(c|x). It is 0 where
    q(c|x) is the same for all x, however evenly that spreads over the categories.

    Args:
      probs: q(c|x) of each example, [N, K].

    Returns:
      In nats, from 0 to log K.

    >>> information(np.full((5, 3), 1 / 3)), round(information(np.eye(3)), 4)
    (0.0, 1.0986)
    """
    q = np.asarray(probs, np.float64)
    return max(0.0, float(entropy(q.mean(axis=0)) - np.mean(entropy(q))))
