"""Layers as pairs of functions: `init_…` makes the arrays, the other applies them.

The networks of section 5 of the paper: gated layers of 300 units, weights by Glorot's rule.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from cpvae_jax import categorical
from cpvae_jax.types import Tree

_glorot = jax.nn.initializers.glorot_uniform()


def init_linear(key: jax.Array, n_in: int, n_out: int, *, categories: int = 0) -> Tree:
    """Arrays of x ↦ x W + b, or of [x, c] ↦ [x, c] W + b where there are `categories`.

    The rows of W that meet c are kept apart as a table [K, n_out]; Glorot's rule counts
    them among the inputs.
    """
    kernel = _glorot(key, (n_in + categories, n_out))
    layer = {"kernel": kernel[:n_in], "bias": jnp.zeros(n_out)}
    return {**layer, "category": kernel[n_in:]} if categories else layer


def linear(layer: Tree, x: jax.Array, category: jax.Array | None = None) -> jax.Array:
    """[B, n_in] to [B, n_out]."""
    y = x @ layer["kernel"] + layer["bias"]
    return y if category is None else y + categorical.rows(layer["category"], category)


def init_gated(key: jax.Array, n_in: int, n_out: int, *, categories: int = 0) -> Tree:
    """Arrays of a gated layer: value and gate side by side, so that one product serves both."""
    value, gate = (
        init_linear(k, n_in, n_out, categories=categories) for k in jax.random.split(key)
    )
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=-1), value, gate)


def gated(layer: Tree, x: jax.Array, category: jax.Array | None = None) -> jax.Array:
    """(x W + b) · sigmoid(x V + a), [B, n_in] to [B, n_out]. Source: Dauphin et al., 2017."""
    y = linear(layer, x, category)
    half = y.shape[-1] // 2  # slices: the derivative of jnp.split would copy
    return y[..., :half] * jax.nn.sigmoid(y[..., half:])


def init_trunk(key: jax.Array, n_in: int, widths: Sequence[int], *, categories: int = 0) -> Tree:
    """Arrays of gated layers one after another; only the first meets the category."""
    keys = jax.random.split(key, len(widths))
    first = init_gated(keys[0], n_in, widths[0], categories=categories)
    rest = [init_gated(k, a, b) for k, a, b in zip(keys[1:], widths, widths[1:], strict=False)]
    return [first, *rest]


def trunk(layers: Tree, x: jax.Array, category: jax.Array | None = None) -> jax.Array:
    """[B, n_in] to [B, widths[-1]]."""
    h = gated(layers[0], x, category)
    for layer in layers[1:]:
        h = gated(layer, h)
    return h
