"""Estimates over data sets, against integrals on a grid, in any batches and any memory."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cpvae_jax import (
    Config,
    Rows,
    UserError,
    aggregated_posterior,
    bound,
    bound_terms,
    log_likelihood,
)
from cpvae_jax.evaluation import estimates
from cpvae_jax.models import cpvae, start

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def batches_of_3(monkeypatch):
    monkeypatch.setattr(estimates, "BATCH", 3)


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_every_example_is_read_once_in_batches_of_one_size(batch):
    data, sizes, keys = jnp.arange(14.0).reshape(7, 2), [], []

    def fn(key, x):
        sizes.append(len(x))
        keys.append(tuple(np.asarray(jax.random.key_data(key))))
        return {"sum": x.sum(axis=1), "x": x}

    got = estimates.in_batches(fn, jax.random.key(0), data, batch)
    np.testing.assert_array_equal(got["x"], data)
    np.testing.assert_array_equal(got["sum"], data.sum(axis=1))
    assert sizes == [min(batch, 7)] * -(-7 // batch)
    assert len(set(keys)) == len(keys)


def test_bound_terms_are_given_per_example(params, pixels, reference, batches_of_3):
    got = bound_terms(params, jax.random.key(0), pixels)
    assert {name: v.shape for name, v in got.items()} == dict.fromkeys(
        ("bound", "reconstruction", "kl_c", "kl_z"), (8,)
    )
    kl_c, kl_z = reference(params).divergences(pixels)
    np.testing.assert_allclose(got["kl_c"], kl_c, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["kl_z"], kl_z, rtol=1e-5, atol=1e-6)
    expected = got["reconstruction"] - got["kl_c"] - got["kl_z"]
    np.testing.assert_allclose(got["bound"], expected, rtol=1e-5, atol=1e-5)


def test_bound_terms_are_means_over_their_samples(params, pixels):
    key = jax.random.key(0)
    several = bound_terms(params, key, pixels, samples=3)
    singles = [
        bound(params, jax.random.fold_in(k, 0), pixels).named() for k in jax.random.split(key, 3)
    ]
    for name, values in several.items():
        mean = np.mean([single[name] for single in singles], axis=0)
        np.testing.assert_allclose(values, mean, rtol=1e-5)


def test_the_aggregated_posterior_is_the_mean_over_all_examples(
    params, pixels, reference, batches_of_3
):
    expected = reference(params).posterior(pixels)[0].mean(axis=0)
    for data in (pixels, Rows([pixels[:5], pixels[5:]])):
        got = aggregated_posterior(params, jax.random.key(0), data)
        np.testing.assert_allclose(got, expected, rtol=1e-5)


# Importance sampling


@pytest.fixture(scope="module")
def standard_error(covering, pixels):
    """sd(w) / mean(w) / √S of the importance-sampled log p(x), S = 5000, from independent weights."""

    @jax.jit
    def log_weights(params, key):
        return cpvae.log_weights(params, key, pixels, cpvae.infer(params, pixels), 20_000)

    weights = np.exp(np.float64(log_weights(covering, jax.random.key(9))))
    return weights.std(axis=0) / weights.mean(axis=0) / 5000**0.5


@pytest.mark.parametrize(
    "memory",
    [64 * 2**20, 5000, 1],
    ids=["all at once", "a few examples at once", "one sample at once"],
)
def test_importance_sampling_finds_the_integrated_likelihood_in_any_memory(
    memory, covering, pixels, reference, standard_error
):
    got = log_likelihood(covering, jax.random.key(1), pixels, samples=5000, memory=memory)
    expected = reference(covering).log_likelihood(pixels)
    assert got.shape == (8,)
    assert np.all(standard_error < 0.1)
    assert np.all(np.abs(got - expected) <= 6 * standard_error)
    # The probabilities of all images sum to one, each with an error of p(x) · standard_error.
    allowed = 6 * np.linalg.norm(np.exp(expected) * standard_error)
    assert np.exp(got).sum() == pytest.approx(1, abs=allowed)


def test_every_sample_counts_once_if_chunks_do_not_divide_their_number(shaken):
    """With a decoder that ignores z and c every weight is p(x), so a lost sample would show."""
    params = shaken(Config(shape=(3,), K=1, latent=1, hidden=(8,), binarise="none"))
    prior_is_posterior = params.replace(weights=jax.tree.map(jnp.zeros_like, params.weights))
    for samples in (49, 120):
        got = log_likelihood(
            prior_is_posterior, jax.random.key(0), np.ones((2, 3)), samples=samples
        )
        np.testing.assert_allclose(got, -3 * np.log(2), rtol=1e-5)


def test_progress_is_reported_up_to_the_number_of_examples(covering, pixels):
    reported = []
    log_likelihood(
        covering,
        jax.random.key(1),
        pixels,
        samples=5000,
        memory=5000,
        progress=lambda *at: reported.append(at),
    )
    done = [d for d, _ in reported]
    assert done == sorted(done)
    assert done[-1] == 8
    assert {n for _, n in reported} == {8}


@pytest.mark.parametrize(
    ("memory", "parts"),
    [
        (2**18, {}),
        (2**26, {}),
        (2**26, {"network": "conv"}),
        (2**26, {"likelihood": "autoregressive"}),
    ],
    ids=["little", "usual", "convolutional", "autoregressive"],
)
def test_importance_sampling_stays_within_its_memory(memory, parts, monkeypatch):
    """By XLA's analysis of temporary memory, for K = 500, S = 5000 and a thousand images."""
    config = Config(shape=(10, 10), K=500, latent=4, hidden=(16,), binarise="none", **parts)
    params = start.template(config)
    compiled, seen = estimates._log_likelihood, []

    def account(params, key, data, *, samples, chunk, mesh):
        if not seen:
            lowered = compiled.lower(params, key, data, samples=samples, chunk=chunk, mesh=mesh)
            seen.append(lowered.compile().memory_analysis().temp_size_in_bytes)
            seen.append(len(data) * chunk)
        return jnp.zeros(len(data))

    account.trace = compiled.trace
    monkeypatch.setattr(estimates, "_log_likelihood", account)
    log_likelihood(params, jax.random.key(0), np.zeros((1000, 10, 10)), samples=5000, memory=memory)
    temporary, rows = seen
    assert rows >= 50
    assert temporary <= memory


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda p, k, x: log_likelihood(p, k, x, samples=0), "samples is 0"),
        (lambda p, k, x: log_likelihood(p, k, x, memory=0), "memory is 0"),
        (lambda p, k, x: log_likelihood(p, k, x[:0]), "x is empty"),
        (lambda p, k, x: bound_terms(p, k, x, samples=1.5), "samples is 1.5"),
        (lambda p, k, x: bound_terms(p, k, x, estimator="best"), "estimator is 'best'"),
        (lambda p, k, x: log_likelihood(p, k, Rows([x])), "x is Rows, which only fit"),
        (lambda p, k, x: aggregated_posterior(p, k, x * np.nan), "data holds 24 numbers that"),
    ],
)
def test_invalid_arguments_are_refused(call, sentence, params, pixels):
    with pytest.raises(UserError, match=sentence):
        call(params, jax.random.key(0), pixels)


@pytest.mark.slow
def test_scoring_500_categories_stays_under_2_GiB():  # noqa: N802
    """In a process of its own, because a peak covers the whole life of a process."""
    flags = ["--models", "cp", "--samples", "100", "--images", "100"]
    command = [sys.executable, "-m", "tests.footprint", *flags]
    printed = subprocess.run(
        command, cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout
    assert max(json.loads(printed).values()) < 2048
