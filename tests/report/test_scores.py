"""Scores of a model: which there are, and how they are estimated from a part of the test set."""

from dataclasses import replace

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax.evaluation.estimates import bound_terms
from cpvae_jax.registry import POSTERIORS
from cpvae_jax.report import baselines, scores, tighter
from experiments.data import load


@pytest.fixture(scope="module")
def data():
    """Sixty test digits, as black and white."""
    found = load("digits")
    test = np.float32(found.test[:60] > 0.5)
    return replace(found, test=test, test_labels=found.test_labels[:60])


@pytest.fixture(scope="module")
def params(data):
    config = cpvae_jax.Config(shape=(8, 8), K=3, latent=2, hidden=(8,))
    return cpvae_jax.initialise(jax.random.key(0), config, data.train)


def test_log_likelihood_from_a_part_of_the_test_set_is_that_of_all(params, data):
    """Up to the standard error that the choice of examples adds, which it reports."""
    key = jax.random.key(1)
    bound = bound_terms(params, key, data.test)["bound"]

    def estimate(images):
        options = tighter.Tighter(samples=100, images=images)
        return tighter.log_likelihood(params, key, data.test, bound, options=options)

    whole, part = estimate(None), estimate(20)
    assert (whole["images"], part["images"]) == (60, 20)
    assert abs(part["mean"] - whole["mean"]) < 5 * part["subset_error"] + 0.1
    assert part["standard_error"] > part["subset_error"] > 0
    assert part["standard_error"] == pytest.approx(
        np.hypot(whole["standard_error"], part["subset_error"]), rel=0.5
    )
    assert estimate(60) == whole


def test_the_refined_bound_of_a_part_of_the_test_set_is_that_of_all(params, data):
    key = jax.random.key(1)
    bound = bound_terms(params, key, data.test)["bound"]

    def estimate(images):
        options = tighter.Tighter(refine=30, images=images)
        return tighter.refined(params, key, data.test, bound, options=options)

    whole, part = estimate(None), estimate(20)
    assert (whole["images"], part["images"], part["steps"]) == (60, 20, 30)
    assert abs(part["mean"] - whole["mean"]) < 5 * part["subset_error"] + 0.3
    assert whole["mean"] > bound.mean()


def test_the_scores_that_cost_more_are_computed_on_request(params, data):
    options = tighter.Tighter(samples=5, images=10, refine=2)
    few = replace(data, test_labels=None)
    found = scores.evaluate(params, 0, few, temperature=0.5, tighter=options)
    assert found["log_likelihood"]["samples"] == 5
    assert found["refined_bound"]["steps"] == 2
    assert "2 steps on each example's own q, 10 examples" in scores.summary(found)


def test_scores_that_a_model_cannot_have_are_left_out(params, data, monkeypatch):
    names = ("bound", "reconstruction", "kl_c", "kl_z")
    terms = dict.fromkeys(names, np.zeros(60))
    monkeypatch.setattr(scores.estimates, "bound_terms", lambda *_, **__: dict(terms))
    monkeypatch.setattr(scores, "decomposition", lambda *_: {"mutual_information_c": 1.0})

    def found(data):
        return set(scores.evaluate(params, 0, data, temperature=0.5))

    always = {"test_bound", "unusual_below", "test_terms", "categories", "relaxed_figure"}
    assert found(data) == always | {"decomposition", "clustering"}
    assert found(replace(data, test_labels=None)) == always | {"decomposition"}
    without_density = POSTERIORS["diagonal"]._replace(log_prob=None)
    monkeypatch.setitem(POSTERIORS._parts, "diagonal", without_density)
    assert found(data) == always | {"clustering"}


def test_baselines_stand_beside_the_scores(params, data):
    few = replace(data, train=data.train[:200], train_labels=data.train_labels[:200])
    classical = baselines.of_data(params, few)
    found = scores.evaluate(params, 0, few, temperature=0.5, classical=classical)
    for name in ("kmeans", "mixture"):
        one = found["baselines"][name]
        ours = found["clustering"]["accuracy_hungarian"]
        assert one["ahead"]["mean"] == pytest.approx(one["accuracy_hungarian"] - ours)
    assert "on the same rows: k-means 0." in scores.summary(found)


def test_distances_of_densities_are_those_of_their_draws():
    draws = {"truth": np.array([0.0, 1.0]), "aggregate": np.array([0.0, 2.0])}
    found = scores.density_distances(draws, np.array([[0.0], [1.0]]))
    assert found == {"aggregate": 0.5, "floor": 0.0}
