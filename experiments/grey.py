"""Grey levels 0..255 in the unit of what a model gives.

A Bernoulli likelihood gives probabilities, 0 to 1; to a Gaussian one grey levels are real numbers.
"""

from __future__ import annotations

import numpy as np

from cpvae_jax import Config


def white(config: Config, data: np.ndarray) -> float:
    """White in what a model gives: 255 where grey levels of data are its real numbers, else 1."""
    return 255.0 if data.dtype == np.uint8 and config.likelihood == "gaussian" else 1.0


def as_given(config: Config, data: np.ndarray) -> np.ndarray:
    """Data in the unit of what a model gives."""
    return data / 255 * white(config, data) if data.dtype == np.uint8 else data


def value_range(config: Config, data: np.ndarray) -> tuple[float, float]:
    """What black and white stand for in what a model gives: the data's range, of grey levels all."""
    if data.dtype == np.uint8:
        return 0.0, white(config, data)
    return float(data.min()), float(data.max())
