"""q(c) over a data set, against integrals over the code on a grid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

import cpvae_jax
from cpvae_jax import Config, Rows, Training, aggregated_posterior
from cpvae_jax.evaluation import aggregate
from cpvae_jax.models import parts
from cpvae_jax.posteriors import diagonal
from cpvae_jax.training import validation

SUMMED_OUT = ("mg", "vp", "hmg", "hvp")
INFERRED = ("cp", "full", "hcp")

LARGEST_ERROR = 6 * 0.5 / aggregate.LEAST_DRAWS**0.5
GRID, STEP = np.linspace(-40, 40, 16001, retstep=True)


def of_model(model, K=3):
    return Config.of_model(model, shape=(3,), K=K, latent=1, hidden=(8,), binarise="none")


def integrated(params, x):
    """E_q(z|x) p(c|z) of each example, [N, K], in float64."""
    encoding = parts.encode(params, jnp.asarray(x), 0)
    mean, log_var = (np.float64(a) for a in diagonal.at(encoding.code, None))
    components = parts.components(params)
    prior_mean, prior_log_var = (np.float64(a) for a in (components.mean, components.log_var))
    log_prior = norm.logpdf(GRID, prior_mean, np.exp(prior_log_var / 2))  # [K, grid]
    given_z = np.exp(log_prior - logsumexp(log_prior, axis=0))
    density = norm.pdf(GRID, mean, np.exp(log_var / 2))  # [N, grid]
    return density @ given_z.T * STEP


def at_the_mean(params, x):
    return np.asarray(cpvae_jax.predict(params, x), np.float64)


@pytest.fixture(scope="module")
def models(shaken, pixels):
    """Models whose q(z|x) spread over several components: at the mean q(c) is another."""
    found = {}
    for model in SUMMED_OUT:
        params = shaken(of_model(model), seed=1)
        params.weights["heads"]["log_var"]["bias"] += 1.0
        found[model] = params
    return found


@pytest.mark.parametrize("model", SUMMED_OUT)
@pytest.mark.parametrize("kind", ["array", "rows", "many"])
def test_where_c_is_summed_out_its_weights_are_expectations_over_z(model, kind, models, pixels):
    params = models[model]
    data = {
        "array": pixels,
        "rows": Rows([pixels[:5], pixels[5:]]),
        "many": np.tile(pixels, (100, 1)),
    }[kind]
    expected = integrated(params, pixels).mean(axis=0)
    np.testing.assert_allclose(expected.sum(), 1, rtol=1e-6)
    got = aggregated_posterior(params, jax.random.key(0), data)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=0, atol=LARGEST_ERROR)
    np.testing.assert_allclose(got.sum(), 1, rtol=1e-6)
    # The test can tell: responsibilities at the mean of q(z|x) are others.
    off = at_the_mean(params, pixels).mean(axis=0) - expected
    assert np.max(np.abs(off)) > 2 * LARGEST_ERROR


@pytest.mark.parametrize("model", SUMMED_OUT)
@pytest.mark.parametrize("draws", [1, 5])
def test_the_probabilities_of_an_example_have_no_bias(model, draws, models, pixels, assert_mean):
    params, data = models[model], jnp.asarray(pixels)
    keys = jax.random.split(jax.random.key(1), 200)
    each = [aggregate.probs(params, key, data, draws=draws) for key in keys]
    assert_mean(np.stack(each), integrated(params, pixels))


@pytest.mark.parametrize("model", INFERRED)
def test_where_c_is_inferred_nothing_is_drawn(model, shaken, pixels):
    params = shaken(of_model(model))
    got = aggregate.probs(params, jax.random.key(0), jnp.asarray(pixels), draws=1)
    np.testing.assert_allclose(got, cpvae_jax.predict(params, pixels), rtol=1e-6)
    again = aggregated_posterior(params, jax.random.key(1), pixels)
    np.testing.assert_allclose(again, got.mean(axis=0), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mg", "hvp"])
def test_the_model_that_training_returns_has_the_expectation(model, models, pixels):
    """And so has the best model before its end, from validation, with one draw per example."""
    data = np.tile(pixels, (40, 1))
    result = cpvae_jax.fit(
        jax.random.key(0),
        of_model(model),
        data,
        data,
        recipe=Training(epochs=1, learning_rate=1e-5, warmup=0),
        init=models[model],
        callbacks=[],
    )
    expected = integrated(result.params, pixels).mean(axis=0)
    np.testing.assert_allclose(result.params.aggregate, expected, rtol=0, atol=LARGEST_ERROR)
    of_validation = validation.validate(result.params, jax.random.key(0), jnp.asarray(data), None)[
        1
    ]
    np.testing.assert_allclose(of_validation, expected, rtol=0, atol=6 * 0.5 / len(data) ** 0.5)
