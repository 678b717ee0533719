"""N(x | output, σ² I): real numbers with one noise for all of them, fixed or learned.

The networks see standardised data, so that any unit will do; densities, means, samples and
σ are in the data's own unit.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import gaussian
from cpvae_jax.config import Config
from cpvae_jax.likelihoods.base import Likelihood
from cpvae_jax.types import Tree


def _init(config: Config, data: np.ndarray | jax.Array | None) -> Tree:
    """Shift and scale of the data, [X] each, constant in training, and the log-variance.

    Columns of a table have units of their own and are scaled one by one; the pixels of an
    image share one unit. The learned noise starts at the scale of the data.
    """
    shift, scale = np.zeros(config.size), np.ones(config.size)
    if data is not None:
        flat = np.asarray(data, np.float64).reshape(len(data), -1)
        axes = 0 if len(config.shape) == 1 else None
        shift, scale = shift + flat.mean(axis=axes), scale * flat.std(axis=axes)
        scale = np.where(scale > 0, scale, 1.0)
    return {
        "shift": jnp.asarray(shift, jnp.float32),
        "scale": jnp.asarray(scale, jnp.float32),
        "log_var": jnp.zeros(()),
    }


def _shift_and_scale(like: Tree) -> tuple[jax.Array, jax.Array]:
    """Constants of the data: no gradient moves them."""
    return jax.lax.stop_gradient((like["shift"], like["scale"]))


def _log_var(config: Config, like: Tree) -> jax.Array:
    """log σ² of each number, [X], in the data's unit."""
    _, scale = _shift_and_scale(like)
    if config.scale is not None:
        return jnp.full_like(scale, 2 * np.log(config.scale))
    return gaussian.soft_limit(like["log_var"]) + 2 * jnp.log(scale)


def _observe(config: Config, key: jax.Array, data: jax.Array) -> jax.Array:
    del key
    return _expect(config, data)


def _expect(config: Config, data: jax.Array) -> jax.Array:
    del config
    return data.astype(jnp.float32)


def _standardise(like: Tree, x: jax.Array) -> jax.Array:
    shift, scale = _shift_and_scale(like)
    return (x - shift) / scale


def _identity(x: jax.Array) -> jax.Array:
    """Standardised data have no limits."""
    return x


def _mean(like: Tree, output: jax.Array) -> jax.Array:
    shift, scale = _shift_and_scale(like)
    return shift + scale * output


def _log_prob(config: Config, like: Tree, output: jax.Array, x: jax.Array) -> jax.Array:
    return gaussian.log_prob(x, _mean(like, output), _log_var(config, like))


def _sample(config: Config, like: Tree, key: jax.Array, output: jax.Array) -> jax.Array:
    mean = _mean(like, output)
    return gaussian.sample(key, mean, jnp.broadcast_to(_log_var(config, like), mean.shape))


LIKELIHOOD = Likelihood(
    init=_init,
    observe=_observe,
    expect=_expect,
    standardise=_standardise,
    to_input=_identity,
    from_input=_identity,
    log_prob=_log_prob,
    mean=_mean,
    sample=_sample,
)
