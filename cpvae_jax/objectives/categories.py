"""q(c|x) alone, for the start of the categories: objectives without a bound, and an anchor."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax.config import Training
from cpvae_jax.objectives.base import Batch, Metrics, Objective, Progress, Regulariser
from cpvae_jax.types import Encoding, Params


def regularisers(training: Training) -> Objective:
    """Zero: what remains is the weighted sum of the regularisers."""
    del training

    def objective(
        params: Params, key: jax.Array, batch: Batch, progress: Progress
    ) -> tuple[jax.Array, Metrics]:
        del params, key, batch, progress
        return jnp.zeros((), jnp.float32), {}

    return objective


def partition(training: Training) -> Objective:
    """−Σ_c t(c) log q(c|x), the batch mean in nats, with t the probabilities to start from."""
    del training

    def objective(
        params: Params, key: jax.Array, batch: Batch, progress: Progress
    ) -> tuple[jax.Array, Metrics]:
        del params, key, progress
        given = None if batch.source is None else batch.source.partition
        assert given is not None, "`training.starting` gives the partition"
        return cross_entropy(given, batch.encoding.logits), {}

    return objective


def anchor(training: Training) -> Regulariser:
    """−Σ_c t(c) log q(c|x), the batch mean in nats: asks q(c|x) to stay near where it started.

    It is 0 where there is nothing to stay near: without a partition to start from, for examples
    without a label, and where the start lets the categories go.
    """
    del training

    def regulariser(
        params: Params,
        key: jax.Array,
        x: jax.Array,
        posterior: Encoding,
        *,
        partition: jax.Array | None = None,
    ) -> jax.Array:
        del params, key, x
        if partition is None:
            return jnp.zeros((), jnp.float32)
        return cross_entropy(partition, posterior.logits)

    return regulariser


def cross_entropy(target: jax.Array, logits: jax.Array) -> jax.Array:
    """−Σ_c t(c) log softmax(logits)(c), the batch mean in nats; rows of zeros have no say."""
    return -jnp.mean(jnp.sum(target * jax.nn.log_softmax(logits), axis=-1))
