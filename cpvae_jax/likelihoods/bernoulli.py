"""Bernoulli(x | sigmoid(output)): black and white pixels, independent given z and c.

The model's unit is a grey level: integers 0..255, or floats and booleans 0..1.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.data.rows import Rows, blocks_of
from cpvae_jax.distributions import noise
from cpvae_jax.errors import UserError
from cpvae_jax.likelihoods.base import Array, Likelihood, flat, readable, shaped
from cpvae_jax.likelihoods.unit import warn
from cpvae_jax.types import Own, Tree

WHITE = 255
"""White among integers."""

DIM = 0.25
"""Of white: the data's largest grey level is rarely below, unless they have another unit."""


def init(key: jax.Array, config: Config, data: np.ndarray | None) -> Own:
    """What `measure` finds, not known yet."""
    del key, config, data
    return Own({}, {"white": jnp.float32(WHITE), "high": jnp.float32(0)})


def measure(config: Config, data: np.ndarray | Rows) -> Tree:
    """How the training data write white.

    Returns:
      "white", the integer that is white: 1 if the data are the integers 0 and 1, otherwise 255;
      "high", the largest grey level, from 0 to 1.
    """
    del config
    high = max(float(block.max()) for block in blocks_of(data))
    integers = data.dtype.kind in "ui"
    white = 1 if integers and high == 1 else WHITE
    grey = high / white if integers else high
    if 0 < grey < DIM:
        top = WHITE if integers else 1
        warn(
            f"the training data reach {high:g} where white is {top}, so all pixels are dark",
            f"if {high:g} is white, divide them by {high:g}",
        )
    return {"white": jnp.float32(white), "high": jnp.float32(grey)}


def check(config: Config, array: np.ndarray, name: str) -> None:
    """Raise `UserError` unless the numbers are grey levels, integers 0..255 or floats 0..1."""
    del config
    low, high = array.min(), array.max()
    if low < 0 or high > (WHITE if array.dtype.kind in "ui" else 1):
        raise UserError(
            f"{name} ranges from {low:g} to {high:g}, but a Bernoulli likelihood takes grey levels: "
            "integers from 0 to 255 or floats from 0 to 1. Rescale the data or choose the "
            "likelihood 'gaussian'."
        )


def prepare(own: Own, data: Array) -> Array:
    """Integers as uint8 grey levels 0..255, floats as float32."""
    if not jnp.issubdtype(data.dtype, jnp.integer):
        return data if data.dtype == bool else data.astype(jnp.float32, copy=False)
    if isinstance(data, np.ndarray):
        data = data.astype(np.uint8, copy=False)
        if readable(own, data):
            factor = WHITE // int(own.stats["white"])
            return data if factor == 1 else data * np.uint8(factor)
    return jnp.asarray(data) * (WHITE // own.stats["white"]).astype(data.dtype)


def compare(config: Config, own: Own, data: np.ndarray, name: str) -> None:
    """Warn or refuse if data seem to write white otherwise than the training data."""
    del config
    known, white = float(own.stats["high"]), int(own.stats["white"])
    high = float(data.max())
    integers = data.dtype.kind in "ui"
    if integers and high > white:
        raise UserError(
            f"{name} holds integers up to {high:g}, but the model was trained on the integers 0 and "
            "1; give those, or floats from 0 to 1."
        )
    grey = high / white if integers else high
    if len(data) > 1 and known and grey and not DIM <= grey / known <= 1 / DIM:
        warn(
            f"{name} may have another unit than the training data: its largest value is {high:g}, "
            f"{grey:.2g} of white, where theirs is {known:.2g} of white"
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
    description="ink, drawn black or white by its grey levels; for photographs and other real "
    "numbers choose --likelihood gaussian",
    measure=measure,
    prepare=prepare,
    compare=compare,
    limits=(0.0, 1.0),
)
