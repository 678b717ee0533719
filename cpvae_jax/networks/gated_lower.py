"""Gated layers of the two-level models.

The architecture of Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018, section 4: a
conditional on two codes takes each through its own gated layer and joins them in a second one.
Where the networks see a category, they see it wherever they see z₂.
"""

from __future__ import annotations

import jax

from cpvae_jax.config import Config
from cpvae_jax.networks import layers
from cpvae_jax.networks.base import Category, Gaussian, Lower, lower_keys
from cpvae_jax.types import Tree


def init(key: jax.Array, config: Config, categories: int, channels: int) -> tuple[Tree, Tree]:
    """Weights for q(z₁|x, z₂, c), and of p(z₁|z₂, c) with p(x|z₁, z₂, c)."""
    D, widths = config.latent, config.hidden
    keys, _ = lower_keys(key)
    below = {
        "x": layers.init_gated(next(keys), config.size, widths[0]),
        "top": layers.init_gated(next(keys), D, widths[0], categories=categories),
        "joint": layers.init_trunk(next(keys), 2 * widths[0], widths[1:] or widths),
    }
    prior = {
        "trunk": layers.init_trunk(next(keys), D, widths, categories=categories),
        **layers.init_gaussian(next(keys), next(keys), widths[-1], D),
    }
    back = widths[::-1]
    key_code, key_top, key_joint, key_output = jax.random.split(next(keys), 4)
    decoder = {
        "prior": prior,
        "code": layers.init_gated(key_code, D, back[0]),
        "top": layers.init_gated(key_top, D, back[0], categories=categories),
        "joint": layers.init_trunk(key_joint, 2 * back[0], back[1:] or back),
        "output": layers.init_linear(key_output, back[-1], config.size * channels),
    }
    return below, decoder


def features(config: Config, below: Tree, x: jax.Array) -> jax.Array:
    """A gated layer on x [B, *shape], to [B, hidden[0]]."""
    return layers.gated(below["x"], x.reshape(len(x), config.size))


def posterior(below: Tree, features: jax.Array, z: jax.Array, category: Category) -> jax.Array:
    """Features of x, z₂ and c for q(z₁|x, z₂, c), [..., hidden[-1]]."""
    top = layers.gated(below["top"], z, category)
    return layers.trunk(below["joint"], layers.join(features, top))


def prior(decoder: Tree, z: jax.Array, category: Category) -> Gaussian:
    """p(z₁|z₂, c)."""
    weights = decoder["prior"]
    return layers.gaussian(weights, layers.trunk(weights["trunk"], z, category))


def decode(
    config: Config, decoder: Tree, z1: jax.Array, z: jax.Array, category: Category
) -> jax.Array:
    """z₁ and z₂ [..., D] to the output [..., *shape, channels]."""
    code = layers.gated(decoder["code"], z1)
    top = layers.gated(decoder["top"], z, category)
    h = layers.trunk(decoder["joint"], layers.join(code, top))
    y = layers.linear(decoder["output"], h)
    return y.reshape(*y.shape[:-1], *config.shape, -1)


LOWER = Lower(init, features, posterior, prior, decode)
