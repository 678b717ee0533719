"""The floor: products are counted as by hand, and seconds follow from counts and rates."""

from collections import Counter

import jax
import jax.numpy as jnp
import pytest

from benchmarks import ours, rates
from benchmarks.floor import Floor, Rates, Work
from benchmarks.problem import Case, X
from benchmarks.products import Product, flops, products


def count(function, *shapes):
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return flops(products(jax.make_jaxpr(function)(*arrays)))


def test_a_product_of_matrices():
    assert count(jnp.matmul, (3, 5), (5, 7)) == 2 * 3 * 5 * 7


def test_matrices_side_by_side():
    assert count(jnp.matmul, (4, 3, 5), (4, 5, 7)) == 4 * 2 * 3 * 5 * 7


def test_products_within_calls_and_turns_of_a_scan():
    def function(a, b):
        turn = jax.jit(lambda carry, _: (carry @ b, None))
        return jax.lax.scan(turn, a, None, length=6)[0]

    assert count(function, (3, 5), (5, 5)) == 6 * 2 * 3 * 5 * 5


@pytest.mark.parametrize("K", [10, 500])
def test_step_of_cp_by_hand(K):
    """Each product of the forward pass has two in the backward pass, but the first layer's one:
    images need no gradient."""
    B, D, H = 100, 40, 300
    encoder = X * 2 * H + H * 2 * H
    heads = H * K + 2 * H * D
    category = 2 * K * D + K * 2 * H  # rows of the heads of z, and of the decoder
    decoder = D * 2 * H + H * 2 * H + H * X
    divergence = 3 * D * K
    forward = encoder + heads + category + decoder + divergence
    by_hand = 2 * B * (3 * forward - X * 2 * H)
    assert flops(products(ours.gradient(Case("cp", K, B)))) == by_hand


def test_parameters_of_vae_by_hand():
    D, H = 40, 300
    gated = sum(n * 2 * H + 2 * H for n in (X, H, D, H))
    heads = 2 * (H * D + D)
    prior = D  # zeros that keep its shape
    assert ours.parameters(Case("vae", 1, 100)) == gated + heads + H * X + X + prior


def test_two_levels_and_pseudo_inputs_cost_more():
    one, vamp, two = (
        flops(products(ours.gradient(Case(model, 10, 100)))) for model in ("mg", "vp", "hvp")
    )
    assert one < vamp < two


def test_own_products_run():
    matrices = Product((2, 3), (3, 4), (((1,), (0,)), ((), ())))
    beside = Product((5, 2, 3), (5, 4, 3), (((2,), (2,)), ((0,), (0,))))
    rates.own_products(Counter({matrices: 2, beside: 1}))()


def test_seconds_of_a_step():
    work = Work(flops=600, parameters=10)
    assert work.bytes == 280
    found = Floor(
        work, Rates(large=300, large_best=1, own=200, own_best=1, memory=140, memory_best=1)
    )
    assert found.seconds(own=False) == 2 + 2
    assert found.seconds(own=True) == 3 + 2
