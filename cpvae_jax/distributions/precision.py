"""JAX's conventions inside the library, whatever its user set for the rest of a program.

Unless told otherwise, a GPU multiplies float32 as TF32, which keeps 10 of its 23 fraction bits,
and a TPU multiplies it as bfloat16. The networks may be trained so (`Training.precision`), because
their rounding is small beside the noise of a gradient. Everything else is `exact`: divergences and
densities are small differences of large numbers, and reported numbers must be right on every
device. A CPU has full precision only.

Arrays are float32 and int32, also where `jax_enable_x64` is set: their types are written out
wherever they are made. Broadcasting and the promotion of types are NumPy's, also where
`jax_numpy_rank_promotion` or `jax_numpy_dtype_promotion` ask for less: optax needs both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax

Function = TypeVar("Function", bound=Callable[..., Any])


def products(precision: str | None) -> Callable[[Function], Function]:
    """A decorator: matrix products inside the function have a precision, and rules are NumPy's.

    >>> with jax.numpy_rank_promotion("raise"):
    ...     products("float32")(lambda a, b: a + b)(jax.numpy.eye(2), jax.numpy.ones(2)).shape
    (2, 2)
    """

    def decorate(function: Function) -> Function:
        for context in (
            jax.default_matmul_precision(precision),
            jax.numpy_rank_promotion("allow"),
            jax.numpy_dtype_promotion("standard"),
        ):
            function = context(function)
        return function

    return decorate


exact = products("float32")
"""Decorator: matrix products inside the function use full float32, whatever the caller set.

>>> dot = exact(lambda a, b: a @ b)
>>> "HIGHEST" in str(jax.make_jaxpr(dot)(jax.numpy.eye(2), jax.numpy.eye(2)))
True
"""


def single(tree: Any) -> Any:
    """A tree in single precision: float64 as float32 and int64 as int32; other leaves are kept.

    Parts of the user's own that leave types to JAX make float64 where `jax_enable_x64` is set.
    """

    def narrow(leaf: Any) -> Any:
        dtype = {"float64": "float32", "int64": "int32"}.get(str(getattr(leaf, "dtype", "")))
        return leaf if dtype is None else leaf.astype(dtype)

    return jax.tree.map(narrow, tree)
