"""Convolutional layers as pairs of functions: `init_…` makes the arrays, the other one applies them.

Images are [N, height, width, channels]. Weights start by Glorot's rule and biases at 0. A layer
holds value and gate side by side, so one product serves both.

A convolution is computed as one matrix product, of the pixels that each pixel sees side by side.
XLA's own convolution is as fast on a CPU, but not inside a loop: there a gradient step of one layer
took 25 times as long, and training is a loop over steps.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from cpvae_jax.networks.layers import gate
from cpvae_jax.types import Tree

AT_ONCE = 2**17
"""Pixels of the full size that `in_pieces` works on at once: 167 images of 28 x 28, so that a batch of
100 is one piece."""

_glorot = jax.nn.initializers.glorot_uniform()


def _init(key: jax.Array, places: int, n_in: int, n_out: int) -> Tree:
    """Kernel [places, n_in, 2 n_out] and bias [2 n_out]."""
    pair = [_glorot(k, (places, n_in, n_out), jnp.float32) for k in jax.random.split(key)]
    return {"kernel": jnp.concatenate(pair, axis=-1), "bias": jnp.zeros(2 * n_out, jnp.float32)}


def _product(layer: Tree, parts: list[jax.Array]) -> jax.Array:
    """Σ_i part_i W_i + b, where part_i is the image as place i of the kernel sees it."""
    kernel = layer["kernel"]
    return jnp.concatenate(parts, axis=-1) @ kernel.reshape(-1, kernel.shape[-1]) + layer["bias"]


def init_gated(key: jax.Array, side: int, n_in: int, n_out: int) -> Tree:
    """Arrays of a gated convolution with a kernel of `side` x `side` pixels."""
    return _init(key, side * side, n_in, n_out)


def gated(layer: Tree, x: jax.Array, *, stride: int = 1) -> jax.Array:
    """(x ∗ W + b) · sigmoid(x ∗ V + a), [N, H, W, n_in] to [N, ⌈H / stride⌉, ⌈W / stride⌉, n_out].

    There are zeros around the image, and an odd kernel lies with its centre on pixels 0, stride,
    2 stride, … Source: Dauphin et al., "Language Modeling with Gated Convolutional Networks", ICML 2017.
    """
    side = round(len(layer["kernel"]) ** 0.5)
    height, width = x.shape[1:3]
    around = (side // 2, (side - 1) // 2)
    x = jnp.pad(x, [(0, 0), around, around, (0, 0)])
    parts = [
        x[:, row : row + height : stride, column : column + width : stride]
        for row in range(side)
        for column in range(side)
    ]
    return gate(_product(layer, parts))


def doubled(x: jax.Array, height: int, width: int) -> jax.Array:
    """Four channels as a square of 2 x 2 pixels: [N, h, w, 4 n] to [N, height, width, n].

    Height and width are at most 2 h and 2 w. After a convolution this is a transposed one with
    stride 2. Source: Shi et al., "Real-Time Single Image and Video Super-Resolution Using an
    Efficient Sub-Pixel Convolutional Neural Network", CVPR 2016.
    """
    h, w = x.shape[1:3]
    squares = x.reshape(-1, h, w, 2, 2, x.shape[-1] // 4).swapaxes(2, 3)
    return squares.reshape(-1, 2 * h, 2 * w, x.shape[-1] // 4)[:, :height, :width]


def init_causal(key: jax.Array, reach: int, n_in: int, n_out: int, *, itself: bool) -> Tree:
    """Arrays of a masked convolution.

    Its kernel covers `reach` rows above a pixel, `reach` columns to either side, and in the pixel's
    own row those to the left. With `itself` it also covers the pixel (mask B), otherwise it does
    not (mask A). Only the places that the mask leaves are stored. Source: van den Oord, Kalchbrenner
    and Kavukcuoglu, "Pixel Recurrent Neural Networks", ICML 2016.
    """
    return _init(key, reach * (2 * reach + 1) + reach + itself, n_in, n_out)


def causal(layer: Tree, x: jax.Array, reach: int) -> jax.Array:
    """The masked convolution before its gate: [N, H + reach, W + 2 reach, n_in] to [N, H, W, 2 n_out].

    The caller gives the pixels around the image, `reach` rows above and columns to either side.
    """
    height, width = x.shape[1] - reach, x.shape[2] - 2 * reach
    places = (divmod(place, 2 * reach + 1) for place in range(len(layer["kernel"])))
    return _product(layer, [x[:, i : i + height, j : j + width] for i, j in places])


def in_pieces(
    function: Callable[..., jax.Array], image: tuple[int, int], *arrays: jax.Array
) -> jax.Array:
    """A function of arrays [N, ...] to [N, ...], computed for a bounded number of examples at once.

    The channels of a convolution take many times the memory of the image, and exact expectations
    decode thousands of images side by side. `image` is height and width.
    """
    size = max(1, AT_ONCE // (image[0] * image[1]))
    if len(arrays[0]) <= size:
        return function(*arrays)

    def of_one(own: tuple[jax.Array, ...]) -> jax.Array:
        return function(*(array[None] for array in own))[0]

    return jax.lax.map(of_one, arrays, batch_size=size)
