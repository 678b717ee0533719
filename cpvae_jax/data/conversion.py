"""Whatever users pass as numbers, as plain NumPy arrays, before JAX sees it.

JAX wraps integers beyond int32, drops masks and rounds float64 without a word. So arrays are
converted and checked here, on the host, with the dtype that they came in.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from cpvae_jax.errors import UserError

SHOWN = 5
"""Rows that a message lists one by one."""

REMEDIES = {
    "c": "give real numbers, such as the real and the imaginary part as columns",
    "M": "express dates as numbers, such as days since the first",
    "m": "express times as numbers, such as seconds",
    "U": "replace text by numbers",
    "S": "replace text by numbers",
}
"""What to do with a dtype that holds no real numbers, by its kind."""


def concrete(value: Any) -> bool:
    """Returns whether this process can read the values: not if traced, or held by other processes."""
    import jax  # here, so that reading files needs no JAX

    if isinstance(value, jax.core.Tracer | jax.ShapeDtypeStruct):
        return False
    return not isinstance(value, jax.Array) or value.is_fully_addressable


def as_numbers(given: Any, name: str) -> np.ndarray:
    """Returns anything like an array as a NumPy array of numbers in this machine's byte order.

    Args:
      given: An array, a list, a data frame, a sparse matrix, AnnData, or any object with `__array__`.
      name: What the caller calls it, for the error message.

    Returns:
      An array of booleans, integers, or floats of at most 64 bits. Missing values of an array of
      Python objects become NaN.

    Raises:
      UserError: It is no array, holds anything but real numbers, or has masked values.

    >>> as_numbers([[1, 2], [3, 4]], "x").dtype.kind
    'i'
    >>> as_numbers([[1, 2], [3]], "x")
    Traceback (most recent call last):
        ...
    cpvae_jax.errors.UserError: x cannot be read as an array, because its rows differ in length \
or type; give numbers in rows of one length.
    """
    import jax

    if isinstance(given, jax.Array):
        check_dtype(given.dtype, name)
    array = _unmasked(_read(given, name), name)
    if array.dtype == object:
        array = _from_objects(array, given, name)
    return native(array, name)


def _read(given: Any, name: str) -> np.ndarray:
    """Returns an array of any dtype; masks are kept."""
    import jax

    if hasattr(given, "obs_names"):  # AnnData
        given = given.X
    if hasattr(given, "toarray") and hasattr(given, "nnz"):  # a sparse matrix
        given = given.toarray()
    if isinstance(given, list | tuple) and any(map(np.ma.isMaskedArray, given)):
        return np.ma.array(given)
    try:
        return np.asanyarray(given)
    except jax.errors.TracerArrayConversionError:
        raise
    except ValueError as error:
        raise UserError(
            f"{name} cannot be read as an array, because its rows differ in length or type; give "
            "numbers in rows of one length."
        ) from error
    except (TypeError, RuntimeError) as error:  # such as a tensor on another device
        raise UserError(
            f"{name} cannot be read as an array ({error}); convert it to a NumPy array."
        ) from error


def _unmasked(array: np.ndarray, name: str) -> np.ndarray:
    """Returns a plain array; masked values are a `UserError`, because the mask would be lost."""
    if isinstance(array, np.ma.MaskedArray):
        count = int(np.ma.count_masked(array))
        if count:
            values = "1 masked value" if count == 1 else f"{count} masked values"
            raise UserError(
                f"{name} has {values}, which the model cannot leave out; fill them, such as by "
                ".filled(0), or drop their examples."
            )
    return np.asarray(array)


def is_absent(value: Any) -> bool:
    """Returns whether an object stands for a missing value: None, and pandas' NA and NaT.

    >>> is_absent(None), is_absent(0)
    (True, False)
    """
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _from_objects(array: np.ndarray, given: Any, name: str) -> np.ndarray:
    """Returns an array of Python numbers as one of numbers; missing values become NaN."""
    if array.ndim == 0:
        raise UserError(f"{name} is of type {type(given).__name__}; give an array of numbers.")
    values = array.ravel()
    missing = [is_absent(v) for v in values]
    for index, (value, absent) in enumerate(zip(values, missing, strict=True)):
        if not absent and not isinstance(value, numbers.Real | Decimal | np.bool_):
            row = np.unravel_index(index, array.shape)[0]
            raise UserError(
                f"{name} holds {value!r} in example {row} (counting from 0); give numbers in rows of "
                "one length."
            )
    found = np.array([math.nan if absent else v for absent, v in zip(missing, values, strict=True)])
    try:
        return (found.astype(np.float64) if found.dtype == object else found).reshape(array.shape)
    except OverflowError as error:
        raise UserError(f"{name} holds a number beyond float64; rescale it.") from error


def native(array: np.ndarray, name: str) -> np.ndarray:
    """Returns numbers in this machine's byte order, in a dtype that NumPy computes with.

    Args:
      array: Any array.
      name: What the caller calls it, for the error message.

    Raises:
      UserError: The dtype holds no real numbers.
    """
    check_dtype(array.dtype, name)
    if array.dtype.kind not in "biuf":  # such as bfloat16 and int4
        return array.astype(np.float32 if kind_of(array.dtype) == "f" else np.int32)
    if array.dtype.itemsize > 8:  # long double
        with np.errstate(over="ignore"):  # a number too large becomes infinity, which is checked
            return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def check_dtype(dtype: Any, name: str) -> None:
    """Raises a `UserError` unless a dtype, of NumPy or of JAX, holds real numbers."""
    if not kind_of(dtype):
        kind = getattr(dtype, "kind", "")  # keys have none
        remedy = REMEDIES.get(kind, "convert it to float32 or to uint8 grey levels")
        raise UserError(f"{name} has dtype {dtype}; {remedy}.")


def kind_of(dtype: Any) -> str:
    """Returns "b", "i", "u" or "f" for real numbers, those of JAX's own dtypes too, otherwise "".

    >>> import jax.numpy as jnp
    >>> kind_of(jnp.bfloat16.dtype), kind_of(np.dtype(">f8")), kind_of(np.dtype(complex))
    ('f', 'f', '')
    """
    import jax

    if getattr(dtype, "kind", "") in ("m", "M"):  # times count as integers in NumPy
        return ""
    kinds = {np.bool_: "b", np.unsignedinteger: "u", np.signedinteger: "i", np.floating: "f"}
    return next((k for type_, k in kinds.items() if jax.dtypes.issubdtype(dtype, type_)), "")


class NotFinite:
    """Collects the rows with NaN or infinity of all parts of the data, for one message."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, int, list[int]]] = {}

    def add(self, name: str, array: np.ndarray, rows: np.ndarray | int = 0) -> bool:
        """Looks at some examples.

        Args:
          name: What to call the part of the data.
          array: Examples [N, ...], at least one.
          rows: The user's own numbers of these examples [N], or that of the first one.

        Returns:
          Whether all numbers are finite.
        """
        # NaN and infinity show in the minimum or the maximum; only the message needs a mask.
        if array.dtype.kind != "f" or (np.isfinite(array.min()) and np.isfinite(array.max())):
            return True
        bad = ~np.isfinite(array.reshape(len(array), -1))
        where = np.flatnonzero(bad.any(axis=1))
        own = where + rows if np.ndim(rows) == 0 else np.asarray(rows)[where]
        count, examples, first = self._found.get(name, (0, 0, []))
        first = sorted([*first, *own.tolist()])[:SHOWN]
        self._found[name] = (count + int(bad.sum()), examples + len(where), first)
        return False

    def raise_any(self) -> None:
        """Raises a `UserError` that names all parts and their rows, if there are any."""
        if not self._found:
            return
        parts = [
            f"{name} holds {'1 number that is' if count == 1 else f'{count} numbers that are'} NaN "
            f"or infinite, {_listed(examples, first)}"
            for name, (count, examples, first) in self._found.items()
        ]
        raise UserError(
            f"{'; '.join(parts)} (counting from 0); remove those examples or replace the numbers."
        )


def _listed(count: int, first: list[int]) -> str:
    """Returns "in examples 3 and 5", or the first of many.

    >>> _listed(2, [3, 5]), _listed(9, [1, 2, 3])
    ('in examples 3 and 5', 'in 9 examples, the first 1, 2 and 3')
    """
    *others, last = map(str, first)
    names = f"{', '.join(others)} and {last}" if others else last
    if count > len(first):
        return f"in {count} examples, the first {names}"
    return f"in {'examples' if others else 'example'} {names}"


def finite(parts: Mapping[str, np.ndarray]) -> None:
    """Raises one `UserError` that names the rows of all parts with NaN or infinity.

    Loaders call it before they split or shuffle, so that the rows are the user's own.
    """
    found = NotFinite()
    for name, array in parts.items():
        if array.size:
            found.add(name, array)
    found.raise_any()
