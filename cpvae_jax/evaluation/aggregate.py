"""q(c|x) over a data set, and its mean q(c).

Where c is summed out (`mg`, `vp`), q(c|x) = E_q(z|x) p(c|z) is an average over draws of z.
"""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
from jax.sharding import Mesh

from cpvae_jax import checks, devices, models
from cpvae_jax.data.rows import Rows
from cpvae_jax.distributions.precision import exact
from cpvae_jax.evaluation.estimates import BATCH, encoding_of_draw, in_batches
from cpvae_jax.keys import purpose
from cpvae_jax.types import Params

LEAST_DRAWS = 100_000
"""Draws of z for q(c) over a data set where c is summed out. The standard error of a weight is at
most 0.0016, half of 1 / √100,000, and far less where most q(z|x) lie within one component."""


def aggregated_posterior(
    params: Params,
    key: jax.Array,
    data: jax.typing.ArrayLike | Rows,
    *,
    mesh: Mesh | None = None,
) -> np.ndarray:
    """Eq. (14): q(c) = (1/n) Σ_i q(c|x_i) over a data set.

    Where c is summed out, z is drawn once per example, and more often for fewer than 100,000
    examples, so that there are at least 100,000 draws.

    Args:
      params: The model.
      key: A random key, for the binarisation and the draws of z.
      data: Examples [N, *shape], or `Rows`.
      mesh: Devices to spread the examples over.

    Returns:
      [K]

    Raises:
      UserError: The data do not suit the model.
    """
    devices.check(mesh)
    readable = checks.readable(params, data, "data")
    return mean_probs(params, checks.key(key), readable, mesh)


def mean_probs(
    params: Params, key: jax.Array, data: jax.Array | Rows, mesh: Mesh | None
) -> np.ndarray:
    """`aggregated_posterior` of data that are checked already, which takes long for `Rows`."""
    draws = -(-LEAST_DRAWS // len(data))
    found = np.mean(probs(params, key, data, draws=draws, mesh=mesh), axis=0, dtype=np.float64)
    return np.asarray(found, np.float32)


def probs(
    params: Params,
    key: jax.Array,
    data: jax.Array | Rows,
    *,
    draws: int,
    mesh: Mesh | None = None,
) -> np.ndarray:
    """q(c|x) of each example of checked data.

    Args:
      params: The model.
      key: A random key.
      data: Examples [N, *shape], or `Rows`.
      draws: Draws of z per example where c is summed out. The mean over examples has no bias for
        any number of draws; a concave function of q(c|x), such as its entropy, does.
      mesh: Devices to spread the examples over.

    Returns:
      [N, K]
    """
    one_batch = partial(_probs, devices.everywhere(params, mesh), draws=draws, mesh=mesh)
    return in_batches(one_batch, key, data, BATCH, mesh)


@partial(jax.jit, static_argnames=("draws", "mesh"))
@exact
def _probs(
    params: Params, key: jax.Array, data: jax.Array, *, draws: int, mesh: Mesh | None
) -> jax.Array:
    encoding = encoding_of_draw(params, key, devices.rows(data, mesh))
    key_z = purpose(key, "categories")
    return devices.cut(models.of(params.config).probs(params, key_z, encoding, draws), mesh)
