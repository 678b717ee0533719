"""JAX's operations in ONNX, one rule each; `products` has those of matrices, rows and convolutions.

A rule takes the graph, the equation and its inputs, and returns the output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cpvae_jax.deployment import products
from cpvae_jax.deployment.graph import Graph, UnsupportedError, Value, element, fixed

Rule = Callable[[Graph, Any, Sequence[Value]], Value | list[Value]]

SAME_NAME = {
    **{"abs": "Abs", "ceil": "Ceil", "cos": "Cos", "erf": "Erf", "exp": "Exp", "floor": "Floor"},
    **{"log": "Log", "logistic": "Sigmoid", "neg": "Neg", "sign": "Sign", "sin": "Sin"},
    **{"sqrt": "Sqrt", "tanh": "Tanh", "add": "Add", "add_any": "Add", "div": "Div", "max": "Max"},
    **{"min": "Min", "mul": "Mul", "pow": "Pow", "sub": "Sub", "eq": "Equal", "lt": "Less"},
    **{"le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual", "stop_gradient": "Identity"},
    **{"copy": "Identity", "copy_p": "Identity", "reduce_precision": "Identity"},
    **{"optimization_barrier": "Identity", "sharding_constraint": "Identity"},
}
"""Operations on each number that ONNX has too."""

LOGIC = {"and": "And", "or": "Or", "xor": "Xor", "not": "Not"}
"""Of booleans; those of integers are other operators."""

REDUCTIONS = {
    "reduce_max": "ReduceMax",
    "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd",
    "reduce_sum": "ReduceSum",
}


def same_name(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """An operator of ONNX on each number."""
    return graph.node(SAME_NAME[equation.primitive.name], *inputs)


def logic(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """An operator on booleans."""
    if equation.invars[0].aval.dtype != bool:
        raise UnsupportedError
    return graph.node(LOGIC[equation.primitive.name], *inputs)


def reduction(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """A sum, product or extreme over some axes."""
    axes = np.array(equation.params["axes"], np.int64)
    return graph.node(REDUCTIONS[equation.primitive.name], inputs[0], axes, keepdims=0)


def extreme(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """The first place of the largest or smallest number along an axis."""
    operator = {"argmax": "ArgMax", "argmin": "ArgMin"}[equation.primitive.name]
    (axis,) = equation.params["axes"]
    found = graph.node(operator, inputs[0], axis=int(axis), keepdims=0)
    return graph.node("Cast", found, to=element(equation.params["index_dtype"]))


def one(equation: Any, number: float = 1.0) -> np.ndarray:
    """A number of the type of the first input."""
    return np.array(number, equation.invars[0].aval.dtype)


def broadcast_in_dim(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """New axes first, then copies along them."""
    given, shape = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    places = [int(axis) for axis in equation.params["broadcast_dimensions"]]
    before: list[Any] = [1] * len(shape)
    for place, size in zip(places, given, strict=True):
        before[place] = size
    value = inputs[0] if tuple(before) == tuple(given) else graph.reshape(inputs[0], before)
    return graph.expand(value, before, shape)


def reshape(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """The same numbers in another shape."""
    return graph.reshape(inputs[0], equation.outvars[0].aval.shape)


def squeeze(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """Without some axes of size 1."""
    axes = np.array(equation.params["dimensions"], np.int64)
    return graph.node("Squeeze", inputs[0], axes)


def transpose(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """Axes in another order."""
    return graph.node("Transpose", inputs[0], perm=list(map(int, equation.params["permutation"])))


def part(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """A range along each axis; all of it along that of the batch."""
    starts, limits = equation.params["start_indices"], equation.params["limit_indices"]
    steps = equation.params["strides"] or (1,) * len(starts)
    shape = equation.invars[0].aval.shape
    wanted = [
        (start, limit, axis, step)
        for axis, (start, limit, step) in enumerate(zip(starts, limits, steps, strict=True))
        if (start, step) != (0, 1) or limit != shape[axis]
    ]
    if not wanted:
        return inputs[0]
    if not all(fixed(number) for row in wanted for number in row):
        raise UnsupportedError
    columns = (np.array(column, np.int64) for column in zip(*wanted, strict=True))
    return graph.node("Slice", inputs[0], *columns)


def split(graph: Graph, equation: Any, inputs: Sequence[Value]) -> list[Value]:
    """Pieces along an axis."""
    sizes = np.array(equation.params["sizes"], np.int64)
    axis = int(equation.params["axis"])
    return list(graph.nodes("Split", len(sizes), inputs[0], sizes, axis=axis))


def pad(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """A constant around the numbers."""
    config = equation.params["padding_config"]
    if any(low < 0 or high < 0 or inside for low, high, inside in config):
        raise UnsupportedError
    pads = np.array([side[i] for i in (0, 1) for side in config], np.int64)
    return graph.node("Pad", inputs[0], pads, inputs[1])


def select_n(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """One of two by a boolean."""
    if len(inputs) != 3 or equation.invars[0].aval.dtype != bool:
        raise UnsupportedError
    which, otherwise, then = inputs
    return graph.node("Where", which, then, otherwise)


def rounded(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """To the nearest whole number, halves to the even one."""
    if equation.params["rounding_method"].name != "TO_NEAREST_EVEN":
        raise UnsupportedError
    return graph.node("Round", inputs[0])


def cumsum(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """Sums of all numbers so far along an axis."""
    axis = np.array(equation.params["axis"], np.int64)
    return graph.node("CumSum", inputs[0], axis, reverse=int(equation.params["reverse"]))


RULES: dict[str, Rule] = {
    **dict.fromkeys(SAME_NAME, same_name),
    **dict.fromkeys(LOGIC, logic),
    **dict.fromkeys(REDUCTIONS, reduction),
    "argmax": extreme,
    "argmin": extreme,
    "broadcast_in_dim": broadcast_in_dim,
    "clamp": lambda g, _, v: g.node("Min", g.node("Max", v[1], v[0]), v[2]),
    "concatenate": lambda g, e, v: g.node("Concat", *v, axis=int(e.params["dimension"])),
    "conv_general_dilated": products.convolution,
    "convert_element_type": lambda g, e, v: g.node("Cast", v[0], to=element(e.params["new_dtype"])),
    "cumsum": cumsum,
    "dot_general": products.dot_general,
    "erfc": lambda g, e, v: g.node("Sub", one(e), g.node("Erf", v[0])),
    "exp2": lambda g, e, v: g.node("Pow", one(e, 2.0), v[0]),
    "expm1": lambda g, e, v: g.node("Sub", g.node("Exp", v[0]), one(e)),
    "gather": products.rows,
    "integer_pow": lambda g, e, v: g.node("Pow", v[0], one(e, e.params["y"])),
    "is_finite": lambda g, _, v: g.node(
        "Not", g.node("Or", g.node("IsNaN", v[0]), g.node("IsInf", v[0]))
    ),
    "log1p": lambda g, e, v: g.node("Log", g.node("Add", v[0], one(e))),
    "ne": lambda g, _, v: g.node("Not", g.node("Equal", *v)),
    "pad": pad,
    "rem": lambda g, _, v: g.node("Mod", *v, fmod=1),  # with the sign of the dividend
    "reshape": reshape,
    "round": rounded,
    "rsqrt": lambda g, _, v: g.node("Reciprocal", g.node("Sqrt", v[0])),
    "select_n": select_n,
    "slice": part,
    "split": split,
    "square": lambda g, _, v: g.node("Mul", v[0], v[0]),
    "squeeze": squeeze,
    "transpose": transpose,
}
