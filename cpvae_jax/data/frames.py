"""Whatever holds named columns, as an Arrow table: data frames, Arrow tables, AnnData.

Narwhals reads the frames of pandas, polars and others; none of them is imported here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cpvae_jax.errors import UserError, first_line

if TYPE_CHECKING:
    import pyarrow as pa


def is_frame(given: Any) -> bool:
    """Whether something has named columns: a data frame, an Arrow table, or AnnData.

    >>> is_frame(np.zeros((2, 2)))
    False
    """
    if isinstance(given, np.ndarray | list | tuple | str | bytes):
        return False
    of = type(given)  # a lazy frame of polars warns if its own columns are asked for
    if hasattr(of, "obs_names") and hasattr(of, "var_names"):  # AnnData
        return True
    if hasattr(of, "column_names") and hasattr(of, "schema"):  # an Arrow table or batch
        return True
    return (hasattr(of, "columns") and hasattr(of, "dtypes")) or hasattr(
        of, "__narwhals_dataframe__"
    )


def table_of(given: Any, name: str) -> pa.Table:
    """Returns a frame as an Arrow table, with one type per column.

    Args:
      given: What `is_frame` accepts.
      name: What the caller calls it, for the error message.

    Raises:
      UserError: A column mixes types, two columns have one name, or there are none.
    """
    import pyarrow as pa

    if isinstance(given, pa.RecordBatch):
        given = pa.Table.from_batches([given])
    if hasattr(given, "obs_names"):
        given = _of_anndata(given)
    if not isinstance(given, pa.Table):
        given = _by_narwhals(given, name)
    check_names(given.column_names, name)
    return given


def check_names(names: Sequence[str], of: str) -> None:
    """Raises a `UserError` if there is no column, or two have one name."""
    if not names:
        raise UserError(f"{of} has no columns; give a table with at least one.")
    twice = next((n for i, n in enumerate(names) if n in names[:i]), None)
    if twice is not None:
        raise UserError(f"{of} has two columns with the name {twice!r}; rename one.")


def _by_narwhals(given: Any, name: str) -> pa.Table:
    """The frame of any library that Narwhals knows."""
    import narwhals as nw
    import pyarrow as pa

    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(given, pandas.DataFrame):
        check_names([str(column) for column in given.columns], name)
        given = given.set_axis([str(column) for column in given.columns], axis=1)
        given = given.reset_index(drop=True)
    try:
        frame = nw.from_native(given)
        return (frame.collect() if isinstance(frame, nw.LazyFrame) else frame).to_arrow()
    except TypeError as error:
        if "nsupported" in str(error) or "Expected" in str(error):
            raise UserError(
                f"{name} is of type {type(given).__name__}, which cannot be read; give a data frame of pandas "
                "or polars, an Arrow table, or an array of numbers."
            ) from error
        raise _mixed(name, error) from error
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise _mixed(name, error) from error


def _mixed(name: str, error: Exception) -> UserError:
    reason = ": ".join(str(part).rstrip(".") for part in error.args) or first_line(error)
    return UserError(
        f"{name} has a column that mixes types or holds objects ({reason}); convert each column to numbers, "
        "text or categories."
    )


def _of_anndata(given: Any) -> pa.Table:
    """The matrix X of AnnData, with the names of its variables."""
    import pyarrow as pa

    x = given.X
    dense = x.toarray() if hasattr(x, "toarray") else np.asarray(x)
    names = [str(name) for name in given.var_names]
    check_names(names, "the AnnData object")
    return pa.table({name: dense[:, i] for i, name in enumerate(names)})


def of_array(array: np.ndarray, names: Sequence[str] | None = None) -> pa.Table:
    """Numbers [N, C] as a table; NaN is a missing value.

    >>> of_array(np.zeros((2, 2))).column_names
    ['x0', 'x1']
    """
    import pyarrow as pa

    names = [f"x{i}" for i in range(array.shape[1])] if names is None else names
    columns = [pa.array(array[:, i], from_pandas=True) for i in range(array.shape[1])]
    return pa.table(dict(zip(names, columns, strict=True)))
