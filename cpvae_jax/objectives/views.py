"""Views: altered copies of examples that keep their category, for self-consistency."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from cpvae_jax.errors import UserError

ROTATION = math.radians(15)
SCALE = 0.2
SHEAR = 0.3
SHIFT = 0.11
"""Largest changes of an affine view: radians, and shares of the size of the image."""

GROUPS = 10
"""Random transformations per batch; the images of a group share one, as one matrix product."""


def affine(key: jax.Array, x: jax.Array) -> jax.Array:
    """Images under random affine maps: rotated, scaled, sheared and shifted.

    Every pixel of the view is a bilinear interpolation of the image, whose outside is black. As
    a matrix [H W, H W] for each group of images this is far faster on a CPU than a gather.

    Args:
      key: A random key.
      x: Images [B, H, W] or [B, H, W, C].

    Returns:
      Views of the same shape, within the range of the images and 0.

    Raises:
      UserError: The examples are not images.

    >>> affine(jax.random.key(0), jnp.ones((4, 8, 8))).shape
    (4, 8, 8)
    """
    if x.ndim not in (3, 4):
        raise UserError(
            f"an example has the shape {x.shape[1:]}, but affine views need images [H, W] or "
            "[H, W, C]; leave the regulariser 'consistency' out."
        )
    batch, height, width = x.shape[:3]
    groups = math.gcd(batch, GROUPS)
    pixels = x.reshape(groups, batch // groups, height * width, -1)
    maps = jax.vmap(lambda k: _interpolation(k, height, width))(jax.random.split(key, groups))
    return jnp.einsum("gpq,gbqc->gbpc", maps, pixels).reshape(x.shape)


def _interpolation(key: jax.Array, height: int, width: int) -> jax.Array:
    """The matrix [H W, H W] of a random affine map: row p holds the weights of view pixel p."""
    changes = jax.random.uniform(key, (6,), jnp.float32, minval=-1)
    angle, zoom_y, zoom_x, shear, shift_y, shift_x = changes
    cos, sin = jnp.cos(ROTATION * angle), jnp.sin(ROTATION * angle)
    rotation = jnp.array([[cos, -sin], [sin, cos]])
    shearing = jnp.array([[1.0, SHEAR * shear], [0.0, 1.0]])
    scaling = jnp.diag(1 + SCALE * jnp.array([zoom_y, zoom_x]))
    down, across = (jnp.arange(size, dtype=jnp.float32) for size in (height, width))
    centre = (jnp.array([height, width], jnp.float32) - 1) / 2
    rows, columns = jnp.meshgrid(down, across, indexing="ij")
    grid = jnp.stack([rows.ravel(), columns.ravel()], axis=-1) - centre
    moved = SHIFT * jnp.array([height * shift_y, width * shift_x])
    source = grid @ (rotation @ shearing @ scaling).T + centre + moved
    weights_y = jnp.maximum(0, 1 - jnp.abs(source[:, :1] - down))
    weights_x = jnp.maximum(0, 1 - jnp.abs(source[:, 1:] - across))
    return (weights_y[:, :, None] * weights_x[:, None, :]).reshape(height * width, height * width)
