"""Programs as ONNX files: traced by JAX, calls inlined, constants computed, the rest translated."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from cpvae_jax.deployment import primitives
from cpvae_jax.deployment.graph import Graph, UnsupportedError, Value, fixed
from cpvae_jax.deployment.programs import Program
from cpvae_jax.errors import UserError

CALLS = {
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "jit": "jaxpr",
    "remat2": "jaxpr",
}
"""Operations that call a program, and the parameter that holds it."""


def check() -> None:
    """Raise `UserError` if the package onnx is missing."""
    if find_spec("onnx") is None:
        raise UserError(
            "the format 'onnx' needs the package onnx; install it with "
            "pip install 'cpvae-jax[onnx]', or choose the format 'stablehlo'."
        )


def written(program: Program) -> bytes:
    """The ONNX file of a program, with a free batch axis.

    Raises:
      UserError: The program has an operation that ONNX or this converter lacks, or is too large.
    """
    traced = jax.make_jaxpr(program.function)(*program.shapes())
    graph = Graph(program)
    names: list[Value] = [given.name for given in program.inputs]
    outputs = _translated(graph, traced.jaxpr, traced.consts, names)
    return graph.model(outputs, [out.shape for out in traced.out_avals])


def _translated(
    graph: Graph, jaxpr: Any, constants: Sequence[Any], inputs: Sequence[Value]
) -> list[Value]:
    """Adds a program of JAX to the graph; returns its outputs."""
    known: dict[Any, Value] = dict(zip(jaxpr.invars, inputs, strict=True))
    known |= {var: np.asarray(value) for var, value in zip(jaxpr.constvars, constants, strict=True)}

    def value(atom: Any) -> Value:
        if isinstance(atom, Literal):
            return np.asarray(atom.val, atom.aval.dtype)  # type: ignore[attr-defined]
        return known[atom]

    for equation in jaxpr.eqns:
        found = _result(graph, equation, [value(atom) for atom in equation.invars])
        known |= dict(zip(equation.outvars, found, strict=True))
    return [value(atom) for atom in jaxpr.outvars]


def _result(graph: Graph, equation: Any, inputs: list[Value]) -> list[Value]:
    """The outputs of one operation."""
    name = equation.primitive.name
    if name in CALLS:
        inner = equation.params[CALLS[name]]
        inner, constants = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
        return _translated(graph, inner, constants, inputs)
    static = all(fixed(size) for out in equation.outvars for size in out.aval.shape)
    if static and all(isinstance(value, np.ndarray) for value in inputs):
        return _computed(equation, inputs)
    try:
        found = primitives.RULES[name](graph, equation, inputs)
    except (KeyError, UnsupportedError):
        raise UserError(
            f"the {graph.program.name} uses the operation {name!r} in a way that the format 'onnx' "
            "does not cover; choose the format 'stablehlo' (--format stablehlo)."
        ) from None
    return list(found) if isinstance(found, list) else [found]


def _computed(equation: Any, inputs: Sequence[Value]) -> list[Value]:
    """The outputs of an operation on constants, computed now."""
    found = equation.primitive.bind(*map(jnp.asarray, inputs), **equation.params)
    several = equation.primitive.multiple_results
    return [np.asarray(array) for array in (found if several else [found])]
