"""Bernoulli(x | sigmoid(output)): black and white pixels, independent given z and c."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.distributions import noise
from cpvae_jax.errors import UserError
from cpvae_jax.likelihoods.base import Likelihood, flat, shaped
from cpvae_jax.types import Own


def init(key: jax.Array, config: Config, data: np.ndarray | None) -> Own:
    """No arrays."""
    del key, config, data
    return Own({}, {})


def check(config: Config, array: np.ndarray, name: str) -> None:
    """Raise `UserError` unless the numbers are grey levels, integers 0..255 or floats 0..1."""
    del config
    low, high = array.min(), array.max()
    integers = array.dtype.kind in "ui"
    if low < 0 or high > (255 if integers else 1):
        raise UserError(
            f"{name} ranges from {low:g} to {high:g}, but a Bernoulli likelihood takes grey levels: "
            "integers from 0 to 255 or floats from 0 to 1. Rescale the data or choose the "
            "likelihood 'gaussian'."
        )
    if integers and high == 1:
        raise UserError(
            f"{name} holds the integers 0 and 1, but integers are read as grey levels from 0 to "
            "255; convert black and white to floats or booleans."
        )


def observe(config: Config, key: jax.Array, data: jax.Array) -> jax.Array:
    """Black and white pixels drawn from grey ones; white with the probability of the grey level.

    Integers are compared with 16 random bits, half the work of a float's 32. The factor 257 maps
    255 to 65535, so probabilities are right to 2e-5, and 0 and 255 are certain.
    """
    if config.binarise != "dynamic":
        return expect(config, data)
    grey = flat(config, data)
    if jnp.issubdtype(grey.dtype, jnp.integer):
        bits = noise.bits16(key, grey.shape)
        white = (bits < grey.astype(jnp.uint16) * 257) | (grey == 255)
    else:
        white = noise.uniform(key, grey.shape) < grey
    return shaped(config, white.astype(jnp.float32))


def expect(config: Config, data: jax.Array) -> jax.Array:
    """Grey levels in 0..1, or cut at one half."""
    integer = jnp.issubdtype(data.dtype, jnp.integer)
    grey = data.astype(jnp.float32) / 255 if integer else data.astype(jnp.float32)
    return (grey >= 0.5).astype(jnp.float32) if config.binarise == "threshold" else grey


def from_input(x: jax.Array) -> jax.Array:
    """Logits, of grey levels held within 0.01..0.99."""
    return jax.scipy.special.logit(jnp.clip(x, 0.01, 0.99))


def log_prob(config: Config, own: Own, output: jax.Array, x: jax.Array) -> jax.Array:
    """Σ x · output − softplus(output), exact for any output: no log of a rounded probability."""
    del own
    logits = flat(config, output[..., 0])
    return jnp.sum(flat(config, x) * logits - _softplus(logits), axis=-1)


@jax.custom_jvp
def _softplus(x: jax.Array) -> jax.Array:
    return jax.nn.softplus(x)


# JAX's own derivative takes two exponentials, which is 3% of a training step on a CPU.
_softplus.defjvps(lambda tangent, value, x: tangent * jax.nn.sigmoid(x))


def mean(config: Config, own: Own, output: jax.Array) -> jax.Array:
    """The probability of white."""
    del config, own
    return jax.nn.sigmoid(output[..., 0])


def sample(config: Config, own: Own, key: jax.Array, output: jax.Array) -> jax.Array:
    """Black or white pixels as floats."""
    white = flat(config, mean(config, own, output))
    return shaped(config, (noise.uniform(key, white.shape) < white).astype(output.dtype))


LIKELIHOOD = Likelihood(
    init,
    log_prob,
    mean,
    sample,
    check=check,
    observe=observe,
    expect=expect,
    to_input=jax.nn.sigmoid,
    from_input=from_input,
    options=("binarise",),
    suits="grey",
    description="grey levels, black and white; for real numbers choose --likelihood gaussian",
)
