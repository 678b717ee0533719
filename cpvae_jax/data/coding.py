"""Rows of a table as numbers and back: `encode` and `decode`, by the columns of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cpvae_jax import columns as kinds
from cpvae_jax.columns import Column, Columns
from cpvae_jax.data import frames, inference
from cpvae_jax.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa


def encode(
    columns: Columns, table: pa.Table, of: str = "the table", *, coded: bool = True
) -> np.ndarray:
    """Returns the rows of a table as numbers.

    Args:
      columns: The columns of the model. Others in the table are left out.
      table: The table.
      of: What the caller calls it, for messages.
      coded: Whether to return coded rows (`cpvae_jax.columns`), [N, W + C]; otherwise one number per
        column, [N, C], which must not be missing.

    Raises:
      UserError: A column is missing or has another type, a value is no level of it, or values are
        missing where the model cannot leave them out.

    >>> import pyarrow as pa
    >>> columns = (Column("sex", "binary", ("f", "m")), Column("mass", "real"))
    >>> encode(columns, pa.table({"sex": ["m", None], "mass": [3.5, 4.0]})).tolist()
    [[1.0, 3.5, 0.0, 0.0], [0.0, 4.0, 1.0, 0.0]]
    """
    absent = [column.name for column in columns if column.name not in table.column_names]
    if absent:
        raise UserError(
            f"{of} has no column {', '.join(map(repr, absent[:5]))}, which the model was trained on; it has "
            f"{', '.join(map(repr, table.column_names[:20]))}. Give the same columns."
        )
    found = np.zeros((table.num_rows, kinds.size(columns)))
    W = kinds.width(columns)
    for number, (column, places) in enumerate(zip(columns, kinds.places(columns), strict=True)):
        values = table[column.name]
        where = f"column {column.name!r} of {of}"
        x = (
            _numbers(values, where)
            if column.kind in kinds.NUMBERS
            else _levels(values, column, where)
        )
        missing = np.isnan(x)
        found[:, W + number] = missing
        if column.kind == kinds.CATEGORICAL:
            known = np.flatnonzero(~missing)
            found[known, places.start + x[known].astype(int)] = 1
        else:
            found[:, places.start] = np.where(missing, 0, x)
    if coded:
        return found
    gaps = found[:, W:].any(axis=0)
    if gaps.any():
        name = columns[int(np.argmax(gaps))].name
        raise UserError(
            f"column {name!r} of {of} has missing values, but the model was trained without any; fill them, "
            "or train with --likelihood mixed."
        )
    return found[:, :W]


def _numbers(values: pa.ChunkedArray, where: str) -> np.ndarray:
    """A column of numbers with NaN for what is missing; text that holds numbers is read."""
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_null(values.type):
        return np.full(len(values), np.nan)
    try:
        if types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        x = inference.numbers(values)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise UserError(
            f"{where} holds {_not_a_number(values)!r}, but the model was trained on numbers there; mend it or "
            "leave it empty."
        ) from error
    if np.isinf(x).any():
        row = int(np.flatnonzero(np.isinf(x))[0])
        raise UserError(
            f"{where} holds infinity in row {row} (counting from 0); give a finite number, or leave it empty."
        )
    return x


def _not_a_number(values: pa.ChunkedArray) -> Any:
    texts = (v for v in values.to_pylist() if v is not None)
    return next(
        (v for v in texts if not isinstance(v, str) or not inference.reads_as_number(v)),
        "other values",
    )


def _levels(values: pa.ChunkedArray, column: Column, where: str) -> np.ndarray:
    """The place of each value among the levels, in float64, with NaN for what is missing."""
    index = {level: place for place, level in enumerate(column.levels)}
    # Whole numbers that a reader took for text or for floats, because of gaps, are still the same.
    spelled = {str(level): place for level, place in index.items()}
    unique = values.unique().to_pylist()
    places = {}
    for value in unique:
        if value is None or value != value:
            places[value] = np.nan
        elif value in index:
            places[value] = index[value]
        elif str(value) in spelled:
            places[value] = spelled[str(value)]
        else:
            shown = ", ".join(repr(level) for level in column.levels[:10])
            more = f" and {len(column.levels) - 10} more" if len(column.levels) > 10 else ""
            raise UserError(
                f"{where} holds {value!r}, which the model has not seen in training; it knows {shown}{more}. Mend it, "
                "or leave it empty."
            )
    if hasattr(values, "dictionary_encode"):
        import pyarrow.types as types

        encoded = (
            values if types.is_dictionary(values.type) else values.dictionary_encode()
        ).combine_chunks()
        levels = (
            [places.get(value, np.nan) for value in encoded.dictionary.to_pylist()]
            if len(encoded.dictionary)
            else []
        )
        table = np.array([*levels, np.nan])
        codes = encoded.indices.fill_null(len(levels)).to_numpy(zero_copy_only=False)
        return table[codes]
    return np.array([places[value] for value in values.to_pylist()])


def decode(columns: Columns, x: np.ndarray, *, coded: bool = True) -> dict[str, np.ndarray]:
    """Returns rows of numbers as columns: the inverse of `encode`.

    Whole numbers are rounded, and a level is the one with the largest value, or the nearest in order. What is
    missing is NaN among numbers and None among levels.

    Args:
      columns: The columns of the model.
      x: Coded rows [N, W + C], or [N, C] if not `coded`.
      coded: As in `encode`.

    >>> decode((Column("sex", "binary", ("f", "m")),), np.array([[0.8, 0.0], [0.0, 1.0]]))["sex"].tolist()
    ['m', None]
    """
    x = np.asarray(x, np.float64)
    W = kinds.width(columns)
    found: dict[str, np.ndarray] = {}
    for number, (column, places) in enumerate(zip(columns, kinds.places(columns), strict=True)):
        values = x[:, places.start : places.stop]
        missing = x[:, W + number] > 0.5 if coded else np.zeros(len(x), bool)
        if column.kind in kinds.LEVELS:
            most = len(column.levels) - 1
            nearest = np.clip(np.rint(values[:, 0]), 0, most).astype(int)
            place = values.argmax(axis=1) if column.kind == kinds.CATEGORICAL else nearest
            levels = np.array([*column.levels, None], object)
            found[column.name] = levels[np.where(missing, most + 1, place)]
            if not missing.any():
                found[column.name] = np.array(found[column.name].tolist())
        else:
            value = np.rint(values[:, 0]) if column.whole else values[:, 0]
            found[column.name] = np.where(missing, np.nan, value)
            if column.whole and not missing.any():
                found[column.name] = found[column.name].astype(np.int64)
    return found


def rows_of(columns: Columns, given: Any, of: str, *, coded: bool) -> np.ndarray:
    """Returns a data frame or an Arrow table as the rows of a model."""
    return encode(columns, frames.table_of(given, of), of, coded=coded)
