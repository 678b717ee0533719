"""Virtual adversarial views: the small change of an example that moves q(c|x) most; for any data.

Source: Miyato et al., "Virtual adversarial training: a regularization method for supervised and
semi-supervised learning", TPAMI 2019. The size of the change is that of Hu et al., "Learning
discrete representations via information maximizing self-augmented training", ICML 2017.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import likelihoods, models
from cpvae_jax.config import Training
from cpvae_jax.data.rows import Rows
from cpvae_jax.objectives.base import Source
from cpvae_jax.objectives.views import nearest
from cpvae_jax.objectives.views.base import View, measured
from cpvae_jax.types import Params, Tree

NEIGHBOURS = 10
"""The neighbour whose distance sets the size of a change."""

SAMPLE = 10_000
"""Streamed examples whose neighbours are looked for, among themselves."""

EVERY = 2
"""The direction takes a pass of the encoder and one back to x. With views of all examples a step would take
1.7 times as long as without; with those of every second one 1.35 to 1.55 times (two cores)."""


def apply(
    params: Params, key: jax.Array, x: jax.Array, probs: jax.Array, source: Source | None
) -> jax.Array:
    """x′ = x + r · g / |g| with g the gradient of KL(q(c|x) || q(c|x + r · d)) by its last argument.

    d is a random direction: one power iteration towards the direction of the largest divergence. The
    radius r is the example's own. Where the likelihood limits x, as black and white do, g has
    no part that points beyond the limits, and x′ stays within them.

    Args:
      params: The model; its weights get no gradient.
      key: A random key.
      x: What the model explains, [B, *shape].
      probs: q(c|x), [B, K].
      source: Where x comes from, with the radius that `measure` found, [N] or [].
    """
    low, high = likelihoods.of(params.config).limits
    fixed = jax.lax.stop_gradient(params)
    found = measured("adversarial", source)["radius"]
    radius = found if source is None or source.index is None else found[source.index]
    radius = radius.reshape(-1, *[1] * (x.ndim - 1))

    def cross_entropy(near: jax.Array) -> jax.Array:
        """The divergence of every example, plus what does not depend on x′."""
        logits = models.of(params.config).infer(fixed, near).logits
        return -jnp.sum(probs * jax.nn.log_softmax(logits))

    near = jnp.clip(x + radius * _unit(jax.random.normal(key, x.shape, x.dtype)), low, high)
    slope = jax.grad(cross_entropy)(near)
    possible = ((slope > 0) & (x < high)) | ((slope < 0) & (x > low))
    return jnp.clip(x + radius * _unit(jnp.where(possible, slope, 0)), low, high)


def _unit(v: jax.Array) -> jax.Array:
    """Each example of v [B, *shape] divided by its length; zeros stay zeros.

    Divided by its largest number first, so that squares of small gradients are not 0.
    """
    axes = tuple(range(1, v.ndim))
    largest = jnp.max(jnp.abs(v), axes, keepdims=True)
    v = v / jnp.where(largest > 0, largest, 1)
    length = jnp.sqrt(jnp.sum(v**2, axes, keepdims=True))
    return v / jnp.where(length > 0, length, 1)


def measure(training: Training, params: Params, data: jax.Array | Rows) -> Tree:
    """The radius of each training example, [N], or one for all streamed ones, [].

    `training.view_radius` times the distance to the 10th nearest neighbour, in the model's unit: of
    real numbers in standard deviations, of grey levels from 0 to 1 (as grey levels, whether or not
    training draws them black and white). Neighbours within a sample (`nearest.search`) are farther
    away than all are, which is corrected. Streamed examples get the median over a sample.
    """
    streamed = isinstance(data, Rows)
    rows = np.asarray(data.sample(SAMPLE) if isinstance(data, Rows) else data)
    if len(rows) < 2:
        return {"radius": jnp.zeros(() if streamed else len(rows), jnp.float32)}
    found = nearest.search(params.config, rows, NEIGHBOURS)
    radius = training.view_radius * nearest.within_more(found.distance, len(data) / found.among)
    return {"radius": jnp.asarray(np.median(radius) if streamed else radius, jnp.float32)}


VIEW = View(apply, measure, every=EVERY)
