"""The scores of a trained model on the test split of its data, each under its own name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

import cpvae_jax
from cpvae_jax import scores
from cpvae_jax.types import Params
from experiments.data.dataset import Dataset

DENSITY_SAMPLES = 50_000
"""Draws from model and truth that are compared on the synthetic data, as the paper's figure 3."""


class Keys(NamedTuple):
    """The keys of a seed's scores, by purpose: a picture of a score draws what the score drew."""

    bound: jax.Array
    relaxed: jax.Array
    decomposition: jax.Array
    likelihood: jax.Array
    density: jax.Array

    @classmethod
    def of(cls, seed: int) -> Keys:
        """Keys that training with the same seed does not use."""
        return cls(*jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), len(cls._fields)))


def evaluate(
    params: Params,
    seed: int,
    data: Dataset,
    *,
    temperature: float,
    bound_samples: int = 1,
    likelihood_samples: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Every score of `params`, nested by kind; all bounds and divergences in nats.

    `test_bound` is the true bound. `relaxed_figure`, which is no bound, stands beside it for
    comparison with work that reports it. Labels serve the clustering scores alone.
    """
    keys = Keys.of(seed)
    true = cpvae_jax.bound_terms(params, keys.bound, data.test, samples=bound_samples)
    relaxed = cpvae_jax.bound_terms(
        params, keys.relaxed, data.test, estimator="relaxed", temperature=temperature
    )
    result: dict[str, Any] = {
        "test_bound": _mean(true.pop("bound")),
        "test_terms": {name: _mean(values) for name, values in true.items()},
        "relaxed_figure": {**_mean(relaxed["bound"]), "temperature": temperature},
        "decomposition": cpvae_jax.decomposition(params, keys.decomposition, data.test),
        "categories": _use(params.aggregate),
    }
    if likelihood_samples:
        values = cpvae_jax.log_likelihood(
            params, keys.likelihood, data.test, samples=likelihood_samples, progress=progress
        )
        result["log_likelihood"] = {**_mean(values), "samples": likelihood_samples}
    if data.test_labels is not None:
        categories = np.argmax(cpvae_jax.predict(params, data.test), axis=1)
        result["clustering"] = scores.clustering(categories, data.test_labels)
    if data.shape == (1,):
        result["wasserstein"] = density_distances(densities(params, keys.density, data), data.train)
    return result


def densities(params: Params, key: jax.Array, data: Dataset) -> dict[str, np.ndarray]:
    """Draws of one-dimensional x, [DENSITY_SAMPLES] each or as many as there are.

    `truth` is the test set; `aggregate` and `uniform` are the model's, by the weights of its
    categories.
    """
    draws = {"truth": data.test.ravel()}
    for weights in ("aggregate", "uniform"):
        x = cpvae_jax.sample(params, key, num=DENSITY_SAMPLES, weights=weights, draw=True)
        draws[weights] = np.asarray(x).ravel()
    return draws


def density_distances(draws: dict[str, np.ndarray], train: np.ndarray) -> dict[str, float]:
    """1-Wasserstein distance of the model's `densities` to the test set, in the unit of x.

    `floor` is that of the training set to the test set: less cannot be expected.
    """
    from scipy.stats import wasserstein_distance

    compared = {**draws, "floor": np.ravel(train)}
    truth = compared.pop("truth")
    return {name: float(wasserstein_distance(x, truth)) for name, x in compared.items()}


def summary(result: dict[str, Any]) -> str:
    """The scores that a user looks for first, as lines to print."""
    terms = result["test_terms"]
    lines = [
        f"true test bound {_signed(result['test_bound'])} nats = "
        f"{terms['reconstruction']['mean']:.2f} - KL(c) {terms['kl_c']['mean']:.2f} "
        f"- KL(z) {terms['kl_z']['mean']:.2f}",
        f"relaxed figure, no bound, {_signed(result['relaxed_figure'])} nats",
        f"categories in use, in effect {result['categories']['effective_number']:.1f}",
    ]
    if "log_likelihood" in result:
        count = result["log_likelihood"]["samples"]
        lines.insert(1, f"log-likelihood {_signed(result['log_likelihood'])} nats, {count} samples")
    if "clustering" in result:
        c = result["clustering"]
        lines.append(
            f"accuracy {c['accuracy_hungarian']:.3f} (Hungarian), {c['accuracy_majority']:.3f} "
            f"(majority), NMI {c['nmi']:.3f}, ARI {c['ari']:.3f}"
        )
    if "wasserstein" in result:
        w = result["wasserstein"]
        lines.append(
            f"1-Wasserstein distance to the truth {w['aggregate']:.4f}, with uniform c "
            f"{w['uniform']:.4f}, of truth to truth {w['floor']:.4f}"
        )
    return "\n".join(lines)


def _signed(value: dict[str, float]) -> str:
    return f"{value['mean']:.2f} ± {value['standard_error']:.2f}"


def _mean(values: np.ndarray) -> dict[str, float]:
    """The mean over the test set and the standard error that its size leaves."""
    error = np.std(values, dtype=np.float64) / np.sqrt(len(values))
    return {"mean": float(np.mean(values, dtype=np.float64)), "standard_error": float(error)}


def _use(aggregate: jax.Array) -> dict[str, Any]:
    """How the categories are used: exp of the entropy of q(c) says how many, in effect."""
    q = np.asarray(aggregate, np.float64)
    entropy = -np.sum(q * np.log(np.maximum(q, 1e-30)))
    return {"aggregate": q.tolist(), "effective_number": float(np.exp(entropy))}
