"""The paper's networks: gated layers (Dauphin et al., 2017), 2 x 300 units by default, on flat x."""

from __future__ import annotations

import jax

from cpvae_jax.config import Config
from cpvae_jax.networks import gated_lower, layers
from cpvae_jax.networks.base import Category, Network
from cpvae_jax.types import Tree


def init_encoder(key: jax.Array, config: Config) -> Tree:
    """A stack of gated layers of the widths `config.hidden`."""
    return layers.init_trunk(key, config.size, config.hidden)


def encode(config: Config, weights: Tree, x: jax.Array) -> jax.Array:
    """x [B, *shape] to h [B, hidden[-1]]."""
    return layers.trunk(weights, x.reshape(len(x), config.size))


def init_decoder(
    key: jax.Array, config: Config, inputs: int, categories: int, channels: int
) -> Tree:
    """The encoder mirrored, and a linear layer to the output. The first layer sees c."""
    key_trunk, key_output = jax.random.split(key)
    widths = config.hidden[::-1]
    return {
        "trunk": layers.init_trunk(key_trunk, inputs, widths, categories=categories),
        "output": layers.init_linear(key_output, widths[-1], config.size * channels),
    }


def decode(config: Config, weights: Tree, z: jax.Array, category: Category) -> jax.Array:
    """z [..., inputs] and c to the output [..., *shape, channels]."""
    y = layers.linear(weights["output"], layers.trunk(weights["trunk"], z, category))
    return y.reshape(*y.shape[:-1], *config.shape, -1)


NETWORK = Network(init_encoder, encode, init_decoder, decode, lower=gated_lower.LOWER)
