"""An ONNX graph that grows while a program of JAX is read, operation by operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from cpvae_jax.deployment.programs import BATCH, Program
from cpvae_jax.errors import UserError

OPSET = 18
"""The version of ONNX's operators: axes of reductions are inputs from it on. onnxruntime 1.14 has it."""

IR = 8
"""The version of the file format that came with it, so that older runtimes read the files."""

LARGEST = 2**31 - 2**20
"""Bytes of weights that fit into a file: protobuf ends at 2 GiB, less some room for the graph."""

Value = np.ndarray | str
"""A constant, or the name of what a node or an input gives"""


class UnsupportedError(Exception):
    """Raised for an operation that the converter does not cover."""


def fixed(size: Any) -> bool:
    """Whether the size of an axis is a number; that of the batch is a symbol."""
    return isinstance(size, int | np.integer)


class Graph:
    """Nodes and constants so far."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._nodes: list[Any] = []
        self._constants: dict[Any, tuple[str, np.ndarray]] = {}
        self._batch: Value | None = None

    def node(self, operator: str, *inputs: Value, **attributes: Any) -> str:
        """Add an operator; returns the name of its output."""
        return self.nodes(operator, 1, *inputs, **attributes)[0]

    def nodes(self, operator: str, outputs: int, *inputs: Value, **attributes: Any) -> list[str]:
        """Add an operator with several outputs; returns their names."""
        from onnx import helper

        names = [f"v{len(self._nodes)}_{number}" for number in range(outputs)]
        given = [self._name(value) for value in inputs]
        self._nodes.append(helper.make_node(operator, given, names, **attributes))
        return names

    def _name(self, value: Value) -> str:
        """The name of a value; equal constants are stored once."""
        if isinstance(value, str):
            return value
        array = np.ascontiguousarray(value).reshape(value.shape)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = (f"c{len(self._constants)}", array)
        return self._constants[key][0]

    def reshape(self, value: Value, shape: Sequence[Any]) -> Value:
        """A value in another shape, at most one axis of which depends on the batch."""
        free = sum(not fixed(size) for size in shape)
        if free > 1:
            raise UnsupportedError
        wanted = np.array([size if fixed(size) else -1 for size in shape], np.int64)
        return self.node("Reshape", value, wanted)

    def expand(self, value: Value, before: Sequence[Any], shape: Sequence[Any]) -> Value:
        """A value repeated along axes of size 1; `before` is its shape, of the same length."""
        pairs = list(zip(before, shape, strict=True))
        if all(old == new for old, new in pairs):
            return value
        if all(fixed(new) or old == new for old, new in pairs):
            # An axis of the batch that is there already stays: 1 asks for nothing.
            return self.node(
                "Expand", value, np.array([n if fixed(n) else 1 for n in shape], np.int64)
            )
        pieces = [np.array([n], np.int64) if fixed(n) else self._size(n) for n in shape]
        return self.node("Expand", value, self.node("Concat", *pieces, axis=0))

    def _size(self, size: Any) -> Value:
        """The size of the batch while the program runs, [1]."""
        if str(size) != BATCH:
            raise UnsupportedError
        if self._batch is None:
            self._batch = self.node("Shape", self.program.inputs[0].name, start=0, end=1)
        return self._batch

    def model(self, outputs: Sequence[Value], shapes: Sequence[Any]) -> bytes:
        """The file: the graph with its outputs, without what they do not need.

        Raises:
          UserError: It is larger than ONNX files can be.
        """
        import onnx
        from onnx import helper, numpy_helper

        for name, value in zip(self.program.outputs, outputs, strict=True):
            self._nodes.append(helper.make_node("Identity", [self._name(value)], [name]))
        needed, kept = set(self.program.outputs), []
        for node in reversed(self._nodes):
            if needed & set(node.output):
                needed |= set(node.input)
                kept.append(node)
        constants = [pair for pair in self._constants.values() if pair[0] in needed]
        if (size := sum(array.nbytes for _, array in constants)) > LARGEST:
            raise UserError(
                f"the {self.program.name} has {size} bytes of weights, but an ONNX file holds at most "
                f"{LARGEST}; choose the format 'stablehlo'."
            )
        graph = helper.make_graph(
            kept[::-1],
            self.program.name,
            [_described(i.name, i.dtype, (BATCH, *i.shape)) for i in self.program.inputs],
            [
                _described(name, "float32", [n if fixed(n) else BATCH for n in shape])
                for name, shape in zip(self.program.outputs, shapes, strict=True)
            ],
            [numpy_helper.from_array(array, name) for name, array in constants],
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(
            graph, opset_imports=opset, ir_version=IR, producer_name="cpvae_jax"
        )
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()


def element(dtype: Any) -> int:
    """ONNX's number of a type."""
    from onnx import helper

    return helper.np_dtype_to_tensor_dtype(jnp.dtype(dtype))


def _described(name: str, dtype: str, shape: Sequence[Any]) -> Any:
    from onnx import helper

    return helper.make_tensor_value_info(name, element(dtype), shape)
