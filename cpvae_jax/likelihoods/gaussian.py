"""N(x | output, σ² I): real numbers with one shared noise scale, fixed or learned.

The networks see standardised data, so any unit will do. Densities, means, samples and σ are in
the data's own unit.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.distributions import gaussian
from cpvae_jax.likelihoods.base import Likelihood, flat, shaped
from cpvae_jax.types import Own


def init(key: jax.Array, config: Config, data: np.ndarray | None) -> Own:
    """Shift and scale of the data, [*shape] each, and the log-variance.

    Columns of a table have their own units and are scaled one by one. The pixels of an image
    share one unit and one scale. The learned noise starts at the scale of the data.
    """
    del key
    shift, scale = np.zeros(config.size), np.ones(config.size)
    if data is not None:
        numbers = np.asarray(data, np.float64).reshape(len(data), -1)
        axes = 0 if len(config.shape) == 1 else None
        shift, scale = shift + numbers.mean(axis=axes), scale * numbers.std(axis=axes)
        scale = np.where(scale > 0, scale, 1.0)
    stats = {"shift": shift.reshape(config.shape), "scale": scale.reshape(config.shape)}
    weights = {"log_var": jnp.zeros(())}
    return Own(weights, {name: jnp.asarray(a, jnp.float32) for name, a in stats.items()})


def _log_var(config: Config, own: Own) -> jax.Array:
    """log σ² of each number in the data's unit, [X]."""
    scale = own.stats["scale"].reshape(-1)
    if config.scale is not None:
        return jnp.full_like(scale, 2 * np.log(config.scale))
    return gaussian.soft_limit(own.weights["log_var"]) + 2 * jnp.log(scale)


def standardise(own: Own, x: jax.Array) -> jax.Array:
    """(x − shift) / scale."""
    return (x - own.stats["shift"]) / own.stats["scale"]


def mean(config: Config, own: Own, output: jax.Array) -> jax.Array:
    """shift + scale · output."""
    del config
    return own.stats["shift"] + own.stats["scale"] * output[..., 0]


def log_prob(config: Config, own: Own, output: jax.Array, x: jax.Array) -> jax.Array:
    """log N(x | mean, σ² I)."""
    centre = flat(config, mean(config, own, output))
    return gaussian.log_prob(flat(config, x), centre, _log_var(config, own))


def sample(config: Config, own: Own, key: jax.Array, output: jax.Array) -> jax.Array:
    """mean + σ · noise."""
    centre = flat(config, mean(config, own, output))
    log_var = jnp.broadcast_to(_log_var(config, own), centre.shape)
    return shaped(config, gaussian.sample(key, centre, log_var))


LIKELIHOOD = Likelihood(
    init,
    log_prob,
    mean,
    sample,
    standardise=standardise,
    options=("scale",),
    suits="real",
    description="real numbers with one noise scale; for grey levels choose --likelihood bernoulli",
)
