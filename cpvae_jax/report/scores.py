"""The scores of a trained model on the test split of its data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from cpvae_jax import api, posteriors, priors
from cpvae_jax.data import Dataset
from cpvae_jax.data.rows import sample_of
from cpvae_jax.evaluation import estimates, means, stability
from cpvae_jax.evaluation.decomposition import decomposition
from cpvae_jax.keys import purpose
from cpvae_jax.report import agreement, baselines, use
from cpvae_jax.report.tighter import Tighter, log_likelihood, refined
from cpvae_jax.types import Params

DENSITY_SAMPLES = 50_000
"""Draws from the model that are compared with the truth on synthetic data, as the paper's figure 3."""

UNUSUAL = 0.01
"""A new row is called unusual if its bound is below that of all but this share of the test rows."""


class Keys(NamedTuple):
    """The keys of a seed's scores by purpose, so that a picture of a score can repeat its draws."""

    bound: jax.Array
    relaxed: jax.Array
    decomposition: jax.Array
    likelihood: jax.Array
    refined: jax.Array
    density: jax.Array

    @classmethod
    def of(cls, seed: int) -> Keys:
        """Keys that training with the same seed does not use."""
        key = jax.random.key(seed)
        return cls(
            bound=purpose(key, "test bound"),
            relaxed=purpose(key, "relaxed figure"),
            decomposition=purpose(key, "decomposition"),
            likelihood=purpose(key, "log-likelihood"),
            refined=purpose(key, "refined bound"),
            density=purpose(key, "density"),
        )


def evaluate(
    params: Params,
    seed: int,
    data: Dataset,
    *,
    temperature: float,
    bound_samples: int = 1,
    tighter: Tighter = Tighter(),  # noqa: B008 - immutable
    classical: Mapping[str, agreement.Agreement] | None = None,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """Computes every score of a model on the test split.

    Labels are used for the clustering scores only; see `agreement.with_labels`.

    Args:
      params: the model.
      seed: decides all random draws.
      data: the data set.
      temperature: of the relaxed figure.
      bound_samples: draws of z per example for the bound.
      tighter: the scores that cost more, log p(x) and the refined bound.
      classical: what `baselines.of_data` returns, to stand beside the scores.
      mesh: the devices to spread the bounds and the log-likelihood over.

    Returns:
      Scores nested by kind, in nats. `test_bound` is the true bound, and `unusual_below` its quantile
      `UNUSUAL`. `relaxed_figure`, which is
      not a lower bound, is there for comparison with work that reports it, if the model infers
      a category.
    """
    keys = Keys.of(seed)
    prior = priors.of(params.config)
    true = estimates.bound_terms(params, keys.bound, data.test, samples=bound_samples, mesh=mesh)
    bound = true.pop("bound")
    result: dict[str, Any] = {
        "test_bound": means.mean_and_error(bound),
        "unusual_below": float(np.quantile(bound, UNUSUAL)),
        "test_terms": {name: means.mean_and_error(values) for name, values in true.items()},
    }
    if posteriors.of(params.config).log_prob is not None:
        result["decomposition"] = decomposition(params, keys.decomposition, data.test)
    result["categories"] = use.of_categories(
        params, keys.decomposition, data.test, result.get("decomposition")
    )
    if prior.inferred:
        result["relaxed_figure"] = _relaxed(params, keys.relaxed, data.test, temperature, mesh)
    more: dict[str, Any] = {"options": tighter, "mesh": mesh}
    if tighter.samples:
        result["log_likelihood"] = log_likelihood(params, keys.likelihood, data.test, bound, **more)
    if tighter.refine:
        result["refined_bound"] = refined(params, keys.refined, data.test, bound, **more)
    correct = np.zeros(0, bool)
    if data.test_labels is not None and not prior.single:
        found = agreement.with_labels(partial(agreement.predicted, params), data, seed)
        result["clustering"], correct = found
    if classical:
        result["baselines"] = baselines.beside(classical, correct)
    if data.shape == (1,):
        draws = densities(params, keys.density, data)
        result["wasserstein"] = density_distances(draws, sample_of(data.train))
    return result


def _relaxed(
    params: Params, key: jax.Array, test: np.ndarray, temperature: float, mesh: Mesh | None
) -> dict[str, float]:
    """The figure that passes a relaxed category through the decoder."""
    found = estimates.bound_terms(
        params, key, test, estimator="relaxed", temperature=temperature, mesh=mesh
    )
    return {**means.mean_and_error(found["bound"]), "temperature": temperature}


def densities(params: Params, key: jax.Array, data: Dataset) -> dict[str, np.ndarray]:
    """Draws of one-dimensional x, [DENSITY_SAMPLES] each.

    Returns:
      "truth", the test set; "aggregate" and "uniform", the model's draws with categories from
      q(c) and all alike.
    """
    draws = {"truth": data.test.ravel()}
    for weights in ("aggregate", "uniform"):
        x = api.sample(params, key, num=DENSITY_SAMPLES, weights=weights, draw=True)
        draws[weights] = np.asarray(x).ravel()
    return draws


def density_distances(draws: dict[str, np.ndarray], train: np.ndarray) -> dict[str, float]:
    """The 1-Wasserstein distance of the model's draws to the test set, in the unit of x.

    Args:
      draws: what `densities` returns.
      train: training examples, whose distance to the test set is the floor.

    Returns:
      "aggregate", "uniform" and "floor". A model cannot be expected to be below the floor.
    """
    from scipy.stats import wasserstein_distance

    compared = {**draws, "floor": np.ravel(train)}
    truth = compared.pop("truth")
    return {name: float(wasserstein_distance(x, truth)) for name, x in compared.items()}


def summary(result: dict[str, Any]) -> str:
    """The most important scores, as lines to print."""
    terms = result["test_terms"]
    lines = [
        f"true test bound {_signed(result['test_bound'])} nats = "
        f"{terms['reconstruction']['mean']:.2f} - KL(c) {terms['kl_c']['mean']:.2f} "
        f"- KL(z) {terms['kl_z']['mean']:.2f}",
        use.summary(result["categories"]),
    ]
    if "relaxed_figure" in result:
        lines.insert(1, f"relaxed figure, not a bound, {_signed(result['relaxed_figure'])} nats")
    if "refined_bound" in result:
        found = result["refined_bound"]
        how = f"{found['steps']} steps on each example's own q, {found['images']} examples"
        lines.insert(1, f"refined bound {_signed(found)} nats, {how}")
    if "log_likelihood" in result:
        found = result["log_likelihood"]
        how = f"{found['samples']} samples, {found['images']} examples"
        lines.insert(1, f"log-likelihood {_signed(found)} nats, {how}")
    if "clustering" in result:
        lines.append(agreement.summary(result["clustering"]))
    if line := baselines.summary(result.get("baselines", {})):
        lines.append(line)
    if "stability" in result:
        lines.append(stability.summary(result["stability"]))
    if "wasserstein" in result:
        w = result["wasserstein"]
        lines.append(
            f"1-Wasserstein distance to the truth {w['aggregate']:.4f}, with uniform c "
            f"{w['uniform']:.4f}, of the training set {w['floor']:.4f}"
        )
    lines += [f"note: {warning}" for warning in result.get("warnings", ())]
    return "\n".join(lines)


def _signed(value: dict[str, float]) -> str:
    return f"{value['mean']:.2f} ± {value['standard_error']:.2f}"
