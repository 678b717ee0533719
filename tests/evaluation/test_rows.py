"""What a model says of single rows: the same alone and among others."""

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, UserError
from cpvae_jax.evaluation import rows

KEY = jax.random.key(3)
DATA = np.random.default_rng(0).normal([5.0, -300.0], [1.0, 40.0], (60, 2))


@pytest.fixture(scope="module")
def tables_of():
    """A function that makes a model of two numbers with a prior."""

    def make(prior):
        K = 1 if prior == "vae" else 3
        config = Config(shape=(2,), K=K, latent=2, hidden=(8,), likelihood="gaussian", prior=prior)
        return cpvae_jax.initialise(jax.random.key(1), config, DATA)

    return make


@pytest.fixture(scope="module")
def model(tables_of):
    return tables_of("cp")


def test_the_bound_is_the_mean_over_draws_of_the_true_bound(params, reference, pixels, assert_mean):
    many = np.stack([rows.bounds(params, jax.random.key(s), pixels, draws=100) for s in range(30)])
    assert_mean(many, reference(params).bound(pixels), rounding=1e-4)


def test_more_draws_have_less_noise(params, pixels):
    def noise(draws):
        found = [rows.bounds(params, jax.random.key(s), pixels, draws=draws) for s in range(40)]
        return np.std(found, axis=0).mean()

    assert noise(1) > 2.5 * noise(16)  # four times, in expectation


@pytest.mark.parametrize("function", ["bounds", "probs", "codes"])
def test_a_row_has_the_same_result_alone_and_among_others(model, monkeypatch, function):
    def of(x):
        own = (KEY,) if function == "bounds" else ()
        return getattr(rows, function)(model, *own, x)

    whole = of(DATA)
    np.testing.assert_array_equal(of(DATA[:1]), whole[:1])
    np.testing.assert_array_equal(of(DATA[::-1])[::-1], whole)
    np.testing.assert_array_equal(of(DATA[7:20]), whole[7:20])
    monkeypatch.setattr(rows, "BATCH", 16)
    np.testing.assert_allclose(of(DATA), whole, rtol=1e-5, atol=1e-5)


def test_one_program_serves_any_number_of_rows(model):
    rows.bounds(model, KEY, DATA)
    before = rows._bounds._cache_size()
    for num in (1, 2, 17):
        rows.bounds(model, KEY, DATA[:num])
    assert rows._bounds._cache_size() == before


@pytest.mark.parametrize("prior", ["cp", "full", "mg", "vp", "vae"])
def test_probabilities_and_codes_are_those_of_the_public_functions(tables_of, prior):
    model = tables_of(prior)
    found = cpvae_jax.encode(model, DATA)
    np.testing.assert_allclose(rows.probs(model, DATA), cpvae_jax.predict(model, DATA), atol=1e-6)
    best = np.asarray(found.logits).argmax(axis=1)
    expected = np.asarray(found.mean)[np.arange(len(DATA)), best]
    np.testing.assert_allclose(rows.codes(model, DATA), expected, rtol=1e-5, atol=1e-6)


def test_a_single_row_is_no_sign_of_another_unit(model):
    """Rows are repeated to fill a program, but only those that were given are compared."""
    for x in (DATA[:1], DATA[:1].repeat(2, axis=0)):
        rows.probs(model, x)
        rows.codes(model, x)
        rows.bounds(model, KEY, x)


def test_no_draws_and_other_shapes_are_refused(model):
    with pytest.raises(UserError, match="draws is 0"):
        rows.bounds(model, KEY, DATA, draws=0)
    with pytest.raises(UserError, match=r"x has the shape \(60, 1\)"):
        rows.probs(model, DATA[:, :1])
