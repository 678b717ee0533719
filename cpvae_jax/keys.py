"""Random keys: one key per purpose, and keys as plain integers for disks, networks and NumPy.

With JAX's usual generator `fold_in(key, n)` and `split(key, m)[n]` are the same key. Training splits
a seed's key, and folds the numbers of epochs, steps and batches into the results. All other draws
that start from the same seed take the key of a purpose, whose constant is larger than any such
number.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import jax
import numpy as np

T = TypeVar("T")

LEAST = 2**31
"""Constants of purposes lie from here to 2³²; epochs, steps, batches and splits stay far below."""


def _constant(name: str) -> int:
    """A number of 32 bits that follows from a name, with the highest bit set."""
    return LEAST | int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")


PURPOSES = {
    name: _constant(name)
    for name in (
        # The start of a model (`models.start`)
        "posterior weights",
        "likelihood arrays",
        "further heads",
        "lower heads",
        "lower posterior weights",
        # The start of the categories (`training.starting`)
        "start",
        "partition",
        # During and after training (`training.step`, `training.fit`)
        "categories",
        # The scores and pictures of a run (`report`)
        "test bound",
        "relaxed figure",
        "decomposition",
        "log-likelihood",
        "refined bound",
        "density",
        "pictures",
        "report",
        # The component of a merged category (`models.category`)
        "components",
        # Choosing K (`training.selection`): the bounds to compare, and the samples of categories
        "selection",
        "overlap",
        # Commands and experiments that start from a seed
        "samples",
        "comparison",
        "generation scores",
        "generation picture",
        "paper figures",
        # Rows drawn by their weights (`training.weights`); missing values (`evaluation.imputation`)
        "weights",
        "imputation",
    )
}
"""What random keys are for, and the constant that each purpose folds into a key."""


def purpose(key: jax.Array, name: str) -> jax.Array:
    """The key of a purpose, which no split of `key` and no number folded into it gives.

    Args:
      key: A random key.
      name: One of `PURPOSES`.

    >>> key = jax.random.key(0)
    >>> bool(purpose(key, "samples") == purpose(key, "pictures"))
    False
    """
    return jax.random.fold_in(key, np.uint32(PURPOSES[name]))


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
