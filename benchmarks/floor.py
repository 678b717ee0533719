"""The least time that a training step can take: its matrix products, and what Adam has to move.

A program that does nothing else, timed by turns with the others. Elementwise work, random numbers
and reading images are left out, so no program of the same arithmetic reaches the floor.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.problem import SHAPE, Case

ADAM = 7
"""Arrays of the parameters' size that Adam moves: reads p, m, v, gradient; writes p, m, v."""


class Product(NamedTuple):
    """A product of the forward pass, [B, n] by [n, m], which has two more in the backward pass."""

    n: int
    m: int
    input_gradient: bool = True
    """Whether the gradient of its input is needed, as it is for all but the images."""


def products(case: Case) -> list[Product]:
    """The products of the paper's model ("cp") with K categories; D latent, H hidden, X pixels."""
    X, D, H, K = int(np.prod(SHAPE)), case.latent, case.hidden, case.K
    encoder = [Product(X, 2 * H, False), Product(H, 2 * H), Product(H, K), Product(H, 2 * D)]
    category = [Product(K, 2 * D), Product(K, 2 * H)]  # the heads of z, the decoder's first layer
    decoder = [Product(D, 2 * H), Product(H, 2 * H), Product(H, X)]
    divergence = [Product(D, K)] * 3
    return [*encoder, *category, *decoder, *divergence]


def parameters(case: Case) -> int:
    """Numbers that Adam moves: kernels with their biases, and the prior's means and log-variances."""
    kernels = products(case)[:-3]
    biases = (
        sum(one.m for one in kernels) - 2 * case.latent - 2 * case.hidden
    )  # none for c's tables
    return sum(one.n * one.m for one in kernels) + biases + 2 * case.K * case.latent


def floor(case: Case, steps: int) -> Callable[[], tuple[float, int]]:
    """An epoch of the floor: `run() -> (seconds, operations of its products per step)`.

    Every product has factors of its own, and every step changes a number in each left factor, so
    that the compiler neither merges products nor moves them out of the loop.
    """
    rng = np.random.default_rng(0)
    each = products(case)
    lefts = [jnp.asarray(rng.random((case.batch, one.n), np.float32)) for one in each]
    rights = [jnp.asarray(rng.random((one.n, one.m), np.float32)) for one in each]
    moved = jnp.ones(parameters(case) * ADAM // 3)  # x = x / 2 + y reads two arrays, writes one

    def multiply(left: jax.Array, right: jax.Array, product: Product) -> list[jax.Array]:
        forward = left @ right
        backward = [left.T @ forward, *([forward @ right.T] if product.input_gradient else [])]
        return [forward, *backward]

    def step(_: int, carry: tuple[Any, ...]) -> tuple[Any, ...]:
        lefts, rights, _, x, y = carry
        made = [multiply(*one) for one in zip(lefts, rights, each, strict=True)]
        lefts = [
            left.at[0, 0].set(jnp.tanh(sum(one[0, 0] for one in found)))
            for left, found in zip(lefts, made, strict=True)
        ]
        return lefts, rights, made, x / 2 + y, y

    @jax.jit
    def epoch(lefts: Any, rights: Any, moved: jax.Array) -> tuple[Any, ...]:
        shapes = jax.eval_shape(step, 0, (lefts, rights, None, moved, moved))[2]
        made = jax.tree.map(lambda shape: jnp.zeros(shape.shape), shapes)
        return jax.lax.fori_loop(0, steps, step, (lefts, rights, made, moved, moved + 1))

    def run() -> tuple[float, int]:
        start = perf_counter()
        jax.block_until_ready(epoch(lefts, rights, moved))
        return perf_counter() - start, flops(case)

    return run


def flops(case: Case) -> int:
    """Multiplications and additions in the products of a step."""
    return sum(
        2 * case.batch * one.n * one.m * (3 if one.input_gradient else 2) for one in products(case)
    )
