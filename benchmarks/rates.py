"""What the machine can do, measured by the compiler that our own program uses.

Not yet run on a GPU.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import ours
from benchmarks.floor import FLOAT, Floor, Rates, Work
from benchmarks.problem import Case
from benchmarks.products import Product, flops, products

TRIES = 5
SIDE = {"cpu": 2048, "cuda": 8192}
"""Of the large square product."""
NUMBERS = 2**25
"""In each array of the memory's measurement: 128 MiB, beyond any cache."""
STEPS = 10
"""Steps whose own products are timed together, so that the start of a program weighs nothing."""


def floor(case: Case, device: str) -> Callable[[], Floor]:
    """Measures all rates of a case anew at each call."""
    ours.require_device()
    found = products(ours.gradient(case))
    work = Work(flops(found), ours.parameters(case))
    side = SIDE[device]
    square = _numbers((side, side), 0)
    multiply = jax.jit(jnp.matmul)
    one_after_another = own_products(found)
    move, target, source = _move(), jnp.zeros(NUMBERS), jnp.ones(NUMBERS)

    def large() -> None:
        multiply(square, square).block_until_ready()

    def memory() -> None:
        nonlocal target
        target = jax.block_until_ready(move(target, source))

    def measure() -> Floor:
        seconds = [sorted(_times(task)) for task in (large, one_after_another, memory)]
        amounts = (2 * side**3, STEPS * work.flops, 3 * FLOAT * NUMBERS)  # of memory: a + b to a
        rates = [
            amount / at
            for amount, times in zip(amounts, seconds, strict=True)
            for at in (median(times), times[0])
        ]
        return Floor(work, Rates(*rates))

    return measure


def own_products(found: Counter[Product]) -> Callable[[], None]:
    """Runs all products `STEPS` times, as one program.

    Each has factors of its own, so that none is computed once for two. In every turn one number
    of its left factor is another, so that the compiler does not take the product out of the loop.
    """
    each = list(found.elements())
    lefts = [_numbers(product.left, seed) for seed, product in enumerate(each)]
    rights = [_numbers(product.right, seed) for seed, product in enumerate(each)]

    @jax.jit
    def run(lefts: list[jax.Array], rights: list[jax.Array]) -> list[jax.Array]:
        def turn(_: int, carry: tuple[list[jax.Array], Any]) -> tuple[list[jax.Array], Any]:
            lefts, _ = carry
            made = [
                jax.lax.dot_general(left, right, product.axes)
                for left, right, product in zip(lefts, rights, each, strict=True)
            ]
            changed = [
                left.at[(0,) * left.ndim].set(jnp.tanh(one.ravel()[0]))
                for left, one in zip(lefts, made, strict=True)
            ]
            return changed, made

        shapes = jax.eval_shape(turn, 0, (lefts, None))[1]
        start = [jnp.zeros(shape.shape) for shape in shapes]
        return jax.lax.fori_loop(0, STEPS, turn, (lefts, start))[1]

    return lambda: jax.block_until_ready(run(lefts, rights)) and None


def _move() -> Callable[[jax.Array, jax.Array], jax.Array]:
    return jax.jit(lambda target, source: 0.5 * target + source, donate_argnums=0)


def _numbers(shape: tuple[int, ...], seed: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).random(shape, np.float32))


def _times(task: Callable[[], None]) -> Iterator[float]:
    """Seconds of each try, after one that compiles."""
    task()
    for _ in range(TRIES):
        start = perf_counter()
        task()
        yield perf_counter() - start
