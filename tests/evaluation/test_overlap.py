"""Categories that the model mixes up, and their merging."""

import jax
import numpy as np
import pytest
from scipy.stats import norm

import cpvae_jax
from cpvae_jax.evaluation import overlap


def test_samples_are_assigned_as_by_hand():
    """By the public functions, one component after another."""
    config = cpvae_jax.Config(shape=(3,), K=3, latent=2, hidden=(8,), likelihood="gaussian")
    x = np.random.default_rng(0).normal(size=(50, 3))
    params = cpvae_jax.initialise(jax.random.key(0), config, x)
    heads = params.weights["heads"]
    logits = {**heads["logits"], "kernel": 5 * heads["logits"]["kernel"]}  # q(c|x) must vary
    params = params.with_weights({**params.weights, "heads": {**heads, "logits": logits}})
    found = overlap.mixed_up(params, jax.random.key(1), 1200)
    for k in range(3):
        drawn = cpvae_jax.sample(params, jax.random.key(9), category=k, num=1200, draw=True)
        each = np.asarray(cpvae_jax.predict(params, drawn))
        error = 2**0.5 * each.std(axis=0) / 1200**0.5
        assert np.all(error > 1e-4)
        np.testing.assert_array_less(abs(found[k] - each.mean(axis=0)), 5 * error)


def gaussians(centres, scales, weights):
    """The shares of samples of Gaussian a whose most probable one is b, by a fine grid."""
    grid = np.linspace(-30, 60, 200_001)
    densities = norm.pdf(grid[:, None], centres, scales)
    own = np.argmax(densities * weights, axis=1)
    step = grid[1] - grid[0]
    return np.stack(
        [
            [densities[own == b, a].sum() * step for b in range(len(centres))]
            for a in range(len(centres))
        ]
    )


def test_the_halves_of_a_gaussian_are_one_and_neighbours_at_four_deviations_are_not():
    half = np.sqrt(2 / np.pi)
    centres = np.array([-half, half, 4.0, 8.0])
    scales = np.array([np.sqrt(1 - half**2)] * 2 + [1.0, 1.0])
    weights = np.array([1, 1, 2, 2]) / 6
    mixed = gaussians(centres, scales, weights)
    np.testing.assert_allclose(mixed[2, 3], norm.cdf(-2), rtol=1e-3)
    groups, order = overlap.merges(mixed, weights, 0.05)
    assert groups == (0, 0, 1, 2)
    (merge,) = order
    assert (merge.first, merge.second) == ((0,), (1,))
    # Of the samples of the halves alone; a few of the upper one lie nearer to the next cluster.
    np.testing.assert_allclose(merge.mixed_up, norm.cdf(-half / scales[0]), rtol=0.03)


@pytest.mark.parametrize(("distance", "expected"), [(1.3, (0, 0)), (1.4, (0, 1))])
def test_by_default_two_gaussians_that_mix_up_a_quarter_are_one(distance, expected):
    mixed = gaussians(np.array([0, distance]), np.ones(2), np.ones(2) / 2)
    assert overlap.merges(mixed, np.ones(2) / 2)[0] == expected


def test_merged_categories_are_mixed_up_as_their_components_together():
    mixed = np.array([[0.6, 0.4, 0.0], [0.3, 0.6, 0.1], [0.0, 0.2, 0.8]])
    weights = np.array([0.2, 0.3, 0.5])
    groups, order = overlap.merges(mixed, weights, 0.1)
    assert groups == (0, 0, 0)
    # Then from the pair to 2: 0.3 · 0.1 of 0.5; and from 2: 0.2.
    assert [round(m.mixed_up, 6) for m in order] == [0.4, 0.2]
    assert order[1].first == (0, 1)
    assert overlap.merges(mixed, weights)[0] == (0, 0, 1)


@pytest.mark.parametrize("copies", [2, 5, 20])
def test_categories_that_do_not_differ_mix_up_a_half_however_many_they_are(copies):
    mixed = np.zeros((copies + 1, copies + 1))
    mixed[:copies, :copies] = 1 / copies
    mixed[copies, copies] = 1
    groups, order = overlap.merges(mixed, np.ones(copies + 1) / (copies + 1))
    assert groups == (0,) * copies + (1,)
    assert all(merge.mixed_up >= 0.5 - 1e-9 for merge in order)


@pytest.mark.parametrize("weights", [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
def test_components_without_data_join_those_that_take_their_samples(weights):
    mixed = np.array([[0.99, 0.01, 0.0], [0.01, 0.99, 0.0], [0.9, 0.05, 0.05]])
    assert overlap.merges(mixed, np.array(weights))[0] == (0, 1, 0)


def test_one_category_stays_one():
    assert overlap.merges(np.ones((1, 1)), np.ones(1)) == ((0,), [])
