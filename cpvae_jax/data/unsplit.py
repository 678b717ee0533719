"""All rows of a file or folder in its own order, in batches: what a trained model is applied to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cpvae_jax.columns import Columns
from cpvae_jax.data import arrays, coding, images, npz, readers
from cpvae_jax.data.paths import printable
from cpvae_jax.data.places import Places
from cpvae_jax.data.rows import Rows, blocks_of
from cpvae_jax.errors import UserError
from cpvae_jax.storage import folders

if TYPE_CHECKING:
    import pyarrow as pa


class Batch(NamedTuple):
    """Some rows.

    Attributes:
      ids: What the user calls them, [B]: numbers from 0, values of a column, or names of files.
      x: Examples [B, *shape] in the user's unit.
      table: The rows as they were read, with all columns; None for arrays and images.
    """

    ids: Any
    x: np.ndarray
    table: pa.Table | None = None


class Reading(NamedTuple):
    """How the data are read.

    Attributes:
      columns: The columns of the model, or None.
      coded: Whether the model takes coded rows.
      id_column: The column of a table that names its rows.
      usual_id: The column that named the rows in training; where it is missing, they get numbers.
      resize: The size that images are brought to.
    """

    columns: Columns | None = None
    coded: bool = False
    id_column: str | None = None
    usual_id: str | None = None
    resize: str | None = None


def batches(given: str, places: Places, how: Reading) -> Iterator[Batch]:
    """Yields all rows at a path.

    Raises:
      UserError: There is nothing to read, or it does not suit the model.
    """
    path = folders.given(given, "the data")
    if not path.exists():
        raise UserError(
            f"{printable(path)} does not exist; give the path of a table, an array or a folder."
        )
    if path.is_file() and readers.is_table(path):
        yield from _of_table(path, how)
        return
    if path.is_dir() and not arrays.found_in(path):
        names, x = images.whole(path, places, how.resize)
        yield Batch(np.array(names), x)
        return
    parts = arrays.whole(path) if path.is_dir() else Rows([npz.whole(path)])
    first = 0
    for block in blocks_of(parts):
        yield Batch(np.arange(first, first + len(block)), np.asarray(block))
        first += len(block)


def _of_table(path: Path, how: Reading) -> Iterator[Batch]:
    shown = printable(path)
    if how.columns is None:
        raise UserError(
            f"{shown} is a table, but the model was trained on an array without names of columns; give an array."
        )
    first = 0
    for table in readers.batches(path):
        if how.id_column is not None and how.id_column not in table.column_names:
            raise UserError(
                f"{shown} has no column {how.id_column!r}; it has {', '.join(map(repr, table.column_names))}."
            )
        numbers = np.arange(first, first + table.num_rows)
        named = how.id_column or (how.usual_id if how.usual_id in table.column_names else None)
        ids = numbers if named is None else table[named]
        first += table.num_rows
        if table.num_rows:
            yield Batch(ids, coding.encode(how.columns, table, shown, coded=how.coded), table)
    if first == 0:
        raise UserError(f"{shown} has no rows; give at least one.")
