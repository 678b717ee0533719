"""Bernoulli(x | sigmoid(output)): black and white pixels, each given the code on its own."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import noise
from cpvae_jax.config import Config
from cpvae_jax.likelihoods.base import Likelihood
from cpvae_jax.types import Tree


def _init(config: Config, data: np.ndarray | jax.Array | None) -> Tree:
    del config, data
    return {}


def _observe(config: Config, key: jax.Array, data: jax.Array) -> jax.Array:
    """Black and white pixels of grey ones, [B, X]; white with the probability of the grey level.

    Grey levels 0..255 are compared with 16 random bits, half the work of a float's 32; 257
    takes 255 to 65535, so that the probability is right to 2e-5, and 0 and 255 are certain.
    """
    if config.binarise != "dynamic":
        return _expect(config, data)
    if jnp.issubdtype(data.dtype, jnp.integer):
        bits = noise.bits16(key, data.shape)
        white = (bits < data.astype(jnp.uint16) * 257) | (data == 255)
    else:
        white = noise.uniform(key, data.shape) < data
    return white.astype(jnp.float32)


def _expect(config: Config, data: jax.Array) -> jax.Array:
    integer = jnp.issubdtype(data.dtype, jnp.integer)
    grey = data.astype(jnp.float32) / 255 if integer else data.astype(jnp.float32)
    return (grey >= 0.5).astype(jnp.float32) if config.binarise == "threshold" else grey


def _standardise(like: Tree, x: jax.Array) -> jax.Array:
    del like
    return x


def _from_input(x: jax.Array) -> jax.Array:
    return jax.scipy.special.logit(jnp.clip(x, 0.01, 0.99))


def _log_prob(config: Config, like: Tree, output: jax.Array, x: jax.Array) -> jax.Array:
    """Σ x · output − softplus(output): exact for any output, never log of a rounded probability."""
    del config, like
    return jnp.sum(x * output - _softplus(output), axis=-1)


@jax.custom_jvp
def _softplus(x: jax.Array) -> jax.Array:
    return jax.nn.softplus(x)


# JAX's own derivative takes two exponentials: 3% of a training step on a processor.
_softplus.defjvps(lambda tangent, value, x: tangent * jax.nn.sigmoid(x))


def _mean(like: Tree, output: jax.Array) -> jax.Array:
    del like
    return jax.nn.sigmoid(output)


def _sample(config: Config, like: Tree, key: jax.Array, output: jax.Array) -> jax.Array:
    del config, like
    return (noise.uniform(key, output.shape) < jax.nn.sigmoid(output)).astype(output.dtype)


LIKELIHOOD = Likelihood(
    init=_init,
    observe=_observe,
    expect=_expect,
    standardise=_standardise,
    to_input=jax.nn.sigmoid,
    from_input=_from_input,
    log_prob=_log_prob,
    mean=_mean,
    sample=_sample,
)
