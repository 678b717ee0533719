"""The scores of a trained model on the test split of its data, each under its own name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

import cpvae_jax
from cpvae_jax import likelihoods, priors, scores
from cpvae_jax.rows import sample_of
from cpvae_jax.types import Params
from experiments.data.dataset import Dataset

DENSITY_SAMPLES = 50_000
"""Draws from model and truth that are compared on the synthetic data, as the paper's figure 3."""


BOUND_DRAWS = 32
"""Draws of the bound that log p(x) is compared with: their noise is small beside the distance."""


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
    likelihood_images: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """Every score of `params`, nested by kind; all bounds and divergences in nats.

    `test_bound` is the true bound. `relaxed_figure`, which is no bound, stands beside it for
    comparison with work that reports it, where a category is inferred. Labels serve the
    clustering scores alone. `mesh` spreads the bounds and the log-likelihood over devices.
    """
    keys = Keys.of(seed)
    prior = priors.of(params.config)
    true = cpvae_jax.bound_terms(params, keys.bound, data.test, samples=bound_samples, mesh=mesh)
    bound = true.pop("bound")
    result: dict[str, Any] = {
        "test_bound": mean_and_error(bound),
        "test_terms": {name: mean_and_error(values) for name, values in true.items()},
        "decomposition": cpvae_jax.decomposition(params, keys.decomposition, data.test),
        "categories": _use(params.aggregate),
    }
    if prior.inferred:
        relaxed = cpvae_jax.bound_terms(
            params,
            keys.relaxed,
            data.test,
            estimator="relaxed",
            temperature=temperature,
            mesh=mesh,
        )
        result["relaxed_figure"] = {**mean_and_error(relaxed["bound"]), "temperature": temperature}
    if likelihood_samples:
        result["log_likelihood"] = log_likelihood(
            params,
            keys.likelihood,
            data.test,
            bound,
            samples=likelihood_samples,
            images=likelihood_images,
            progress=progress,
            mesh=mesh,
        )
    if data.test_labels is not None and not prior.single:
        categories = np.argmax(cpvae_jax.predict(params, data.test), axis=1)
        result["clustering"] = scores.clustering(categories, data.test_labels)
    if data.shape == (1,):
        result["wasserstein"] = density_distances(
            densities(params, keys.density, data), sample_of(data.train)
        )
    return result


def log_likelihood(
    params: Params,
    key: jax.Array,
    test: np.ndarray,
    bound: np.ndarray,
    *,
    samples: int,
    images: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """Mean log p(x) of the test set [N, *shape] by importance sampling, in nats.

    With `images` less than N, the samples are spent on that many random examples, and the bound
    [N] of all examples serves as control variate: mean bound + mean over the chosen ones of
    (log p(x) − bound), both at the same draw of black and white. The distance from the bound
    varies by a nat or two from image to image where log p(x) varies by tens, so that few
    images tell it; `subset_error` is the standard error that the choice leaves.
    """
    how: dict[str, Any] = {"samples": samples, "progress": progress, "mesh": mesh}
    if images is None or images >= len(test):
        values = cpvae_jax.log_likelihood(params, key, test, **how)
        return {**mean_and_error(values), "samples": samples, "images": len(test)}
    key_choice, key_x, key_weights, key_bound = jax.random.split(key, 4)
    chosen = np.asarray(jax.random.choice(key_choice, len(test), (images,), replace=False))
    config = params.config
    flat = jnp.asarray(test[chosen]).reshape(images, config.size)
    x = likelihoods.of(config).observe(config, key_x, flat)  # 0 and 1 stay when drawn again
    values = cpvae_jax.log_likelihood(params, key_weights, x, **how)
    near = cpvae_jax.bound_terms(
        params, key_bound, x, estimator="hard", samples=BOUND_DRAWS, mesh=mesh
    )
    gap = mean_and_error(values - near["bound"])
    return {
        "mean": float(np.mean(bound, dtype=np.float64)) + gap["mean"],
        "standard_error": mean_and_error(bound)["standard_error"],
        "subset_error": gap["standard_error"],
        "samples": samples,
        "images": images,
    }


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
        f"categories in use, in effect {result['categories']['effective_number']:.1f}",
    ]
    if "relaxed_figure" in result:
        lines.insert(1, f"relaxed figure, no bound, {_signed(result['relaxed_figure'])} nats")
    if "log_likelihood" in result:
        found = result["log_likelihood"]
        how = f"{found['samples']} samples, {found['images']} examples"
        lines.insert(1, f"log-likelihood {_signed(found)} nats, {how}")
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


def mean_and_error(values: np.ndarray) -> dict[str, float]:
    """The mean over examples [N] and the standard error that their number leaves."""
    error = np.std(values, dtype=np.float64) / np.sqrt(len(values))
    return {"mean": float(np.mean(values, dtype=np.float64)), "standard_error": float(error)}


def _use(aggregate: jax.Array) -> dict[str, Any]:
    """How the categories are used: exp of the entropy of q(c) says how many, in effect."""
    q = np.asarray(aggregate, np.float64)
    entropy = -np.sum(q * np.log(np.maximum(q, 1e-30)))
    return {"aggregate": q.tolist(), "effective_number": float(np.exp(entropy))}
