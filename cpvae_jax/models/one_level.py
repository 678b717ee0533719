"""One level: z and c are decoded straight to x, by the networks of section 5 of the paper."""

from __future__ import annotations

from typing import Any

import jax

from cpvae_jax import nets
from cpvae_jax.config import Config
from cpvae_jax.models.base import Category, Explanation, Levels
from cpvae_jax.types import Params, Tree


def init(key: jax.Array, config: Config, categories: int) -> tuple[Tree, Tree]:
    """The decoder mirrors the encoder; its first layer meets the category."""
    key_trunk, key_output = jax.random.split(key)
    widths = config.hidden
    decoder = {
        "trunk": nets.init_trunk(key_trunk, config.latent, widths[::-1], categories=categories),
        "output": nets.init_linear(key_output, widths[0], config.size),
    }
    return {}, decoder


def features(params: Params, x: jax.Array) -> None:
    """Nothing: there is no code below z."""
    del params, x


def decode(params: Params, z: jax.Array, category: Category) -> jax.Array:
    """The decoder of Eq. (3), p(x) = Σ_c ∫ p(x|z, c) p(z|c) p(c) dz: what p(x|z, c) needs of z, c.

    z [..., D] and a category [...] or [..., K] to the likelihood's output [..., X].
    """
    h = nets.trunk(params.decoder["trunk"], z, category)
    return nets.linear(params.decoder["output"], h)


def explain(
    params: Params, key: jax.Array | None, features: Any, z: jax.Array, category: Category
) -> Explanation:
    """The decoder's output, and no divergence below."""
    del key, features
    return Explanation(decode(params, z, category), 0.0, 0.0)


def generate(params: Params, key: jax.Array | None, z: jax.Array, category: Category) -> jax.Array:
    """The decoder's output."""
    del key
    return decode(params, z, category)


LEVELS = Levels(init, features, explain, generate)
