"""Neighbours as views: true ones, and each of them at some time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from cpvae_jax import Config, Training, likelihoods
from cpvae_jax.objectives.base import Source
from cpvae_jax.objectives.views import neighbours


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_views_are_true_neighbours_and_all_of_them(likelihood, shaken):
    rng = np.random.default_rng(0)
    given = rng.random((60, 3, 4)) if likelihood == "bernoulli" else rng.normal(5, 2, (60, 3, 4))
    binarise = {"binarise": "none"} if likelihood == "bernoulli" else {}
    config = Config((3, 4), 2, 2, (4,), likelihood=likelihood, **binarise)
    params = shaken(config, data=given)
    data = jnp.asarray(likelihoods.of(config).prepare(params.likelihood, given))
    index = jnp.array([7, 7, 0, 59])
    source = Source(index, data, neighbours.measure(Training(), params, data))
    x, probs = data[index], jnp.full((4, 2), 0.5)
    apply = jax.jit(jax.vmap(neighbours.apply, (None, 0, None, None, None)))
    found = np.asarray(apply(params, jax.random.split(jax.random.key(0), 200), x, probs, source))
    flat = np.float64(given).reshape(60, -1)
    pairs = cdist(flat, flat)
    np.fill_diagonal(pairs, np.inf)
    for place, row in enumerate(np.asarray(index)):
        nearest = np.asarray(data)[np.argsort(pairs[row])[:10]]
        same = np.all(found[:, place, None] == nearest, axis=(2, 3))
        assert np.all(same.sum(axis=1) == 1)
        assert np.all(same.any(axis=0))
    assert np.any(found[:, 0] != found[:, 1])  # each example draws its own


def test_grey_neighbours_are_drawn_black_and_white_as_x_is(shaken):
    params = shaken(Config((50,), 2, 2, (4,)))
    data = jnp.full((12, 50), 64, jnp.uint8)
    source = Source(jnp.arange(12), data, neighbours.measure(Training(), params, data))
    x, probs = jnp.zeros((12, 50)), jnp.full((12, 2), 0.5)
    found = np.asarray(neighbours.apply(params, jax.random.key(0), x, probs, source))
    assert set(np.unique(found)) == {0.0, 1.0}
    assert found.mean() == pytest.approx(64 / 255, abs=6 * 0.43 / 600**0.5)
