"""Missing values of a table, filled with what the model expects given the values that are there."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import checks, likelihoods, models, priors
from cpvae_jax import columns as kinds
from cpvae_jax.distributions import categorical
from cpvae_jax.distributions.precision import exact
from cpvae_jax.errors import UserError
from cpvae_jax.evaluation.estimates import in_batches
from cpvae_jax.models import parts
from cpvae_jax.types import Params

SAMPLES = 200
"""Draws of c and z per row."""

MEMORY = 64 * 2**20
"""Bytes for the decoder's outputs of all draws of a batch."""


def impute(
    params: Params, key: jax.Array, x: jax.typing.ArrayLike, *, samples: int = SAMPLES
) -> np.ndarray:
    """Rows whose missing values are filled: E[x_missing | x_observed] by importance sampling.

    Σ_s w_s E[x | z_s, c_s] with draws from q(z, c|x_observed) and weights in proportion to
    p(x_observed, z_s, c_s) / q(z_s, c_s|x_observed). Numbers get their conditional mean, levels their
    conditional probabilities. Source: Mattei and Frellsen, "MIWAE", ICML 2019.

    Args:
      params: A model of a table with the likelihood "mixed".
      key: A random key. All rows share their noise, so a row is filled alike alone and among others.
      x: A data frame, or coded rows [N, W + C] (`cpvae_jax.columns`).
      samples: Draws per row.

    Returns:
      Coded rows [N, W + C] without gaps, in float64. What was there has not changed.

    Raises:
      UserError: The model was not trained on a table with the likelihood "mixed", or the data do not suit it.
    """
    checks.model(params)
    config = params.config
    if not likelihoods.of(config).coded or config.columns is None:
        raise UserError(
            f"the likelihood {config.likelihood!r} knows no missing values; train on a table with the likelihood "
            "'mixed'."
        )
    checks.at_least("samples", samples, 1)
    rows = checks.examples(config, {"x": x})["x"]
    data = checks.prepared(params, rows, "x")
    batch = max(1, MEMORY // (4 * samples * config.size))
    key = checks.key(key)
    filled = in_batches(
        lambda _, part: _filled(params, key, part, samples=samples), key, data, batch
    )
    restored = np.asarray(likelihoods.restored(params, filled), np.float64)
    W = kinds.width(config.columns)
    missing = rows[:, W:] > 0.5
    found = np.array(rows, np.float64)
    found[:, :W] = np.where(missing[:, kinds.owners(config.columns)], restored[:, :W], found[:, :W])
    found[:, W:] = 0
    return found


@partial(jax.jit, static_argnames="samples")
@exact
def _filled(params: Params, key: jax.Array, data: jax.Array, *, samples: int) -> jax.Array:
    """The conditional mean of each row of `data` [B, *shape], in the model's unit."""

    def of_row(row: jax.Array) -> jax.Array:
        return _of_batch(params, key, row[None], samples)[0]

    return jax.vmap(of_row)(data)


def _of_batch(params: Params, key: jax.Array, x: jax.Array, samples: int) -> jax.Array:
    config, model = params.config, models.of(params.config)
    likelihood = likelihoods.of(config)
    encoding = model.infer(params, x)
    key_c, key_z, key_below = jax.random.split(key, 3)
    category = jnp.zeros((samples, len(x)), jnp.int32)
    log_q_c: jax.Array | float = 0.0
    if priors.of(config).inferred:
        category, log_q_c = categorical.sample_many(key_c, encoding.logits, samples)
    seen = model.seen(category)
    z, log_ratio = parts.log_ratio(params, (key_z, key_below), x, encoding, seen, samples)
    log_weights = log_ratio + model.log_prior(params, z, category) - log_q_c
    # The same key draws the same codes below z as above.
    found = parts.levels(config).explain(params, key_below, encoding.below, z, seen)
    mean = likelihood.mean(config, params.likelihood, found.output)
    return likelihood.average(params.likelihood, jax.nn.log_softmax(log_weights, axis=0), mean)
