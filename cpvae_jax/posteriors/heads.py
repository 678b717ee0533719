"""The heads that every posterior family stands on: linear layers on [h, c], by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from cpvae_jax.networks import layers
from cpvae_jax.types import Tree


def init(
    first: Sequence[jax.Array],
    further: jax.Array,
    widths: Mapping[str, int],
    n_in: int,
    *,
    categories: int = 0,
) -> dict[str, Tree]:
    """Fresh heads of some widths on n_in features, which see c if `categories` is not 0.

    The first two take keys of their own, as when there were only a mean and a log-variance. The others
    fold their number into the key `further`.
    """
    heads = {}
    for number, (name, n_out) in enumerate(widths.items()):
        of_head = jax.random.fold_in(further, number)
        key = first[number] if number < len(first) else of_head
        heads[name] = layers.init_linear(key, n_in, n_out, categories=categories)
    return heads


def of_features(weights: Tree, widths: Mapping[str, int], h: jax.Array) -> dict[str, jax.Array]:
    """The part of h [..., H] in each head, [..., width]."""
    return {name: layers.linear(weights[name], h) for name in widths}


def of_no_category(widths: Mapping[str, int]) -> dict[str, jax.Array]:
    """The part of c where the heads see none: zeros, as of a single category, [1, width]."""
    return {name: jnp.zeros((1, width), jnp.float32) for name, width in widths.items()}
