"""Two levels, HVAE: the top code (z₂, c), a code z₁ below it, and x from both.

    p(x, z₁, z₂, c) = p(x|z₁, z₂, c) p(z₁|z₂, c) p(z₂, c)
    q(z₁, z₂, c|x) = q(z₁|x, z₂, c) q(z₂, c|x)

The architecture of Tomczak and Welling, "VAE with a VampPrior", AISTATS 2018, section 4:
each conditional on two codes takes them through a gated layer each and joins them in a
second one. The top is any prior of one level; where it has a category that the networks see,
they see it wherever they see z₂. The bound's divergence of the lower level,
KL(q(z₁|x, z₂, c) || p(z₁|z₂, c)), is exact given the draw of z₂.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax import gaussian, nets
from cpvae_jax.config import Config
from cpvae_jax.models.base import Category, Explanation, Levels
from cpvae_jax.types import Params, Tree


def init(key: jax.Array, config: Config, categories: int) -> tuple[Tree, Tree]:
    """Arrays of q(z₁|x, z₂, c), and of p(z₁|z₂, c) and p(x|z₁, z₂, c)."""
    D, widths = config.latent, config.hidden
    keys = iter(jax.random.split(key, 11))
    encoder = {
        "x": nets.init_gated(next(keys), config.size, widths[0]),
        "top": nets.init_gated(next(keys), D, widths[0], categories=categories),
        "joint": nets.init_trunk(next(keys), 2 * widths[0], widths[1:] or widths),
        "mean": nets.init_linear(next(keys), widths[-1], D),
        "log_var": nets.init_linear(next(keys), widths[-1], D),
    }
    prior = {
        "trunk": nets.init_trunk(next(keys), D, widths, categories=categories),
        "mean": nets.init_linear(next(keys), widths[-1], D),
        "log_var": nets.init_linear(next(keys), widths[-1], D),
    }
    back = widths[::-1]
    key_code, key_top, key_joint, key_output = jax.random.split(next(keys), 4)
    decoder = {
        "prior": prior,
        "code": nets.init_gated(key_code, D, back[0]),
        "top": nets.init_gated(key_top, D, back[0], categories=categories),
        "joint": nets.init_trunk(key_joint, 2 * back[0], back[1:] or back),
        "output": nets.init_linear(key_output, back[-1], config.size),
    }
    return {"below": encoder}, decoder


def features(params: Params, x: jax.Array) -> jax.Array:
    """What q(z₁|x, z₂, c) needs of x, once for all draws of z₂: [B, H]."""
    return nets.gated(params.encoder["below"]["x"], x)


def posterior(
    params: Params, features: jax.Array, z: jax.Array, category: Category
) -> tuple[jax.Array, jax.Array]:
    """Mean and log-variance of q(z₁|x, z₂, c), [..., D] each."""
    layers = params.encoder["below"]
    top = nets.gated(layers["top"], z, category)
    h = nets.trunk(layers["joint"], _join(features, top))
    return _gaussian(layers, h)


def prior(params: Params, z: jax.Array, category: Category) -> tuple[jax.Array, jax.Array]:
    """Mean and log-variance of p(z₁|z₂, c), [..., D] each."""
    layers = params.decoder["prior"]
    return _gaussian(layers, nets.trunk(layers["trunk"], z, category))


def decode(params: Params, below: jax.Array, z: jax.Array, category: Category) -> jax.Array:
    """What p(x|z₁, z₂, c) needs: z₁ and z₂ [..., D] to the likelihood's output [..., X]."""
    layers = params.decoder
    code = nets.gated(layers["code"], below)
    top = nets.gated(layers["top"], z, category)
    return nets.linear(layers["output"], nets.trunk(layers["joint"], _join(code, top)))


def explain(
    params: Params, key: jax.Array | None, features: jax.Array, z: jax.Array, category: Category
) -> Explanation:
    """z₁ from its posterior, its divergence from its prior, and the decoder's output."""
    posterior_of_z1 = posterior(params, features, z, category)
    prior_of_z1 = prior(params, z, category)
    z1 = posterior_of_z1[0] if key is None else gaussian.sample(key, *posterior_of_z1)
    return Explanation(
        output=decode(params, z1, z, category),
        kl=gaussian.kl(*posterior_of_z1, *prior_of_z1),
        log_ratio=gaussian.log_prob(z1, *prior_of_z1) - gaussian.log_prob(z1, *posterior_of_z1),
    )


def generate(params: Params, key: jax.Array | None, z: jax.Array, category: Category) -> jax.Array:
    """z₁ from its prior given the top, and the decoder's output."""
    mean, log_var = prior(params, z, category)
    z1 = mean if key is None else gaussian.sample(key, mean, log_var)
    return decode(params, z1, z, category)


def _join(a: jax.Array, b: jax.Array) -> jax.Array:
    """Side by side; leading axes, those of draws, are spread over the one that lacks them."""
    shape = jnp.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    parts = (jnp.broadcast_to(part, (*shape, part.shape[-1])) for part in (a, b))
    return jnp.concatenate(list(parts), axis=-1)


def _gaussian(layers: Tree, h: jax.Array) -> tuple[jax.Array, jax.Array]:
    mean = nets.linear(layers["mean"], h)
    return mean, gaussian.soft_limit(nets.linear(layers["log_var"], h))


LEVELS = Levels(init, features, explain, generate)
