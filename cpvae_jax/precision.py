"""How exactly matrix products are computed, where a device offers a choice.

A GPU multiplies float32 as TF32, with 10 of its 23 bits behind the point, and a TPU as bfloat16,
unless told otherwise. The networks may be trained so (`Training.precision`): their rounding is
small beside the noise of a gradient. All else is `exact`: divergences and densities are small
differences of large numbers, and what is reported is to be right on every device. A CPU has one
way only.
"""

from __future__ import annotations

import jax

exact = jax.default_matmul_precision("float32")
"""Decorates a function whose products are of full float32, whatever the caller's are.

>>> dot = exact(lambda a, b: a @ b)
>>> "HIGHEST" in str(jax.make_jaxpr(dot)(jax.numpy.eye(2), jax.numpy.eye(2)))
True
"""
