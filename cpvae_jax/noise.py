"""Random numbers in whole blocks: 16 bits, uniform, normal and Gumbel.

Threefry turns a key and a counter into a block of 64 random bits (Salmon et al., SC 2011). `jax.random`
takes a block for every number and keeps 32 bits of it, or fewer: a number of 16 bits costs it no
less. Here a block gives two numbers of 32 bits or four of 16; the hash itself is JAX's. A batch of MNIST is
binarised with 78,400 numbers, which took `jax.random` a tenth of a step on a processor.

Counters are places in the array, so that no number depends on how the array lies on devices. Keys
of other generators than Threefry give their numbers by `jax.random`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.extend.random import threefry2x32_p

STEP = 2.0**-24
"""Uniform numbers are odd multiples of it: never 0, never 1, symmetric about a half."""


def bits16(key: jax.Array, shape: Sequence[int]) -> jax.Array:
    """Numbers 0 … 65535, each as likely, as uint16; `shape` has one axis or more.

    >>> bits16(jax.random.key(0), (2, 3)).shape
    (2, 3)
    """
    words = _words(key, (*shape[:-1], -(-shape[-1] // 2)))
    halves = [(words & 0xFFFF).astype(jnp.uint16), (words >> 16).astype(jnp.uint16)]
    return jnp.concatenate(halves, axis=-1)[..., : shape[-1]]


def uniform(key: jax.Array, shape: Sequence[int]) -> jax.Array:
    """Uniform on (0, 1), both ends left out; `shape` has one axis or more.

    Comparing `uniform < p` is true with probability p, rounded by 2⁻²⁴; for 0 never, for 1 always.
    """
    return ((_words(key, shape) >> 8) | 1).astype(jnp.float32) * STEP


def normal(key: jax.Array, shape: Sequence[int]) -> jax.Array:
    """Standard normal, by the inverse of its distribution function; within ±5.3."""
    return math.sqrt(2) * jax.lax.erf_inv(2 * uniform(key, shape) - 1)


def gumbel(key: jax.Array, shape: Sequence[int]) -> jax.Array:
    """Standard Gumbel, −log(−log u); between −2.8 and 16.6."""
    return -jnp.log(-jnp.log(uniform(key, shape)))


def _words(key: jax.Array, shape: Sequence[int]) -> jax.Array:
    """32 random bits a number: the first halves of blocks for the first half of the last axis."""
    if jax.random.key_impl(key) != "threefry2x32":
        return jax.random.bits(key, shape)
    blocks = (*shape[:-1], -(-shape[-1] // 2))
    row = jnp.zeros(blocks, jnp.uint32)
    for axis, size in enumerate(blocks[:-1]):
        row = row * size + jax.lax.broadcasted_iota(jnp.uint32, blocks, axis)
    column = jax.lax.broadcasted_iota(jnp.uint32, blocks, len(blocks) - 1)
    first, second = jax.random.key_data(key)
    with jax.named_scope("noise"):  # for profiles
        halves = threefry2x32_p.bind(first, second, row, column)
    return jnp.concatenate(halves, axis=-1)[..., : shape[-1]]
