"""The refined bound: below log p(x), and closer to it than the bound of the encoder's own q."""

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, UserError
from cpvae_jax.evaluation import refinement
from cpvae_jax.evaluation.refinement import refined_bound

KEY = jax.random.key(0)
pytestmark = pytest.mark.usefixtures("flow")


def repeated(found, num):
    """Draws [num, 8] of a score of `num` copies of the eight images."""
    return np.float64(found).reshape(num, 8)


def test_it_is_below_the_likelihood_and_above_the_bound(params, pixels, reference):
    """By integration: bound < refined bound ≤ log p(x) for each of the eight images."""
    copies, numpy = np.tile(pixels, (200, 1)), reference(params)
    draws = repeated(refined_bound(params, KEY, copies, steps=100)["bound"], 200)
    mean, error = draws.mean(axis=0), draws.std(axis=0) / 200**0.5
    assert np.all(mean < numpy.log_likelihood(pixels) + 6 * error)
    gap = numpy.log_likelihood(pixels) - numpy.bound(pixels)
    closed = mean - numpy.bound(pixels)
    assert np.all(closed > -6 * error)
    assert closed.sum() > 0.3 * gap.sum()


@pytest.mark.parametrize("name", ["cp", "mg", "hcp"])
def test_without_steps_it_is_the_bound(name, shaken, pixels, assert_mean):
    config = Config.of_model(name, shape=(3,), K=2, latent=2, hidden=(5,), binarise="none")
    params, copies = shaken(config), np.tile(pixels, (500, 1))
    found = repeated(refined_bound(params, KEY, copies, steps=0)["bound"], 500)
    plain = repeated(cpvae_jax.bound(params, jax.random.key(1), copies).bound, 500)
    assert_mean(found - plain, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "family"),
    [("vae", "diagonal"), ("mg", "full"), ("cp", "flow"), ("hvae", "full"), ("hcp", "flow")],
)
def test_every_model_and_family_gains(name, family, shaken, pixels):
    K = 1 if name.endswith("vae") else 2
    config = Config.of_model(
        name, shape=(3,), K=K, latent=2, hidden=(5,), binarise="none", posterior=family
    )
    params, copies = shaken(config), np.tile(pixels, (60, 1))
    weights = jax.tree.map(lambda a: 0.3 * a, params.weights)
    weights["heads"]["log_var"]["bias"] += 1.0  # posteriors that are clearly too wide
    params = params.with_weights(weights)
    before, after = (
        repeated(refined_bound(params, KEY, copies, steps=n)["bound"], 60) for n in (0, 60)
    )
    difference = after - before
    assert difference.mean() > 3 * difference.std() / difference.size**0.5


def test_each_example_has_its_own_posterior(params, pixels, monkeypatch):
    """Neither the other examples of a batch nor the size of the batches have a say in the steps."""
    alone = refined_bound(params, KEY, pixels[:1], steps=20)["kl_c"]
    among = refined_bound(params, KEY, np.tile(pixels[:1], (5, 1)), steps=20)["kl_c"]
    assert np.all(among > 0)
    assert abs(among.mean() - alone[0]) < 0.3
    monkeypatch.setattr(refinement, "BATCH", 3)
    parts = refined_bound(params, KEY, pixels, steps=5)
    assert {values.shape for values in parts.values()} == {(8,)}


def test_the_model_stays_as_it_is(params, pixels):
    before = jax.tree.map(np.array, params.weights)
    refined_bound(params, KEY, pixels, steps=5)
    jax.tree.map(np.testing.assert_array_equal, before, params.weights)


def test_invalid_options_are_refused(params, pixels):
    with pytest.raises(UserError, match="steps is -1; it must be a whole number"):
        refined_bound(params, KEY, pixels, steps=-1)
    with pytest.raises(UserError, match="data"):
        refined_bound(params, KEY, np.zeros((2, 4)))
