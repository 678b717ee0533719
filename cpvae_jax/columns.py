"""The columns of a table: their names, kinds and levels, and how a row becomes numbers.

A coded row holds the values of all columns, then one number per column that is 1 where the value is
missing. A categorical column takes one number per level (one of them is 1), any other column one number:
a level by its place, a number by itself. Where a value is missing, its numbers are 0.

This module needs neither JAX nor NumPy, so that `Config` can hold columns.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from cpvae_jax import values
from cpvae_jax.errors import UserError

REAL, POSITIVE, COUNT = "real", "positive", "count"
BINARY, CATEGORICAL, ORDINAL = "binary", "categorical", "ordinal"

NUMBERS = (REAL, POSITIVE, COUNT)
"""Kinds whose values are numbers."""

LEVELS = (BINARY, CATEGORICAL, ORDINAL)
"""Kinds whose values are one of some levels."""

KINDS = (*NUMBERS, *LEVELS)

Level = str | int | float | bool


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
      name: Its name.
      kind: "real", "positive" (numbers above 0, on a logarithmic scale), "count" (whole numbers from
        0), "binary" (two levels), "categorical" or "ordinal" (levels in order).
      levels: The values of a column of levels; of an ordinal one in ascending order.
      whole: Whether all numbers were whole in training, so that new ones are rounded.

    Raises:
      UserError: The kind is unknown, or the levels do not suit it.

    >>> Column("sex", "binary", ("female", "male")).width
    1
    >>> Column("age", "years")
    Traceback (most recent call last):
    cpvae_jax.errors.UserError: the kind of column 'age' is 'years'; choose one of real, positive, count, \
binary, categorical, ordinal.
    """

    name: str
    kind: str
    levels: tuple[Level, ...] = ()
    whole: bool = False

    def __post_init__(self) -> None:
        values.one_of(f"the kind of column {self.name!r}", self.kind, KINDS)
        values.replace(self, "levels", tuple(self.levels))
        values.replace(self, "whole", bool(self.whole) or self.kind == COUNT)
        if len(set(self.levels)) != len(self.levels):
            raise UserError(f"column {self.name!r} has a level twice; give each once.")
        if self.kind in NUMBERS and self.levels:
            raise UserError(
                f"column {self.name!r} holds numbers, which have no levels; leave them out."
            )
        if self.kind in LEVELS and not self.levels:
            raise UserError(f"column {self.name!r} is {self.kind} and has no levels; give them.")
        if self.kind == BINARY and len(self.levels) > 2:
            raise UserError(
                f"column {self.name!r} is binary but has {len(self.levels)} levels; make it categorical."
            )

    @property
    def width(self) -> int:
        """How many numbers of a coded row it takes, besides the one that says that it is missing."""
        return len(self.levels) if self.kind == CATEGORICAL else 1


Columns = tuple[Column, ...]


def from_any(given: Iterable[Any] | None) -> Columns | None:
    """Columns from records, or from their dictionaries as JSON files hold them; None stays None.

    Raises:
      UserError: An entry is not a column, two columns share a name, or the list is empty.

    >>> from_any([{"name": "age", "kind": "real"}])
    (Column(name='age', kind='real', levels=(), whole=False),)
    """
    if given is None:
        return None
    try:
        found = tuple(c if isinstance(c, Column) else Column(**c) for c in given)
    except TypeError as error:
        raise UserError(
            f"columns is {given!r}; give records such as Column('age', 'real')."
        ) from error
    if not found:
        raise UserError("columns is empty; a table needs at least one column.")
    names = [column.name for column in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"two columns have the name {twice!r}; rename one.")
    return found


def width(columns: Columns) -> int:
    """How many values a coded row has, without the numbers that say what is missing."""
    return sum(column.width for column in columns)


def size(columns: Columns) -> int:
    """How many numbers a coded row has.

    >>> size((Column("sex", "binary", ("f", "m")), Column("island", "categorical", ("A", "B", "C"))))
    6
    """
    return width(columns) + len(columns)


def places(columns: Columns) -> list[range]:
    """The places of each column's values in a coded row."""
    ends = list(accumulate(column.width for column in columns))
    return [range(end - column.width, end) for end, column in zip(ends, columns, strict=True)]


def owners(columns: Columns) -> list[int]:
    """The number of the column that each value of a coded row belongs to.

    >>> owners((Column("island", "categorical", ("A", "B")), Column("mass", "real")))
    [0, 0, 1]
    """
    return [number for number, column in enumerate(columns) for _ in range(column.width)]


def plain(columns: Columns) -> bool:
    """Whether all columns are real, so that a row can stand for itself."""
    return all(column.kind == REAL for column in columns)


def changed(columns: Any) -> dict[str, str | Column]:
    """Kinds by column name, as users give them in place of what would be inferred: a mapping, or pairs.

    Raises:
      UserError: A kind is unknown, or this is no mapping.

    >>> changed([("rating", "ordinal")])
    {'rating': 'ordinal'}
    """
    try:
        found = dict(columns or {})
    except (TypeError, ValueError):
        raise UserError(
            f"columns is {columns!r}; give kinds by name, such as {{'rating': 'ordinal'}}."
        ) from None
    for name, kind in found.items():
        if not isinstance(kind, Column):
            values.one_of(f"the kind of column {name!r}", kind, KINDS)
    return found


def check_shape(
    columns: Columns | None, shape: tuple[int, ...], likelihood: str, *, coded: bool
) -> None:
    """Raise `UserError` unless examples of a shape are rows of these columns.

    Args:
      columns: The columns.
      shape: The shape of one example.
      likelihood: The name of the likelihood, for messages.
      coded: Whether it takes coded rows; otherwise one number per column.
    """
    if columns is None:
        raise UserError(
            f"the likelihood {likelihood!r} needs the columns of a table, but columns is None; give them, "
            "or choose another likelihood."
        )
    wanted = (size(columns),) if coded else (len(columns),)
    if shape != wanted:
        raise UserError(
            f"shape is {shape}, but rows of these {len(columns)} columns have the shape {wanted} with the "
            f"likelihood {likelihood!r}; give that."
        )
