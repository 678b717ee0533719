"""Layers as pairs of functions: `init_…` makes the arrays, the other one applies them.

Weights start by Glorot's rule, as in section 5 of the paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from cpvae_jax.distributions import categorical
from cpvae_jax.distributions.gaussian import soft_limit
from cpvae_jax.types import Tree

_glorot = jax.nn.initializers.glorot_uniform()


def init_linear(key: jax.Array, n_in: int, n_out: int, *, categories: int = 0) -> Tree:
    """Arrays of x ↦ x W + b, or of [x, c] ↦ [x, c] W + b if `categories` is not 0.

    The rows of W for c are stored separately as a table [K, n_out]. Glorot's rule counts them
    among the inputs.
    """
    kernel = _glorot(key, (n_in + categories, n_out), jnp.float32)
    layer = {"kernel": kernel[:n_in], "bias": jnp.zeros(n_out, jnp.float32)}
    return {**layer, "category": kernel[n_in:]} if categories else layer


def linear(layer: Tree, x: jax.Array, category: jax.Array | None = None) -> jax.Array:
    """[B, n_in] to [B, n_out]."""
    y = x @ layer["kernel"] + layer["bias"]
    return y if category is None else y + categorical.rows(layer["category"], category)


def init_gated(key: jax.Array, n_in: int, n_out: int, *, categories: int = 0) -> Tree:
    """Arrays of a gated layer. Value and gate lie side by side, so one matrix product serves both."""
    value, gate = (
        init_linear(k, n_in, n_out, categories=categories) for k in jax.random.split(key)
    )
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=-1), value, gate)


def gated(layer: Tree, x: jax.Array, category: jax.Array | None = None) -> jax.Array:
    """(x W + b) · sigmoid(x V + a), [B, n_in] to [B, n_out]. Source: Dauphin et al., 2017."""
    return gate(linear(layer, x, category))


def gate(y: jax.Array) -> jax.Array:
    """The first half of the last axis, gated by the second: [..., 2 n] to [..., n]."""
    half = y.shape[-1] // 2  # slices, because the derivative of jnp.split copies
    return y[..., :half] * jax.nn.sigmoid(y[..., half:])


def init_trunk(key: jax.Array, n_in: int, widths: Sequence[int], *, categories: int = 0) -> Tree:
    """Arrays of a stack of gated layers; only the first one sees the category."""
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


def init_gaussian(key_mean: jax.Array, key_log_var: jax.Array, n_in: int, n_out: int) -> Tree:
    """Arrays of the two linear layers that give a diagonal Gaussian."""
    return {
        "mean": init_linear(key_mean, n_in, n_out),
        "log_var": init_linear(key_log_var, n_in, n_out),
    }


def gaussian(weights: Tree, h: jax.Array) -> tuple[jax.Array, jax.Array]:
    """h [..., n_in] to a mean and a limited log-variance, [..., n_out] each."""
    return linear(weights["mean"], h), soft_limit(linear(weights["log_var"], h))


def join(a: jax.Array, b: jax.Array) -> jax.Array:
    """Two arrays side by side along the last axis; leading axes are broadcast."""
    shape = jnp.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    parts = (jnp.broadcast_to(part, (*shape, part.shape[-1])) for part in (a, b))
    return jnp.concatenate(list(parts), axis=-1)
