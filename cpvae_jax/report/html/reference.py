"""The real examples that stand beside samples: training examples with their categories and labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cpvae_jax.data import Dataset
from cpvae_jax.data.labels import known
from cpvae_jax.data.rows import Rows
from cpvae_jax.report import agreement, units
from cpvae_jax.types import Params

MOST = 20_000
"""The most training examples to look at. More would find nearer neighbours, and take seconds."""

MOST_NUMBERS = 2**25
"""The most numbers in them, 128 MiB of float32: fewer examples of large images."""

AT_ONCE = 2**24
"""The most distances in memory at once, 64 MiB of float32."""


class Reference(NamedTuple):
    """Evenly spaced training examples.

    Attributes:
      x: The examples, [N, *shape].
      inputs: As the encoder sees them, [N, X]; 0, the mean, where an entry is missing.
      rows: Their row numbers in the training part, [N].
      labels: The names of their labels, None for an example without one, [N].
      categories: Their most probable categories, [N].
    """

    x: np.ndarray
    inputs: np.ndarray
    rows: np.ndarray
    labels: list[str | None]
    categories: np.ndarray


def of(params: Params, data: Dataset) -> Reference:
    """The reference of a model's data."""
    train = data.train
    most = min(MOST, max(1, MOST_NUMBERS // params.config.size))
    rows = spaced(len(train), most)
    x = train[rows] if isinstance(train, Rows) else np.asarray(train)[rows]
    return Reference(
        x,
        inputs(params, x),
        rows,
        label_names(data, data.train_labels, rows),
        agreement.predicted(params, x, np.arange(len(x))),
    )


def spaced(num: int, most: int) -> np.ndarray:
    """At most so many evenly spaced numbers below `num`.

    >>> spaced(5, 9).tolist(), spaced(100, 3).tolist()
    ([0, 1, 2, 3, 4], [0, 49, 99])
    """
    return np.linspace(0, num - 1, min(num, most)).astype(int)


def label_names(data: Dataset, labels: Any, rows: np.ndarray) -> list[str | None]:
    """The names of the labels of chosen examples; None where there is none."""
    if labels is None:
        return [None] * len(rows)
    found, has = known(f"{data.name}: the labels", labels)
    names = data.class_names
    return [
        None if not has[at] else str(found[at]) if names is None else str(names[int(found[at])])
        for at in rows
    ]


def inputs(params: Params, x: np.ndarray) -> np.ndarray:
    """Examples [N, *shape] in the user's unit as the encoder sees them, [N, X], without NaN."""
    return np.nan_to_num(units.inputs(params, x))


def nearest(samples: np.ndarray, examples: np.ndarray) -> np.ndarray:
    """The place of the example with the least Euclidean distance to each sample, [S].

    Args:
      samples: [S, X].
      examples: [N, X].

    >>> nearest(np.array([[0.9], [0.1]]), np.array([[0.0], [5.0], [1.0]])).tolist()
    [2, 0]
    """
    squares = np.einsum("nx,nx->n", examples, examples)
    step = max(1, AT_ONCE // len(examples))
    blocks = (samples[start : start + step] for start in range(0, len(samples), step))
    # The square of the sample itself is the same for all examples.
    return np.concatenate([np.argmin(squares - 2 * b @ examples.T, axis=1) for b in blocks])
