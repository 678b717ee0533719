"""Random numbers from whole Threefry blocks: 16 bits, uniform, normal and Gumbel.

Threefry turns a key and a counter into 64 random bits (Salmon et al., SC 2011). `jax.random` spends
one such block per number and keeps at most 32 bits of it. Here a block gives two 32-bit numbers or
four 16-bit ones; the hash itself is JAX's. Binarising a batch of MNIST takes 78,400 numbers, which
cost a tenth of a training step on a CPU with `jax.random`.

Counters are positions in the array, so numbers do not depend on how the array is laid out over
devices. Keys of other generators than Threefry fall back on `jax.random`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.extend.random import threefry2x32_p

STEP = 2.0**-24
"""Uniform numbers are odd multiples of this: never 0, never 1, symmetric about a half."""


def bits16(key: jax.Array, shape: Sequence[int]) -> jax.Array:
    """Uniform integers 0 … 65535 as uint16; `shape` has at least one axis.

    >>> bits16(jax.random.key(0), (2, 3)).shape
    (2, 3)
    """
    words = _words(key, (*shape[:-1], -(-shape[-1] // 2)))
    halves = [(words & 0xFFFF).astype(jnp.uint16), (words >> 16).astype(jnp.uint16)]
    return jnp.concatenate(halves, axis=-1)[..., : shape[-1]]


def uniform(key: jax.Array, shape: Sequence[int]) -> jax.Array:
    """Uniform on the open interval (0, 1); `shape` has at least one axis.

    `uniform < p` is true with probability p to within 2⁻²⁴: never for 0, always for 1.
    """
    return ((_words(key, shape) >> 8) | 1).astype(jnp.float32) * STEP


def normal(key: jax.Array, shape: Sequence[int]) -> jax.Array:
    """Standard normal, by inverting the distribution function; within ±5.3."""
    return math.sqrt(2) * jax.lax.erf_inv(2 * uniform(key, shape) - 1)


def gumbel(key: jax.Array, shape: Sequence[int]) -> jax.Array:
    """Standard Gumbel, −log(−log u); between −2.8 and 16.6."""
    return -jnp.log(-jnp.log(uniform(key, shape)))


def _words(key: jax.Array, shape: Sequence[int]) -> jax.Array:
    """32 random bits per number; first halves of the blocks fill the first half of the last axis."""
    if jax.random.key_impl(key) != "threefry2x32":
        return jax.random.bits(key, shape, jnp.uint32)
    blocks = (*shape[:-1], -(-shape[-1] // 2))
    row = jnp.zeros(blocks, jnp.uint32)
    for axis, size in enumerate(blocks[:-1]):
        row = row * size + jax.lax.broadcasted_iota(jnp.uint32, blocks, axis)
    column = jax.lax.broadcasted_iota(jnp.uint32, blocks, len(blocks) - 1)
    first, second = jax.random.key_data(key)
    with jax.named_scope("noise"):  # for profiles
        halves = threefry2x32_p.bind(first, second, row, column)
    return jnp.concatenate(halves, axis=-1)[..., : shape[-1]]
