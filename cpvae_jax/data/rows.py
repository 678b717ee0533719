"""Examples that stay on disk: what a data set may hold in place of an array. Plain NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from cpvae_jax.errors import UserError

T = TypeVar("T")

CHECKED = 2**16
"""Examples in a sample, and at most in a block."""

BLOCK = 64 * 2**20
"""The size of a block in bytes, at most: what is read at once to check or to measure examples."""

Change = Callable[[np.ndarray], Any]


class Rows:
    """Examples [N, *shape] in one or more arrays, usually from `np.load(..., mmap_mode="r")`.

    Indexing with whole numbers from 0 to N - 1 reads those examples into memory.

    Args:
      parts: Arrays [n, *shape] with the same shape and dtype, in order.

    Raises:
      UserError: There is no array, shapes or dtypes differ, some values are masked, or there is
        no example.

    Attributes:
      dtype: The dtype in which the examples are stored.
      parts: The arrays.

    >>> rows = Rows([np.zeros((3, 2)), np.ones((2, 2))])
    >>> rows.shape, rows[np.array([0, 4])].tolist()
    ((5, 2), [[0.0, 0.0], [1.0, 1.0]])
    """

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        if not isinstance(parts, Sequence) or any(not hasattr(part, "dtype") for part in parts):
            raise UserError("Rows needs a list of arrays, such as Rows([x]).")
        masked = sum(int(np.ma.count_masked(p)) for p in parts if np.ma.isMaskedArray(p))
        if masked:
            raise UserError(
                f"Rows has {masked} masked value{'s' * (masked > 1)}, which the model cannot leave "
                "out; fill them, such as by .filled(0), or drop their examples."
            )
        kinds = {(part.shape[1:], part.dtype) for part in parts}
        if not kinds:
            raise UserError("Rows needs at least one array; none was given.")
        if len(kinds) > 1:
            found = ", ".join(sorted(f"{dtype} {shape}" for shape, dtype in kinds))
            raise UserError(
                f"Rows needs arrays of one shape and dtype; these differ: {found}. Convert them."
            )
        ((self._stored, self.dtype),) = kinds
        self._shape = self._stored
        self._changes: tuple[Change, ...] = ()
        self.parts = list(parts)
        self._ends = np.cumsum([len(part) for part in parts])
        if len(self) == 0:
            raise UserError("Rows is empty; give at least one example.")

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, *shape of an example)."""
        return (len(self), *self._shape)

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        index = np.asarray(index)
        if index.dtype.kind not in "ui":
            raise IndexError(f"Rows is indexed with {index.dtype}; use whole numbers.")
        if index.size and not 0 <= index.min() <= index.max() < len(self):
            outside = index[(index < 0) | (index >= len(self))].flat[0]
            raise IndexError(f"index {outside} is out of range; Rows takes 0 to {len(self) - 1}.")
        found = np.empty((index.size, *self._stored), self.dtype)
        order = np.argsort(index, axis=None)  # a disk is fastest when read in its own order
        ranked = index.ravel()[order]
        first = 0
        for end, part in zip(self._ends, self.parts, strict=True):
            last = int(np.searchsorted(ranked, end))
            if last > first:
                found[order[first:last]] = part[ranked[first:last] - (end - len(part))]
            first = last
        return self._changed(found.reshape(*index.shape, *self._shape))

    def _changed(self, examples: np.ndarray) -> np.ndarray:
        for change in self._changes:
            examples = change(examples)
        return examples

    def mapped(self, change: Change) -> Rows:
        """Returns the same examples, changed each time they are read.

        Args:
          change: Examples [..., *shape] to examples of the same shape.

        >>> Rows([np.array([[1.0], [2.0]])]).mapped(lambda x: 10 * x)[np.array([1])]
        array([[20.]])
        """
        other = Rows(self.parts)
        other._shape, other._changes = self._shape, (*self._changes, change)
        return other

    def shaped(self, shape: tuple[int, ...]) -> Rows:
        """Returns the same examples, read from the same arrays, in another shape.

        >>> Rows([np.zeros((3, 4))]).shaped((2, 2)).shape
        (3, 2, 2)
        """
        if math.prod(shape) != math.prod(self._stored):
            raise UserError(f"examples of shape {self._shape} cannot take the shape {shape}.")
        if shape == self._shape:
            return self
        other = Rows(self.parts)
        other._shape, other._changes = shape, self._changes
        return other

    def sample(self, num: int) -> np.ndarray:
        """Returns `num` evenly spaced examples, or all if there are fewer."""
        return self[self.sampled(num)]

    def sampled(self, num: int) -> np.ndarray:
        """Returns the numbers of the examples of `sample`."""
        return np.linspace(0, len(self) - 1, min(num, len(self))).astype(int)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields the examples in order, at most `CHECKED` and about `BLOCK` bytes at once."""
        for part in self.parts:
            for block in _cut(part):
                yield self._changed(np.asarray(block).reshape(len(block), *self._shape))


def _cut(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the examples of an array in order, at most `CHECKED` and about `BLOCK` bytes at once."""
    size = math.prod(array.shape[1:]) * array.dtype.itemsize
    step = max(1, min(CHECKED, BLOCK // max(1, size)))
    for start in range(0, len(array), step):
        yield array[start : start + step]


def blocks_of(given: np.ndarray | Rows) -> Iterator[np.ndarray]:
    """Yields the examples of an array or of `Rows` in blocks, in order."""
    return given.blocks() if isinstance(given, Rows) else _cut(given)


def sample_of(given: T | Rows) -> T | np.ndarray:
    """Returns an array as it is, and a sample of `Rows`, large enough to look at."""
    return given.sample(CHECKED) if isinstance(given, Rows) else given
