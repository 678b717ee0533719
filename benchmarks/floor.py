"""The least that a step can take: its matrix products, and what the optimiser moves.

`products.py` counts the products, `rates.py` measures the machine. Elementwise work, random
numbers and the reading of images are no part of it, so that no program reaches it. The memory's
rate is that of arrays beyond any cache: where a cache holds the parameters, the optimiser may
be faster than its part of the floor.
"""

from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

ADAM = 7
"""Arrays as large as the parameters that a step moves: reads p, m, v, gradient; writes p, m, v."""
FLOAT = 4
"""Bytes of a number."""


@dataclass(frozen=True)
class Work:
    """What a step has to do."""

    flops: int
    """Of its matrix products, a multiplication and an addition being two."""
    parameters: int

    @property
    def bytes(self) -> int:
        """What Adam moves."""
        return ADAM * FLOAT * self.parameters


@dataclass(frozen=True)
class Rates:
    """What the machine did in one round: a second's work, the median of a few tries and the best."""

    large: float
    """Operations of a product that is large enough to be limited by nothing else"""
    large_best: float
    own: float
    """Operations of the step's own products, one after another with nothing between"""
    own_best: float
    memory: float
    """Bytes read and written by a program that does nothing else"""
    memory_best: float


@dataclass(frozen=True)
class Floor:
    """A step's work, and the rates of one round."""

    work: Work
    rates: Rates

    def seconds(self, *, own: bool) -> float:
        """Of a step, at the rate of a large product or of the step's own products."""
        rate = self.rates.own if own else self.rates.large
        return self.work.flops / rate + self.work.bytes / self.rates.memory


def roofline(kept: dict[str, Any]) -> str:
    """What bounds a step, of what `record` kept: each part's milliseconds at its rate."""
    rates = {
        name: median(one[name] for one in kept["rates"]) for name in ("own", "large", "memory")
    }
    own, large = (kept["flops_a_step"] / rates[which] * 1e3 for which in ("own", "large"))
    moved = kept["optimiser_bytes_a_step"] / rates["memory"] * 1e3
    return (
        f"floor of a step: products {own:.3g} ms at their own rate, {large:.3g} at a large product's; "
        f"optimiser {moved:.3g} ms at the memory's"
    )


def record(floors: list[Floor]) -> dict[str, Any]:
    """For a file of JSON: the work, and every round's rates."""
    work = floors[0].work
    return {
        "flops_a_step": work.flops,
        "optimiser_bytes_a_step": work.bytes,
        "rates": [asdict(floor.rates) for floor in floors],
    }
