"""The unit of a model's outputs, and data brought to it.

The likelihood decides the unit: `expect` maps data to it. For grey levels 0..255, a Bernoulli
likelihood gives probabilities 0 to 1 and a Gaussian one grey levels.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from cpvae_jax import likelihoods
from cpvae_jax.config import Config
from cpvae_jax.likelihoods import base
from cpvae_jax.types import Params


def value_range(config: Config, data: np.ndarray) -> tuple[float, float]:
    """What black and white are in the model's outputs.

    Args:
      config: the model.
      data: examples [N, *shape].

    Returns:
      For uint8 data, what 0 and 255 are in the outputs; for floats, the range of the data.
    """
    if data.dtype != np.uint8:
        return float(data.min()), float(data.max())
    ends = jnp.asarray(np.stack([np.full(config.shape, level, np.uint8) for level in (0, 255)]))
    black, white = np.asarray(likelihoods.of(config).expect(config, ends))
    return float(black.min()), float(white.max())


def in_unit(config: Config, data: np.ndarray) -> np.ndarray:
    """Data [N, *shape] in the unit of the model's outputs: uint8 grey levels rescaled, floats as is."""
    if data.dtype != np.uint8:
        return data
    low, high = value_range(config, data)
    return low + data / 255 * (high - low)


def as_grey(config: Config, data: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """A model's outputs as grey values, 0 black and 1 white.

    Args:
      config: the model.
      data: examples that the model was trained on; if they are floats, so are the outputs, in
        the same unit.
      outputs: images [N, *shape] in the model's unit.
    """
    if data.dtype != np.uint8:
        return outputs
    low, high = value_range(config, data)
    return (outputs - low) / (high - low)


def is_standardised(config: Config) -> bool:
    """Whether the networks see the data in another unit than the data's own."""
    likelihood = likelihoods.of(config)
    return likelihood.standardise is not base.as_given or likelihood.restore is not base.same


def inputs(params: Params, x: np.ndarray) -> np.ndarray:
    """Examples [B, *shape] in the user's unit as the encoder sees them, [B, X] in float32.

    Real numbers are standardised, grey levels go from 0 to 1. Where training draws black and white,
    these are the probabilities of white.
    """
    config, own = params.config, params.likelihood
    likelihood = likelihoods.of(config)
    prepared = likelihood.expect(config, jnp.asarray(likelihood.prepare(own, np.asarray(x))))
    return np.asarray(likelihood.standardise(own, prepared), np.float32).reshape(len(x), -1)


def comparable(params: Params, x: np.ndarray) -> np.ndarray:
    """Examples [..., *shape] as [..., X] in units that can share an axis.

    Real numbers are standardised as the networks see them, for the columns of a table have their
    own units. A single number stays as it is.
    """
    config = params.config
    leading = x.shape[: x.ndim - len(config.shape)]
    if config.size == 1:
        return x.reshape(*leading, 1)
    likelihood, own = likelihoods.of(config), params.likelihood
    prepared = jnp.asarray(likelihood.prepare(own, np.asarray(x)))
    return np.asarray(likelihood.standardise(own, prepared)).reshape(*leading, -1)
