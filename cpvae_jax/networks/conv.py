"""Gated convolutions for images of any size, [H, W] or [H, W, channels].

In the manner of the ConvHVAE of Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018: the
encoder halves the image twice and the decoder doubles a small map twice. Two levels are those of
`networks.lower.compose`, whose joint layers see x through a convolutional encoder of their own.

`config.hidden[-1]` is the number of features h; the other widths of `config.hidden` are not used
with one level. The numbers of channels are constants of this module.
"""

from __future__ import annotations

import math

import jax

from cpvae_jax import values
from cpvae_jax.config import Config
from cpvae_jax.errors import UserError
from cpvae_jax.networks import convolutions, layers
from cpvae_jax.networks.base import Category, Network
from cpvae_jax.types import Tree

FINE, COARSE = 32, 64
"""Channels at half the size of the image, and at a quarter. ConvHVAE has the same numbers."""

FULL = 8
"""Channels at the full size, where a channel takes the most work and memory."""

LAST = 16
"""Channels of the encoder's last convolution; few, so that the linear layer after it is small."""

WIDE, NARROW = 5, 3
"""Pixels along a side of a kernel: the encoder's first, which reads few channels, and all others."""


def check(config: Config) -> None:
    """Raise `UserError` unless examples are images."""
    if not values.of_images(config.shape):
        raise UserError(
            f"shape is {config.shape}, but the network 'conv' takes images, [H, W] or "
            "[H, W, channels]; choose the network 'gated'."
        )


def _sizes(config: Config) -> tuple[tuple[int, int], ...]:
    """Height and width of the image, of its half and of its quarter, rounded up."""
    height, width = config.shape[:2]
    half = -(-height // 2), -(-width // 2)
    return (height, width), half, (-(-half[0] // 2), -(-half[1] // 2))


def _colours(config: Config) -> int:
    """Channels of an example."""
    return math.prod(config.shape[2:])


def init_encoder(key: jax.Array, config: Config) -> Tree:
    """Three gated convolutions, two of them with stride 2, and a gated linear layer."""
    keys = jax.random.split(key, 4)
    small = math.prod(_sizes(config)[-1])
    return {
        "first": convolutions.init_gated(keys[0], WIDE, _colours(config), FINE),
        "second": convolutions.init_gated(keys[1], NARROW, FINE, COARSE),
        "last": convolutions.init_gated(keys[2], NARROW, COARSE, LAST),
        "features": layers.init_gated(keys[3], small * LAST, config.hidden[-1]),
    }


def encode(config: Config, weights: Tree, x: jax.Array) -> jax.Array:
    """x [B, *shape] to h [B, hidden[-1]]."""
    h = x.reshape(len(x), *config.shape[:2], _colours(config))
    h = convolutions.gated(weights["first"], h, stride=2)
    h = convolutions.gated(weights["second"], h, stride=2)
    h = convolutions.gated(weights["last"], h)
    return layers.gated(weights["features"], h.reshape(len(x), -1))


def init_decoder(
    key: jax.Array, config: Config, inputs: int, categories: int, channels: int
) -> Tree:
    """A gated linear layer, which sees c, and two gated convolutions that each double the size."""
    keys = jax.random.split(key, 4)
    small = math.prod(_sizes(config)[-1])
    return {
        "map": layers.init_gated(keys[0], inputs, small * COARSE, categories=categories),
        "half": convolutions.init_gated(keys[1], NARROW, COARSE, 4 * FINE),
        "full": convolutions.init_gated(keys[2], NARROW, FINE, 4 * FULL),
        "output": layers.init_linear(keys[3], FULL, _colours(config) * channels),
    }


def decode(config: Config, weights: Tree, z: jax.Array, category: Category) -> jax.Array:
    """z [..., inputs] and c to the output [..., *shape, channels]."""
    full, half, quarter = _sizes(config)

    def enlarged(h: jax.Array) -> jax.Array:
        h = convolutions.doubled(convolutions.gated(weights["half"], h), *half)
        h = convolutions.doubled(convolutions.gated(weights["full"], h), *full)
        return layers.linear(weights["output"], h)

    first = layers.gated(weights["map"], z, category)
    y = convolutions.in_pieces(enlarged, full, first.reshape(-1, *quarter, COARSE))
    return y.reshape(*first.shape[:-1], *config.shape, -1)


NETWORK = Network(init_encoder, encode, init_decoder, decode, check=check)
