"""The training data as a program takes them: with what was measured on them."""

from __future__ import annotations

from typing import Any, NamedTuple

from cpvae_jax.types import Tree


class Whole(NamedTuple):
    """All training data, and what was measured on them once; the bare data stand for themselves.

    Attributes:
      x: The data in the model's unit, [N, *shape], or `Rows`.
      measured: Arrays that objectives and regularisers find in `Source.measured`.
      own: Arrays of each seed's own, [R, ...], such as the partition that its categories start from;
        for data in memory.
      shares: Cumulative shares of the examples' weights, [N]; None if they weigh alike.
    """

    x: Any
    measured: Tree = None
    own: Tree = None
    shares: Any = None


def whole(train: Any) -> Whole:
    """Bare data as `Whole`, with nothing measured on them."""
    return train if isinstance(train, Whole) else Whole(train)
