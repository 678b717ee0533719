"""Agreement between the processes of one run; with a single process every function is trivial.

All processes run the same program. They call `largest` and `told` together.
"""

from __future__ import annotations

from typing import TypeVar

import jax
import numpy as np

from cpvae_jax import keys

T = TypeVar("T")


def first() -> bool:
    """Whether this is the process that reads and writes files."""
    return jax.process_index() == 0


def largest(*numbers: int) -> list[int]:
    """The largest of each number over all processes.

    >>> largest(3, True)
    [3, True]
    """
    if jax.process_count() == 1:
        return list(numbers)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(np.array(numbers)).max(axis=0).tolist()


def told(tree: T) -> T:
    """The arrays that the first process has; the others pass arrays of the same shapes.

    >>> told({"a": np.arange(2)})
    {'a': array([0, 1])}
    """
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    got = multihost_utils.broadcast_one_to_all(keys.to_numbers(tree))
    return keys.from_numbers(got, tree)
