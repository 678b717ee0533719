"""Two levels for any network: gated layers around its own encoder and decoder.

q(z₁|x, z₂, c) from the network's features of x and a gated layer on (z₂, c)
p(x|z₁, z₂, c) by the network's decoder on a gated layer of each code
"""

from __future__ import annotations

import jax

from cpvae_jax.config import Config
from cpvae_jax.networks import gated_lower, layers
from cpvae_jax.networks.base import Category, Lower, Network, lower_keys, num_features
from cpvae_jax.types import Tree


def of(network: Network) -> Lower:
    """The two-level layers of a network: its own, or gated ones around it."""
    return compose(network) if network.lower is None else network.lower


def compose(network: Network) -> Lower:
    """Layers of width `config.hidden[-1]` around the network's encoder and decoder."""

    def init(key: jax.Array, config: Config, categories: int, channels: int) -> tuple[Tree, Tree]:
        D, H, F = config.latent, config.hidden[-1], num_features(network, config)
        keys, _ = lower_keys(key)
        below = {
            "x": network.init_encoder(next(keys), config),
            "top": layers.init_gated(next(keys), D, H, categories=categories),
            "joint": layers.init_trunk(next(keys), F + H, (H,)),
        }
        prior = {
            "trunk": layers.init_trunk(next(keys), D, config.hidden, categories=categories),
            **layers.init_gaussian(next(keys), next(keys), H, D),
        }
        decoder = {
            "prior": prior,
            "code": layers.init_gated(next(keys), D, H),
            "top": layers.init_gated(next(keys), D, H, categories=categories),
            "network": network.init_decoder(next(keys), config, 2 * H, 0, channels),
        }
        return below, decoder

    def features(config: Config, below: Tree, x: jax.Array) -> jax.Array:
        return network.encode(config, below["x"], x)

    def decode(
        config: Config, decoder: Tree, z1: jax.Array, z: jax.Array, category: Category
    ) -> jax.Array:
        code = layers.gated(decoder["code"], z1)
        top = layers.gated(decoder["top"], z, category)
        return network.decode(config, decoder["network"], layers.join(code, top), None)

    return Lower(init, features, gated_lower.posterior, gated_lower.prior, decode)
