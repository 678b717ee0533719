"""A partition in any form as probabilities, [N, K]."""

from __future__ import annotations

from typing import Any

import numpy as np

from cpvae_jax.data.labels import known
from cpvae_jax.errors import UserError


def of_labels(K: int, given: Any, num: int) -> np.ndarray:
    """Labels as probabilities: 1 for the category of a label, in the order of the distinct labels.

    Args:
      K: The number of categories.
      given: A whole number or string for each of `num` examples; -1, NaN, None or "" where there
        is no label.
      num: The number of training examples.

    Returns:
      [N, K] in float32; rows of zeros where there is no label.

    Raises:
      UserError: The labels are not one per example, or more distinct ones than categories.

    >>> of_labels(3, ["b", "a", ""], 3).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    labels, has = known("the categories to start from", given)
    if len(labels) != num:
        raise UserError(
            f"there are {len(labels)} categories to start from, but {num} training examples; give "
            "one for each, with -1 where it is not known."
        )
    names, numbers = np.unique(labels[has], return_inverse=True)
    if not len(names):
        raise UserError(
            "none of the categories to start from is known; give some, or choose another start."
        )
    if len(names) > K:
        raise UserError(
            f"the categories to start from have {len(names)} different values, but the model has "
            f"{K} categories; give a larger K."
        )
    found = np.zeros((num, K), np.float32)
    found[np.flatnonzero(has), numbers] = 1
    return found


def of_partition(K: int, given: Any, num: int) -> np.ndarray:
    """What a `Partition` returned, [N] or [N, K], as probabilities [N, K].

    Raises:
      UserError: It is neither.
    """
    found = np.asarray(given)
    if found.shape == (num, K) and np.all(np.isfinite(found)) and np.all(found >= 0):
        return found.astype(np.float32)
    whole = found.shape == (num,) and found.dtype.kind in "iu"
    if whole and num and 0 <= found.min() <= found.max() < K:
        return np.eye(K, dtype=np.float32)[found]
    raise UserError(
        f"the start returned an array of shape {found.shape} and dtype {found.dtype}; it must return "
        f"a category from 0 to {K - 1} for each of the {num} examples, or {K} probabilities."
    )
