"""Examples that stay on the disk, as plain numpy: what a data set may hold in place of an array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from cpvae_jax.errors import UserError

T = TypeVar("T")

CHECKED = 2**16
"""Examples looked at at once."""


class Rows:
    """Examples [N, *shape] in one or several arrays, such as `np.load(..., mmap_mode="r")` gives.

    Indexing with whole numbers from 0 to N - 1 reads those examples into memory.

    Raises `UserError` for no array, arrays of different shapes or types, or no example.

    >>> rows = Rows([np.zeros((3, 2)), np.ones((2, 2))])
    >>> rows.shape, rows[np.array([0, 4])].tolist()
    ((5, 2), [[0.0, 0.0], [1.0, 1.0]])
    """

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        kinds = {(part.shape[1:], part.dtype) for part in parts}
        if len(kinds) != 1:
            told = ", ".join(sorted(f"{dtype} {shape}" for shape, dtype in kinds)) or "nothing"
            raise UserError(f"training data of one shape and type are needed; there is {told}.")
        ((self._shape, self.dtype),) = kinds
        self.parts = list(parts)
        self._ends = np.cumsum([len(part) for part in parts])
        if len(self) == 0:
            raise UserError("training data are empty; give at least one example.")

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, *shape of an example)."""
        return (len(self), *self._shape)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        index = np.asarray(index)
        if index.dtype.kind not in "ui":
            raise IndexError(f"an index of Rows is {index.dtype}; give whole numbers.")
        if index.size and not 0 <= index.min() <= index.max() < len(self):
            outside = index[(index < 0) | (index >= len(self))].flat[0]
            raise IndexError(f"an index of Rows is {outside}; give 0 to {len(self) - 1}.")
        found = np.empty((index.size, *self._shape), self.dtype)
        order = np.argsort(index, axis=None)  # a disk likes to be read in its own order
        ranked = index.ravel()[order]
        first = 0
        for end, part in zip(self._ends, self.parts, strict=True):
            last = int(np.searchsorted(ranked, end))
            if last > first:
                found[order[first:last]] = part[ranked[first:last] - (end - len(part))]
            first = last
        return found.reshape(*index.shape, *self._shape)

    def sample(self, num: int) -> np.ndarray:
        """At most `num` examples, evenly spaced."""
        return self[np.linspace(0, len(self) - 1, min(num, len(self))).astype(int)]

    def blocks(self) -> Iterator[np.ndarray]:
        """The examples in order, a bounded number at once."""
        for part in self.parts:
            for start in range(0, len(part), CHECKED):
                yield np.asarray(part[start : start + CHECKED])


def sample_of(given: T | Rows) -> T | np.ndarray:
    """The data themselves, or as many of `Rows` as tell the scale of them all."""
    return given.sample(CHECKED) if isinstance(given, Rows) else given
