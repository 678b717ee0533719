"""The view "mirror": half of the images are mirrored, left to right."""

import jax
import jax.numpy as jnp

from cpvae_jax.objectives import views


def mirror(key, x):  # x has the shape [B, H, W] or [B, H, W, C]
    chosen = jax.random.bernoulli(key, 0.5, (len(x), *[1] * (x.ndim - 1)))
    return jnp.where(chosen, x[:, :, ::-1], x)


views.register("mirror", mirror)
