"""One level: the network's decoder takes z and c straight to x."""

from __future__ import annotations

import jax

from cpvae_jax import networks
from cpvae_jax.config import Config
from cpvae_jax.models.base import Category, Explanation, Levels
from cpvae_jax.types import Params, Tree


def init(key: jax.Array, config: Config, categories: int, channels: int) -> tuple[Tree, Tree]:
    """The network's decoder, and nothing below."""
    network = networks.of(config)
    return {}, network.init_decoder(key, config, config.latent, categories, channels)


def features(params: Params, x: jax.Array) -> None:
    """Nothing: there is no code below z."""
    del params, x


def generate(
    params: Params,
    key: jax.Array | None,
    z: jax.Array,
    category: Category,
    white: jax.Array | None = None,
) -> jax.Array:
    """The decoder's output for z [..., D], [..., *shape, channels]."""
    del key, white
    config = params.config
    return networks.of(config).decode(config, params.weights["decoder"], z, category)


def explain(
    params: Params,
    key: jax.Array | None,
    below: jax.Array | None,
    z: jax.Array,
    category: Category,
) -> Explanation:
    """The decoder's output, without any divergence below."""
    del below
    return Explanation(generate(params, key, z, category), 0.0, 0.0)


LEVELS = Levels(init, features, explain, generate)
