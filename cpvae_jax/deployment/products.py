"""Products of matrices, rows of tables and convolutions in ONNX."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any

import numpy as np

from cpvae_jax.deployment.graph import Graph, UnsupportedError, Value


def dot_general(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """A sum of products: MatMul where the last axis meets the first one of a matrix, else Einsum."""
    (sum_a, sum_b), (batch_a, batch_b) = equation.params["dimension_numbers"]
    rank_a, rank_b = (len(v.aval.shape) for v in equation.invars)
    if tuple(sum_a) == (rank_a - 1,) and tuple(sum_b) == (0,) and rank_b == 2 and not batch_a:
        return graph.node("MatMul", *inputs)
    letters = iter(string.ascii_lowercase)
    a = [next(letters) for _ in range(rank_a)]
    b = [next(letters) for _ in range(rank_b)]
    for of_a, of_b in ((sum_a, sum_b), (batch_a, batch_b)):
        for i, j in zip(of_a, of_b, strict=True):
            b[j] = a[i]
    out = [a[i] for i in batch_a]
    out += [a[i] for i in range(rank_a) if i not in (*sum_a, *batch_a)]
    out += [b[j] for j in range(rank_b) if j not in (*sum_b, *batch_b)]
    formula = f"{''.join(a)},{''.join(b)}->{''.join(out)}"
    return graph.node("Einsum", *inputs, equation=formula)


def rows(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """Entries of a table along one axis, by integers; other gathers are not covered."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    table, index = (v.aval.shape for v in equation.invars)
    if len(numbers.start_index_map) != 1:
        raise UnsupportedError
    (axis,) = numbers.start_index_map
    whole = all(sizes[i] == (1 if i == axis else n) for i, n in enumerate(table))
    if not whole or numbers.collapsed_slice_dims != (axis,):
        raise UnsupportedError
    found = graph.node("Gather", inputs[0], graph.reshape(inputs[1], index[:-1]), axis=int(axis))
    # ONNX puts the axes of the index where that of the table was; JAX says where.
    of_index = list(range(axis, axis + len(index) - 1))
    of_table = [i for i in range(len(equation.outvars[0].aval.shape)) if i not in of_index]
    order = [
        (of_table if i in numbers.offset_dims else of_index).pop(0)
        for i in range(len(of_table) + len(of_index))
    ]
    return _moved(graph, found, order)


def convolution(graph: Graph, equation: Any, inputs: Sequence[Value]) -> Value:
    """A convolution, or one that widens its input, as Flax's ConvTranspose makes."""
    given = equation.params
    lhs, rhs, out = given["dimension_numbers"]
    x, kernel = _moved(graph, inputs[0], lhs), _moved(graph, inputs[1], rhs)
    sizes = [equation.invars[1].aval.shape[axis] for axis in rhs[2:]]
    reach = [d * (n - 1) for d, n in zip(given["rhs_dilation"], sizes, strict=True)]
    pads = [list(pair) for pair in given["padding"]]
    attributes: dict[str, Any] = {"dilations": list(map(int, given["rhs_dilation"]))}
    strides, wider = list(given["window_strides"]), list(given["lhs_dilation"])
    if given["batch_group_count"] != 1:
        raise UnsupportedError
    if all(step == 1 for step in wider):
        operator = "Conv"
        attributes |= {"strides": strides, "group": int(given["feature_group_count"])}
    else:
        # The transpose takes the kernel mirrored, [in, out, ...], and counts what it cuts off.
        if any(step != 1 for step in strides) or given["feature_group_count"] != 1:
            raise UnsupportedError
        if not isinstance(kernel, np.ndarray):
            raise UnsupportedError
        operator, attributes["strides"] = "ConvTranspose", wider
        kernel = np.flip(kernel, tuple(range(2, kernel.ndim))).swapaxes(0, 1)
        cut = [[n - low, n - high] for n, (low, high) in zip(reach, pads, strict=True)]
        extra = [max(0, -high) for _, high in cut]
        attributes["output_padding"] = extra
        pads = [[low, high + more] for (low, high), more in zip(cut, extra, strict=True)]
    if any(size < 0 for pair in pads for size in pair):
        raise UnsupportedError
    attributes["pads"] = [int(pair[side]) for side in (0, 1) for pair in pads]
    y = graph.node(operator, x, kernel, **attributes)
    return _moved(graph, y, np.argsort(out).tolist())


def _moved(graph: Graph, value: Value, order: Sequence[int]) -> Value:
    """Axes in another order; a constant is moved at once."""
    order = list(map(int, order))
    if order == list(range(len(order))):
        return value
    if isinstance(value, np.ndarray):
        return value.transpose(order)
    return graph.node("Transpose", value, perm=order)
