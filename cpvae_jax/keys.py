"""Random keys as plain integers, for code that does not know key types: disks, networks, numpy."""

from __future__ import annotations

from typing import Any, TypeVar

import jax

T = TypeVar("T")


def is_key(leaf: Any) -> bool:
    """Whether an array holds random keys."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def to_numbers(tree: T) -> T:
    """The same tree, its keys as uint32; of shapes and types too.

    >>> to_numbers(jax.random.key(0)).shape
    (2,)
    """
    return jax.tree.map(_to_numbers, tree)


def _to_numbers(leaf: Any) -> Any:
    if not is_key(leaf):
        return leaf
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.eval_shape(jax.random.key_data, leaf)
    return jax.random.key_data(leaf)


def from_numbers(tree: T, like: T) -> T:
    """The inverse of `to_numbers`, given a tree that has keys where this one had them."""
    return jax.tree.map(
        lambda leaf, value: (
            jax.random.wrap_key_data(value, impl=jax.random.key_impl(leaf))
            if is_key(leaf)
            else value
        ),
        like,
        tree,
    )
