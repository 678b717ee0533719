"""How far several seeds find the same categories.

Categories that come back with every seed are a property of the data; others are of one training. No label is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np


def between(categories: Mapping[int, np.ndarray]) -> dict[str, Any]:
    """The adjusted Rand index between the categories of each pair of seeds.

    It is 1 where two seeds divide the examples alike, whatever the categories are called, and 0 on
    average where they have nothing to do with each other (Hubert and Arabie, 1985).

    Args:
      categories: the categories of the same examples by seed, [N] each; at least two seeds.

    Returns:
      "mean", "min" and "max" over the pairs, and "pairs", a list of records with the keys "seeds"
      and "ari".

    >>> between({0: np.array([0, 0, 1]), 5: np.array([1, 1, 0])})
    {'mean': 1.0, 'min': 1.0, 'max': 1.0, 'pairs': [{'seeds': [0, 5], 'ari': 1.0}]}
    """
    from sklearn.metrics import adjusted_rand_score

    values = {
        (a, b): float(adjusted_rand_score(categories[a], categories[b]))
        for a, b in combinations(categories, 2)
    }
    pairs = [{"seeds": [a, b], "ari": ari} for (a, b), ari in values.items()]
    spread = {
        "mean": float(np.mean(list(values.values()))),
        "min": min(values.values()),
        "max": max(values.values()),
    }
    return {**spread, "pairs": pairs}


def summary(found: Mapping[str, Any]) -> str:
    """The stability as a line to print.

    >>> summary({"mean": 0.9, "min": 0.85, "max": 0.95, "pairs": [{}, {}, {}]})
    'between seeds: adjusted Rand index 0.900 on average, 0.850 to 0.950 over 3 pairs'
    """
    line = f"between seeds: adjusted Rand index {found['mean']:.3f}"
    if len(found["pairs"]) == 1:
        return line
    return (
        f"{line} on average, {found['min']:.3f} to {found['max']:.3f} "
        f"over {len(found['pairs'])} pairs"
    )
