"""Precision of matrix products, where a device offers a choice.

Unless told otherwise, a GPU multiplies float32 as TF32, which keeps 10 of its 23 fraction bits,
and a TPU multiplies it as bfloat16. The networks may be trained so (`Training.precision`), because
their rounding is small beside the noise of a gradient. Everything else is `exact`: divergences and
densities are small differences of large numbers, and reported numbers must be right on every
device. A CPU has full precision only.
"""

from __future__ import annotations

import jax

exact = jax.default_matmul_precision("float32")
"""Decorator: matrix products inside the function use full float32, whatever the caller set.

>>> dot = exact(lambda a, b: a @ b)
>>> "HIGHEST" in str(jax.make_jaxpr(dot)(jax.numpy.eye(2), jax.numpy.eye(2)))
True
"""
