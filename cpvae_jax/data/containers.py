"""What an estimator is given: arrays, sparse matrices and data frames, opened alike and given back alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cpvae_jax import columns as names_of
from cpvae_jax.columns import Columns
from cpvae_jax.data import coding, frames, inference, kinds, tables
from cpvae_jax.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "X"
"""What messages call the data."""

FEWEST = 2
"""Rows to train on: one is held out."""


class Container(NamedTuple):
    """Data as they were given.

    Attributes:
      native: What they are given back as: "numpy", "pandas", "polars" or "arrow".
      array: Numbers [N, ...], or None.
      table: Named columns, or None.
    """

    native: str
    array: np.ndarray | None = None
    table: pa.Table | None = None


class Read(NamedTuple):
    """Data to train on.

    Attributes:
      x: Examples [N, *shape].
      kind: As in `Dataset.kind`.
      columns: The columns of a table; None for an array that stands for itself.
      described: The columns as text to print.
    """

    x: np.ndarray
    kind: str
    columns: Columns | None = None
    described: str = ""


def opened(given: Any, validate: Callable[..., Any], *, fitting: bool) -> Container:
    """Returns data whose names and number of columns were checked.

    Args:
      given: The data.
      validate: `validate_data` of scikit-learn with the estimator.
      fitting: Whether the data are trained on.

    Raises:
      ValueError, TypeError: scikit-learn's own, for what is no array of numbers.
    """
    least = FEWEST if fitting else 1
    if frames.is_frame(given) and not hasattr(given, "toarray"):
        table = frames.table_of(given, NAME)
        if not hasattr(given, "obs_names"):
            validate(given, skip_check_array=True)
        if table.num_rows < least:
            raise UserError(f"X has {table.num_rows} samples; at least {least} are needed.")
        return Container(_native(given), table=table)
    if hasattr(given, "toarray"):
        sparse = validate(given, accept_sparse="csr", ensure_min_samples=least)
        return Container("numpy", np.asarray(sparse.toarray()))
    how = {"allow_nd": True} if _is_deep(given) else {}
    array = validate(
        given, dtype="numeric", ensure_all_finite="allow-nan", ensure_min_samples=least, **how
    )
    return Container("numpy", np.asarray(array))


def _is_deep(given: Any) -> bool:
    """Whether examples have more than one axis, as images have."""
    axes = getattr(given, "ndim", 0)
    while isinstance(given, list | tuple) and given:
        given, axes = given[0], axes + 1
    return axes > 2


def _native(given: Any) -> str:
    """The library that a frame is of."""
    library = type(given).__module__.split(".")[0]
    return library if library in ("pandas", "polars") else "arrow"


def read(container: Container, change: Mapping[str, Any] | None, coded: bool | None) -> Read:
    """Returns data as rows of a model that is to be trained.

    Args:
      container: The data.
      change: Kinds of columns by name, in place of the inferred ones.
      coded: Whether the likelihood takes coded rows; None lets the data decide.

    Raises:
      UserError: A column cannot be used.
    """
    array, table = container.array, container.table
    if array is not None and not (array.ndim == 2 and (change or coded or _has_gaps(array))):
        grey = array.dtype == np.uint8 and array.ndim > 2
        return Read(array, kinds.of(array)[0] if grey else "real")
    if table is None:
        assert array is not None
        table = frames.of_array(array)
    seen = inference.survey([table], NAME)
    columns = inference.from_survey(seen, change, NAME)
    gaps = {name: column.missing for name, column in seen.items()}
    code = tables.is_coded(columns, any(gaps.values()), coded, NAME)
    x = coding.encode(columns, table, NAME, coded=code)
    described = inference.described(columns, gaps)
    return Read(x, "table" if code else "real", columns, described)


def rows(container: Container, columns: Columns | None, coded: bool) -> np.ndarray:
    """Returns new data as rows of a trained model.

    Raises:
      UserError: A column is missing, or a value is unknown or missing where none may be.
    """
    array, table = container.array, container.table
    if columns is not None:
        if table is None:
            assert array is not None
            table = frames.of_array(array, [column.name for column in columns])
        return coding.encode(columns, table, NAME, coded=coded)
    if array is None:
        assert table is not None
        real = tuple(names_of.Column(name, names_of.REAL) for name in table.column_names)
        array = coding.encode(real, table, NAME, coded=False)
    if _has_gaps(array):
        raise UserError(
            "X holds NaN, but the model was trained without gaps; fill them, or train with likelihood='mixed'."
        )
    return array


def _has_gaps(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and bool(np.isnan(array).any())


def written(values: Mapping[str, np.ndarray], native: str) -> Any:
    """Returns columns as the container that the training data came in."""
    if native == "pandas":
        import pandas

        return pandas.DataFrame(dict(values))
    if native == "polars":
        import polars

        return polars.DataFrame({name: column.tolist() for name, column in values.items()})
    if native == "arrow":
        import pyarrow as pa

        return pa.table(
            {name: pa.array(column, from_pandas=True) for name, column in values.items()}
        )
    numbers = all(column.dtype.kind in "biuf" for column in values.values())
    return np.stack(list(values.values()), axis=1).astype(float if numbers else object)
