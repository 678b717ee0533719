"""The validation bound, which decides what is kept and when to stop."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from cpvae_jax import devices, likelihoods, models
from cpvae_jax.distributions.precision import single
from cpvae_jax.keys import purpose
from cpvae_jax.types import Params

VALIDATION_BATCH = 500
"""Examples scored at once: large products, bounded memory."""


def validate(
    params: Params, key: jax.Array, data: jax.Array, mesh: Mesh | None
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Mean terms of the true bound, estimated with one hard c per example, and q(c).

    The key is the same in every epoch: common random numbers compare epochs with less noise. The
    last batch is filled up with examples of weight 0, so that every example counts once.
    """
    config, model = params.config, models.of(params.config)
    observe = partial(likelihoods.of(config).observe, config)
    batch = min(VALIDATION_BATCH, len(data))
    count = -(-len(data) // batch)
    indices = jnp.arange(count * batch, dtype=jnp.int32).reshape(count, batch)

    def score(at: tuple[jax.Array, jax.Array]) -> tuple[dict[str, jax.Array], jax.Array]:
        number, index = at
        key_batch = jax.random.fold_in(key, number)
        key_x, key_terms = jax.random.split(key_batch)
        weight = (index < len(data)).astype(jnp.float32) / len(data)
        index = devices.cut(jnp.minimum(index, len(data) - 1), mesh, devices.DATA)
        x = devices.cut(observe(key_x, data[index]), mesh, devices.DATA)
        encoding = model.infer(params, x)
        terms = model.terms(params, key_terms, x, encoding, "hard", 1.0)
        probs = model.probs(params, purpose(key_batch, "categories"), encoding, draws=1)
        return jax.tree.map(lambda v: v @ weight, terms.named()), weight @ probs

    means, aggregate = jax.lax.map(score, (jnp.arange(count, dtype=jnp.int32), indices))
    return single((jax.tree.map(jnp.sum, means), jnp.sum(aggregate, axis=0)))
