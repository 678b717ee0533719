"""The matrix products of a program, counted by walking its jaxpr: exact for every model."""

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

Shape = tuple[int, ...]


class Product(NamedTuple):
    """A `dot_general`: the shapes of its factors, and which axes it sums over and which it keeps."""

    left: Shape
    right: Shape
    axes: tuple[tuple[Shape, Shape], tuple[Shape, Shape]]
    """(summed of left, of right), (kept side by side of left, of right)"""

    @property
    def flops(self) -> int:
        """Every number of one factor meets every one of the other but along shared axes."""
        (summed, _), (beside, _) = self.axes
        shared = math.prod(self.left[axis] for axis in (*summed, *beside))
        return 2 * math.prod(self.left) * math.prod(self.right) // shared


def products(jaxpr: Any) -> Counter[Product]:
    """All products that one run computes, with how often; those within a scan at each turn."""
    found: Counter[Product] = Counter()
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            left, right = (factor.aval.shape for factor in equation.invars)
            found[Product(left, right, equation.params["dimension_numbers"])] += 1
        turns = equation.params["length"] if equation.primitive.name == "scan" else 1
        for inner in _within(equation.params):
            for product, count in products(inner).items():
                found[product] += turns * count
    return found


def flops(found: Counter[Product]) -> int:
    """Operations of all of them."""
    return sum(count * product.flops for product, count in found.items())


def _within(parameters: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs that an equation calls: a function, the branches of a choice."""
    for value in parameters.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if hasattr(one, "eqns"):
                yield one
