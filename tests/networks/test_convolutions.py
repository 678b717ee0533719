"""Convolutional layers against XLA's own convolution, and masks against derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from cpvae_jax.networks import convolutions

KEY = jax.random.key(0)


def random(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def shaken(layer):
    """The layer with biases that are not 0."""
    return {**layer, "bias": random(layer["bias"].shape, 7)}


def convolved(x, kernel, stride, padding):
    numbers = ("NHWC", "HWIO", "NHWC")
    return np.float64(jax.lax.conv_general_dilated(x, kernel, stride, padding, None, None, numbers))


@pytest.mark.parametrize("size", [(7, 6), (1, 1), (2, 5)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [1, 3, 5])
def test_a_gated_convolution_equals_its_formula(side, stride, size):
    layer = shaken(convolutions.init_gated(KEY, side, 3, 4))
    x = random((2, *size, 3))
    kernel = layer["kernel"].reshape(side, side, 3, 8)
    around = [(side // 2, side // 2)] * 2
    y = convolved(x, kernel, (stride, stride), around) + np.float64(layer["bias"])
    found = convolutions.gated(layer, x, stride=stride)
    assert found.shape == (2, -(-size[0] // stride), -(-size[1] // stride), 4)
    np.testing.assert_allclose(found, y[..., :4] * expit(y[..., 4:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("itself", [False, True])
@pytest.mark.parametrize("reach", [1, 2])
def test_a_masked_convolution_equals_one_with_zeros_in_its_kernel(reach, itself):
    layer = shaken(convolutions.init_causal(KEY, reach, 3, 4, itself=itself))
    side = 2 * reach + 1
    kernel = np.zeros((side, side, 3, 8), np.float32)
    places = [
        (i, j)
        for i in range(side)
        for j in range(side)
        if (i, j) < (reach, reach) or (itself and (i, j) == (reach, reach))
    ]
    assert len(layer["kernel"]) == len(places)
    for place, taps in zip(places, layer["kernel"], strict=True):
        kernel[place] = taps
    x = random((2, 4 + reach, 5 + 2 * reach, 3))
    below = [(0, reach), (0, 0)]  # these rows meet the part of the kernel that is 0
    expected = convolved(x, jnp.asarray(kernel), (1, 1), below) + np.float64(layer["bias"])
    found = convolutions.causal(layer, x, reach)
    assert found.shape == (2, 4, 5, 8)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_each_half_of_a_layer_starts_by_the_rule_of_glorot():
    layer = convolutions.init_gated(KEY, 5, 30, 20)
    limit = (6 / (25 * (30 + 20))) ** 0.5
    for half in (layer["kernel"][..., :20], layer["kernel"][..., 20:]):
        assert np.abs(half).max() == pytest.approx(limit, rel=1e-2)
        assert np.std(half) == pytest.approx(limit / 3**0.5, rel=0.05)
    np.testing.assert_array_equal(layer["bias"], 0)


@pytest.mark.parametrize("size", [(4, 6), (3, 5)])
def test_doubling_puts_four_channels_into_a_square(size):
    x = random((2, 2, 3, 12))
    found = convolutions.doubled(x, *size)
    assert found.shape == (2, *size, 3)
    for i, j in np.ndindex(size):
        which = 3 * (2 * (i % 2) + j % 2)
        np.testing.assert_array_equal(found[:, i, j], x[:, i // 2, j // 2, which : which + 3])


@pytest.mark.parametrize("num", [1, 5, 6, 8])
def test_pieces_give_the_same_values_and_gradients_as_the_whole(num, monkeypatch):
    a, b = random((num, 4, 3)), random((num, 2), 1)

    def function(a, b):
        return jnp.sin(a) * jnp.sum(b, axis=1)[:, None, None]

    def total(a, b):
        return jnp.sum(convolutions.in_pieces(function, (4, 3), a, b) ** 2)

    whole = jax.value_and_grad(total, (0, 1))(a, b)
    monkeypatch.setattr(convolutions, "AT_ONCE", 3 * 4 * 3)
    assert convolutions.in_pieces(function, (4, 3), a, b).shape == (num, 4, 3)
    parts = jax.value_and_grad(total, (0, 1))(a, b)
    for found, expected in zip(jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
