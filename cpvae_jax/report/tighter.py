"""Scores that come closer to log p(x) than the bound, and cost more: a part of the test set suffices.

Importance sampling tends to log p(x) itself; the refined bound gives each example a posterior of its
own. Both differ from the bound by a nat or two from image to image, where the bound itself varies by
tens. So with fewer examples than the test set has, the bound of all of them serves as control variate:

    mean bound of all + mean of (score − bound) over the chosen, both at the same draw of black and white
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from cpvae_jax import checks, likelihoods
from cpvae_jax.evaluation import estimates, means, refinement
from cpvae_jax.types import Params

BOUND_DRAWS = 32
"""Draws of the bound that a score is compared with; their noise is small beside the difference."""


class Tighter(NamedTuple):
    """Which of these scores to compute, and on how many examples."""

    samples: int = 0
    """Importance samples per example for log p(x); 0 leaves it out"""
    images: int | None = None
    """Number of random test examples; None takes all"""
    progress: Callable[[int, int], None] | None = None
    """`progress(done, total)` is called after each chunk of examples of log p(x)"""
    refine: int = 0
    """Gradient steps of the refined bound; 0 leaves it out"""


def log_likelihood(
    params: Params,
    key: jax.Array,
    test: np.ndarray,
    bound: np.ndarray,
    *,
    options: Tighter,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """The mean log p(x) of the test set by importance sampling, in nats.

    Args:
      params: the model.
      key: a random key.
      test: the test set [N, *shape].
      bound: the bound of each example of it, [N].
      options: samples and images.
      mesh: the devices to spread the examples over.

    Returns:
      mean, standard_error, samples and images; with fewer images than N also `subset_error`, the
      part of the standard error that their choice adds.
    """

    def values(key: jax.Array, x: np.ndarray) -> np.ndarray:
        return estimates.log_likelihood(
            params, key, x, samples=options.samples, progress=options.progress, mesh=mesh
        )

    found = _mean(params, key, test, bound, values, options.images, mesh)
    return {**found, "samples": options.samples}


def refined(
    params: Params,
    key: jax.Array,
    test: np.ndarray,
    bound: np.ndarray,
    *,
    options: Tighter,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """The mean bound of the test set with q refined for each example, in nats; a true bound as well.

    Arguments and result are those of `log_likelihood`, with `steps` in place of `samples`.
    """

    def values(key: jax.Array, x: np.ndarray) -> np.ndarray:
        found = refinement.refined_bound(params, key, x, steps=options.refine, mesh=mesh)
        return found["bound"]

    found = _mean(params, key, test, bound, values, options.images, mesh)
    return {**found, "steps": options.refine}


def _mean(
    params: Params,
    key: jax.Array,
    test: np.ndarray,
    bound: np.ndarray,
    score: Callable[[jax.Array, np.ndarray], np.ndarray],
    images: int | None,
    mesh: Mesh | None,
) -> dict[str, Any]:
    """The mean of `score(key, x)` over the test set, from all of it or from some examples and the bound."""
    if images is None or images >= len(test):
        return {**means.mean_and_error(score(key, test)), "images": len(test)}
    key_choice, key_x, key_score, key_bound = jax.random.split(key, 4)
    chosen = np.asarray(jax.random.choice(key_choice, len(test), (images,), replace=False))
    config = params.config
    given = checks.data(params, test[chosen], "data")
    drawn = likelihoods.of(config).observe(config, key_x, given)  # 0 and 1 stay when drawn again
    x = likelihoods.restored(params, drawn)
    values = score(key_score, x)
    near = estimates.bound_terms(
        params, key_bound, x, estimator="hard", samples=BOUND_DRAWS, mesh=mesh
    )
    gap = np.asarray(values - near["bound"], np.float64)
    return {
        "mean": float(np.mean(bound, dtype=np.float64)) + float(gap.mean()),
        "standard_error": means.controlled_error(bound, gap, chosen),
        "subset_error": means.choice_error(gap, len(test)),
        "images": images,
    }
