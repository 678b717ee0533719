"""The kind of each column of a table, from its type and its values.

| type | kind |
|---|---|
| booleans; text with at most two values | binary |
| text, categories without an order | categorical |
| categories with an order | ordinal |
| whole numbers with two different values | binary |
| whole numbers from 0 that come near 0, unless most columns share a range as pixels do | count |
| all other numbers | real |

"positive" is never inferred: a logarithmic scale is a choice of the user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cpvae_jax import columns as kinds
from cpvae_jax.columns import Column, Columns
from cpvae_jax.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

MOST_LEVELS = 200
"""Levels of a column of text. More are names or free text, which no category can be learned from."""

NEAR = 2.0
"""Standard deviations: whole numbers from 0 are counts if the smallest is nearer to 0 than this. The flipper
lengths of penguins, 172 to 231 mm, are 12 away."""

LARGEST_COUNT = 100_000
"""The largest count whose probability float32 computes to a tenth of a nat."""

WIDE, MOST = 0.5, 2 / 3
"""Columns share a range if this share of them, `MOST`, spans `WIDE` of the range of all, and there are at least
`FEWEST`: pixels and coordinates, which are real numbers."""

FEWEST = 8


class Seen:
    """What is known of the values of one column, of one batch after another.

    Attributes:
      dtype: The Arrow type of the column.
      rows, missing: How many values there are, and how many of them are missing.
      unique: Different values in the order in which they came, until there are too many.
      order: The categories of a column of ordered ones, in their order.
    """

    def __init__(self, dtype: pa.DataType) -> None:
        self.dtype = dtype
        self.rows = self.missing = 0
        self.unique: dict[Any, int] = {}
        self.order: dict[Any, None] = {}
        self.low, self.high = np.inf, -np.inf
        self._sum = self._square = 0.0
        self.whole = True

    def add(self, values: pa.ChunkedArray) -> None:
        """Looks at further values."""
        import pyarrow.types as types

        if types.is_null(self.dtype) and not types.is_null(values.type):
            self.dtype = values.type
        self.missing += values.null_count
        if is_number(values.type):
            x = numbers(values)
            gone = np.isnan(x)
            self.missing += int(gone.sum()) - values.null_count
            self._add_numbers(x[~gone])
        if types.is_dictionary(values.type) and values.type.ordered:
            for chunk in values.chunks:
                self.order |= dict.fromkeys(chunk.dictionary.to_pylist())
        if len(self.unique) <= MOST_LEVELS and not types.is_nested(values.type):
            for value in values.unique()[: MOST_LEVELS + 2].to_pylist():
                if value is not None and value == value:
                    self.unique.setdefault(value, self.rows)
        self.rows += len(values)

    def _add_numbers(self, x: np.ndarray) -> None:
        if len(x):
            self.low, self.high = min(self.low, x.min()), max(self.high, x.max())
            with np.errstate(over="ignore"):
                self._sum, self._square = self._sum + x.sum(), self._square + (x**2).sum()
            self.whole &= bool(np.all((x == np.rint(x)) & np.isfinite(x)))

    @property
    def std(self) -> float:
        """The standard deviation of numbers."""
        count = max(self.rows - self.missing, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.sqrt(max(self._square / count - (self._sum / count) ** 2, 0)))

    @property
    def is_range(self) -> bool:
        """Whether these are numbers, at least one."""
        return bool(self.low <= self.high)


def survey(batches: Iterable[pa.Table], of: str) -> dict[str, Seen]:
    """Returns what is known of each column after all batches of a table.

    Raises:
      UserError: There are no rows.
    """
    found: dict[str, Seen] = {}
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        for name in batch.column_names:
            found.setdefault(name, Seen(batch[name].type)).add(batch[name])
    if rows == 0:
        raise UserError(f"{of} has no rows; give at least one.")
    return found


def infer(
    table: pa.Table, change: Mapping[str, str | Column] | None = None, of: str = "the table"
) -> Columns:
    """Returns the columns of a table, see `from_survey`.

    >>> import pyarrow as pa
    >>> table = pa.table({"sex": ["m", "f", None], "mass": [3.5, 4.0, 3.9]})
    >>> [(column.name, column.kind) for column in infer(table)]
    [('sex', 'binary'), ('mass', 'real')]
    """
    return from_survey(survey([table], of), change, of)


def from_survey(
    seen: Mapping[str, Seen], change: Mapping[str, str | Column] | None, of: str
) -> Columns:
    """Returns the columns of a table.

    Args:
      seen: What is known of each column, by name.
      change: Kinds, or whole columns, by name, which take the place of what would be inferred.
      of: What the caller calls the table, for messages.

    Raises:
      UserError: A column has no values, mixes numbers and text, has too many levels, or has a type
        that is no number and no category; or `change` names a column that is not there.
    """
    change = kinds.changed(change)
    unknown = [name for name in change if name not in seen]
    if unknown:
        raise UserError(
            f"{of} has no column {unknown[0]!r}, whose kind is given; it has {', '.join(map(repr, seen))}."
        )
    shared = _share_a_range(seen)
    return tuple(
        found
        if isinstance(found := change.get(name), Column)
        else _column(column, name, found, shared, f"column {name!r} of {of}")
        for name, column in seen.items()
    )


def _column(seen: Seen, name: str, kind: str | None, shared: bool, where: str) -> Column:
    """One column; `kind` is what the user asks for, or None."""
    import pyarrow.types as types

    if seen.missing == seen.rows:
        raise UserError(f"{where} has no value at all; drop it (--drop-columns {name}).")
    dtype = seen.dtype
    if types.is_dictionary(dtype):
        default = kinds.ORDINAL if dtype.ordered else kinds.CATEGORICAL
        used = tuple(level for level in seen.order if level in seen.unique)
        levels = used if dtype.ordered else _sorted(seen)
        return _of_levels(name, kind or default, levels, where)
    if types.is_boolean(dtype):
        return _of_levels(name, kind or kinds.BINARY, (False, True), where)
    if is_text(dtype):
        if kind is None:
            _refuse_mixed(seen, where)
        return _of_levels(name, kind or kinds.CATEGORICAL, _sorted(seen), where)
    if not is_number(dtype):
        raise UserError(
            f"{where} has the type {dtype}, which is neither a number nor a category; convert it to "
            f"numbers, such as days, or drop it (--drop-columns {name})."
        )
    if kind in kinds.LEVELS:
        return _of_levels(name, kind, _sorted(seen), where)
    if kind in kinds.NUMBERS:
        return Column(name, kind)
    return _of_numbers(seen, name, shared)


def _sorted(seen: Seen) -> tuple[Any, ...]:
    return tuple(sorted(seen.unique))


def _of_levels(name: str, kind: str, levels: tuple[Any, ...], where: str) -> Column:
    if kind in kinds.NUMBERS:
        raise UserError(
            f"{where} holds levels such as {levels[0]!r}, so it cannot be {kind}; make it categorical."
        )
    if len(levels) > MOST_LEVELS:
        name_it = f", or name it as the id of the rows (--id-column {name})"
        raise UserError(
            f"{where} has more than {MOST_LEVELS} different values, such as {levels[0]!r}, too many for a "
            f"category; drop it (--drop-columns {name}){name_it}."
        )
    if kind == kinds.CATEGORICAL and len(levels) == 2:
        kind = kinds.BINARY
    return Column(name, kind, levels)


def _of_numbers(seen: Seen, name: str, shared: bool) -> Column:
    import pyarrow.types as types

    stored = types.is_integer(seen.dtype) or bool(seen.missing)  # gaps make floats of integers
    if not (stored and seen.whole):
        return Column(name, kinds.REAL)
    if len(seen.unique) == 2:
        return Column(name, kinds.BINARY, tuple(map(int, _sorted(seen))))
    near = 0 <= seen.low <= NEAR * seen.std and seen.high <= LARGEST_COUNT
    return Column(name, kinds.COUNT if near and not shared else kinds.REAL, whole=True)


def _share_a_range(seen: Mapping[str, Seen]) -> bool:
    """Whether the columns of numbers share a range, as pixels do."""
    ends = [(column.low, column.high) for column in seen.values() if column.is_range]
    if len(ends) < FEWEST:
        return False
    low, high = np.array(ends).T
    wide = high - low >= WIDE * (high.max() - low.min())
    return bool(np.mean(wide) >= MOST)


def is_number(dtype: pa.DataType) -> bool:
    """Whether a type holds real numbers."""
    import pyarrow.types as types

    return types.is_integer(dtype) or types.is_floating(dtype) or types.is_decimal(dtype)


def is_text(dtype: pa.DataType) -> bool:
    """Whether a type holds text."""
    import pyarrow.types as types

    return types.is_string(dtype) or types.is_large_string(dtype) or types.is_string_view(dtype)


def numbers(values: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers in float64, with NaN for what is missing."""
    import pyarrow as pa

    return values.cast(pa.float64()).to_numpy()


def _refuse_mixed(seen: Seen, where: str) -> None:
    """Raises a `UserError` for a column of text most of whose values are numbers."""
    others = [text for text in seen.unique if not reads_as_number(text)]
    if others and len(others) < len(seen.unique) / 2:
        raise UserError(
            f"{where} mixes numbers and text: it holds {others[0]!r} in row {seen.unique[others[0]]} or later "
            "(counting from 0); mend it, leave it empty, or say that the column is categorical."
        )


def reads_as_number(text: str) -> bool:
    """Whether text is written as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def described(columns: Columns, gaps: Mapping[str, int] | None = None) -> str:
    """The columns as a table to print: name, kind, levels, and how many values are missing.

    >>> print(described((Column("sex", "binary", ("f", "m")),), {"sex": 2}))
    column  kind    missing  levels
    sex     binary        2  f, m
    """
    rows = [("column", "kind", "missing", "levels")]
    for column in columns:
        shown = ", ".join(map(str, column.levels[:5]))
        if len(column.levels) > 5:
            shown += f", … ({len(column.levels)})"
        rows.append((column.name, column.kind, str((gaps or {}).get(column.name, 0)), shown))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        f"{n:<{widths[0]}}  {k:<{widths[1]}}  {m:>{widths[2]}}  {levels}".rstrip()
        for n, k, m, levels in rows
    )
