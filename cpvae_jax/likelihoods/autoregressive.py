"""Black and white pixels one after the other: p(x|z, c) = Π_i Bernoulli(x_i | x_<i, output).

Pixels follow each other row by row. The logit of a pixel is that of a plain Bernoulli, the first of
the decoder's features, and a correction by masked convolutions, which see the pixels before it and
the features around it. Source: van den Oord et al., "Conditional Image Generation with PixelCNN
Decoders", NeurIPS 2016.

A pixel depends on the `FIELD` = 4 rows above it, 4 columns to either side, and the 4 pixels to its
left; not on all of these to the right, where stacked masks leave a blind spot. The small field
leaves what is global to z and c: Chen et al., "Variational Lossy Autoencoder", ICLR 2017, and
Gulrajani et al., "PixelVAE", ICLR 2017.

The unit of the data, and how grey levels become black and white, are those of the Bernoulli
likelihood. With `binarise="none"` grey levels are seen in training, but only black and white
pixels while drawing.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.distributions import noise
from cpvae_jax.errors import UserError
from cpvae_jax.likelihoods import bernoulli
from cpvae_jax.likelihoods.base import flat, shaped
from cpvae_jax.networks import convolutions, layers
from cpvae_jax.types import Own, Tree

CHANNELS = 8
"""Features per pixel from the decoder: a logit, and enough to say how neighbours matter here."""

WIDTH = 16
"""Channels of the masked convolutions. Their work is done for every pixel of every draw of z."""

REACH = 2
"""Pixels that the first masked convolution reaches in each direction."""

FURTHER = 2
"""Masked convolutions after the first; each reaches one pixel further."""

FIELD = REACH + FURTHER
"""Pixels that the logit of a pixel depends on, above it and to either side."""

START = 0.1
"""Factor of the last layer's weights at the start: nearly the plain Bernoulli, but every weight has a gradient."""

SHOWN = 0
"""Seed of the draw along which `mean` computes its probabilities."""


def _refuse(config: Config) -> None:
    """Raise `UserError` unless examples are images of one channel."""
    if len(config.shape) != 2 and config.shape[2:] != (1,):
        raise UserError(
            f"shape is {config.shape}, but the likelihood 'autoregressive' takes black and white "
            "images, [H, W] or [H, W, 1]; choose the likelihood 'bernoulli'."
        )


def init(key: jax.Array, config: Config, data: np.ndarray | None) -> Own:
    """Masked convolutions that hardly change the logits, and what a Bernoulli likelihood has."""
    _refuse(config)
    keys = jax.random.split(key, 3 + FURTHER)
    output = layers.init_linear(keys[2], WIDTH, 1)
    weights = {
        "features": layers.init_linear(keys[0], CHANNELS, 2 * WIDTH),
        "first": convolutions.init_causal(keys[1], REACH, 1, WIDTH, itself=False),
        "further": [convolutions.init_causal(k, 1, WIDTH, WIDTH, itself=True) for k in keys[3:]],
        "output": {**output, "kernel": START * output["kernel"]},
    }
    return bernoulli.init(key, config, data)._replace(weights=weights)


def check(config: Config, array: np.ndarray, name: str) -> None:
    """Raise `UserError` unless the data are images of grey levels."""
    _refuse(config)
    bernoulli.check(config, array, name)


def _conditions(weights: Tree, features: jax.Array) -> jax.Array:
    """What the first layer adds for z and c: features [N, H, W, CHANNELS] to [N, …, 2 WIDTH].

    With a border of what the further layers reach: `FURTHER` rows above and columns to either side.
    """
    border = [(0, 0), (FURTHER, 0), (FURTHER, FURTHER), (0, 0)]
    return layers.linear(weights["features"], jnp.pad(features, border))


def _seen(weights: Tree, canvas: jax.Array) -> jax.Array:
    """What the first layer sees of the pixels before each: [N, H + FIELD, W + 2 FIELD] to 2 WIDTH."""
    return convolutions.causal(weights["first"], canvas[..., None], REACH)


def _correction(weights: Tree, first: jax.Array) -> jax.Array:
    """The first layer before its gate, [N, H + FURTHER, W + 2 FURTHER, 2 WIDTH], to [N, H, W]."""
    h = layers.gate(first)
    for layer in weights["further"]:
        h = h[:, 1:, 1:-1] + layers.gate(convolutions.causal(layer, h, 1))
    return layers.linear(weights["output"], h)[..., 0]


def _canvas(pixels: jax.Array) -> jax.Array:
    """Pixels [N, H, W] from 0..1 to −1..1, with a border of 0, which is neither black nor white."""
    return jnp.pad(2 * pixels - 1, [(0, 0), (FIELD, 0), (FIELD, FIELD)])


def logits(config: Config, own: Own, output: jax.Array, x: jax.Array) -> jax.Array:
    """The logit of each pixel given the pixels of x before it.

    Args:
      config: The configuration of the model.
      own: The likelihood's arrays.
      output: [..., *shape, CHANNELS]
      x: [..., *shape]; leading axes that it lacks are broadcast.

    Returns:
      [..., *shape]
    """
    image = config.shape[0], config.shape[1]

    def corrections(features: jax.Array, pixels: jax.Array) -> jax.Array:
        first = _seen(own.weights, _canvas(pixels)) + _conditions(own.weights, features)
        return _correction(own.weights, first)

    features = output.reshape(-1, *image, CHANNELS)
    pixels = jnp.broadcast_to(x, output.shape[:-1]).reshape(-1, *image)
    found = convolutions.in_pieces(corrections, image, features, pixels)
    return output[..., 0] + found.reshape(output.shape[:-1])


def log_prob(config: Config, own: Own, output: jax.Array, x: jax.Array) -> jax.Array:
    """Σ_i log p(x_i | x_<i, output), all pixels at once."""
    return bernoulli.log_prob(config, own, logits(config, own, output, x)[..., None], x)


def _drawn(
    config: Config, own: Own, output: jax.Array, uniform: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Draws pixel after pixel: a pixel is white where its uniform number is below its probability.

    Args:
      config: The configuration of the model.
      own: The likelihood's arrays.
      output: [..., *shape, CHANNELS]
      uniform: Uniform numbers [..., X], or [X] for all examples alike.

    Returns:
      The pixels as floats 0 and 1, and their probabilities given those before, [..., *shape] each.
    """
    weights, height, width = own.weights, config.shape[0], config.shape[1]
    features = output.reshape(-1, height, width, CHANNELS)
    num, plain = len(features), flat(config, output[..., 0])
    conditions = _conditions(weights, features)

    def step(canvas: jax.Array, at: tuple) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        number, logit, below = at
        row, column = number // width, number % width
        patch = jax.lax.dynamic_slice(canvas, (0, row, column), (num, FIELD + 1, 2 * FIELD + 1))
        near = jax.lax.dynamic_slice(
            conditions, (0, row, column, 0), (num, FURTHER + 1, 2 * FURTHER + 1, 2 * WIDTH)
        )
        correction = _correction(weights, _seen(weights, patch) + near)
        prob = jax.nn.sigmoid(logit + correction[:, 0, 0])
        x = (below < prob).astype(output.dtype)
        place = (0, row + FIELD, column + FIELD)
        canvas = jax.lax.dynamic_update_slice(canvas, (2 * x - 1)[:, None, None], place)
        return canvas, (x, prob)

    blank = jnp.zeros((num, height + FIELD, width + 2 * FIELD), output.dtype)
    by_pixel = (
        jnp.arange(config.size, dtype=jnp.int32),
        plain.reshape(num, config.size).T,
        jnp.broadcast_to(uniform, plain.shape).reshape(num, config.size).T,
    )
    _, found = jax.lax.scan(step, blank, by_pixel)
    x, probs = (shaped(config, pixels.T.reshape(plain.shape)) for pixels in found)
    return x, probs


def _fixed(config: Config) -> np.ndarray:
    """The uniform numbers [X] behind the draw of `mean`; constants, which programs can hold."""
    return np.random.default_rng(SHOWN).random(config.size, np.float32)


def mean(config: Config, own: Own, output: jax.Array) -> jax.Array:
    """The probability of white of each pixel given those before it, along one draw of them.

    The mean of x has no closed form: it is the average of this over draws. The uniform numbers
    behind the draw are fixed, and the same for all examples, so that the result is a function of
    the output and looks like an image. Without masked convolutions, all weights 0, it is the mean.
    """
    uniform = jnp.asarray(_fixed(config))
    return _drawn(config, own, output, uniform)[1]


def sample(config: Config, own: Own, key: jax.Array, output: jax.Array) -> jax.Array:
    """Black or white pixels as floats, drawn one after the other."""
    uniform = noise.uniform(key, flat(config, output[..., 0]).shape)
    return _drawn(config, own, output, uniform)[0]


LIKELIHOOD = bernoulli.LIKELIHOOD._replace(
    init=init,
    log_prob=log_prob,
    mean=mean,
    sample=sample,
    channels=CHANNELS,
    check=check,
    suits="",
    description="ink, drawn black or white by its grey levels, each pixel given those before it",
)
