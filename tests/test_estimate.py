import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cpvae_jax import (
    Config,
    UserError,
    aggregated_posterior,
    bound,
    bound_terms,
    decomposition,
    estimate,
    log_likelihood,
)
from cpvae_jax.models import cpvae

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def batches_of_3(monkeypatch):
    monkeypatch.setattr(estimate, "BATCH", 3)


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_every_example_goes_through_once_in_batches_of_one_size(batch):
    data, sizes, keys = jnp.arange(14.0).reshape(7, 2), [], []

    def fn(key, x):
        sizes.append(len(x))
        keys.append(tuple(np.asarray(jax.random.key_data(key))))
        return {"sum": x.sum(axis=1), "x": x}

    got = estimate.in_batches(fn, jax.random.key(0), data, batch)
    np.testing.assert_array_equal(got["x"], data)
    np.testing.assert_array_equal(got["sum"], data.sum(axis=1))
    assert sizes == [min(batch, 7)] * -(-7 // batch)
    assert len(set(keys)) == len(keys)


def test_bound_terms_are_those_of_each_example(params, pixels, reference, batches_of_3):
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
    got = aggregated_posterior(params, jax.random.key(0), pixels)
    np.testing.assert_allclose(got, reference(params).posterior(pixels)[0].mean(axis=0), rtol=1e-5)


# Importance sampling


@pytest.fixture(scope="module")
def standard_error(covering, pixels):
    """Of the importance-sampled log p(x), S = 5000, by independent weights: sd(w) / mean(w) / √S."""

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


def test_a_number_of_samples_that_chunks_do_not_divide_counts_each_once(shaken):
    """With a decoder that ignores z and c, every weight is p(x): no sample may be lost or added."""
    params = shaken(Config(shape=(3,), K=1, latent=1, hidden=(8,), binarise="none"))
    zero = jax.tree.map(jnp.zeros_like, params)
    prior_is_posterior = zero.replace(aggregate=params.aggregate)
    for samples in (49, 120):
        got = log_likelihood(
            prior_is_posterior, jax.random.key(0), np.ones((2, 3)), samples=samples
        )
        np.testing.assert_allclose(got, -3 * np.log(2), rtol=1e-5)


def test_progress_is_told_up_to_the_number_of_examples(covering, pixels):
    told = []
    log_likelihood(
        covering,
        jax.random.key(1),
        pixels,
        samples=5000,
        memory=5000,
        progress=lambda *at: told.append(at),
    )
    done = [d for d, _ in told]
    assert done == sorted(done)
    assert done[-1] == 8
    assert {n for _, n in told} == {8}


@pytest.mark.parametrize("memory", [2**18, 2**26])
def test_importance_sampling_stays_within_its_memory(memory, monkeypatch):
    """By XLA's own account of temporary memory, for K = 500, S = 5000 and a thousand images."""
    config = Config(shape=(10, 10), K=500, latent=4, hidden=(16,), binarise="none")
    params = jax.eval_shape(partial(cpvae.init, config=config), jax.random.key(0))
    compiled, seen = estimate._log_likelihood, []

    def account(params, key, data, *, samples, chunk, mesh):
        if not seen:
            lowered = compiled.lower(params, key, data, samples=samples, chunk=chunk, mesh=mesh)
            seen.append(lowered.compile().memory_analysis().temp_size_in_bytes)
            seen.append(len(data) * chunk)
        return jnp.zeros(len(data))

    monkeypatch.setattr(estimate, "_log_likelihood", account)
    log_likelihood(params, jax.random.key(0), np.zeros((1000, 10, 10)), samples=5000, memory=memory)
    temporary, rows = seen
    assert rows >= 50
    assert temporary <= memory


# The decomposition of the divergence


KEYS = 16


@pytest.fixture(scope="module")
def decomposed(params, pixels):
    """The decomposition at several keys, each an array [KEYS]."""
    each = [
        decomposition(params, key, pixels, draws=500)
        for key in jax.random.split(jax.random.key(0), KEYS)
    ]
    return {name: np.array([one[name] for one in each]) for name in each[0]}


def test_the_decomposed_divergence_is_the_mean_divergence(decomposed, params, pixels, reference):
    exact = np.sum(reference(params).divergences(pixels), axis=0).mean()
    assert np.all(np.abs(decomposed["kl"] - exact) <= 5 * decomposed["standard_error"])
    # The error told is the spread seen: 16 keys know it to a fifth or so.
    spread = decomposed["kl"].std(ddof=1)
    assert 0.4 < spread / decomposed["standard_error"].mean() < 2


def test_the_parts_of_the_decomposition_add_up(decomposed):
    of = decomposed
    np.testing.assert_allclose(
        of["mutual_information"], of["mutual_information_c"] + of["mutual_information_z"], rtol=1e-5
    )
    total = of["mutual_information"] + of["prior_match"] - of["entropy_c"] + of["log_K"]
    np.testing.assert_allclose(of["kl"], total, rtol=1e-5)
    np.testing.assert_allclose(of["log_K"], np.log(2), rtol=1e-6)


def test_each_part_of_the_decomposition_is_its_integral(
    decomposed, params, pixels, reference, assert_mean
):
    """Mixtures q(z|c) of the eight posteriors, on the grid."""
    numpy = reference(params)
    probs, density = numpy.posterior(pixels)[0], numpy.posterior_density(pixels)
    q_c = probs.mean(axis=0)
    entropy = -np.sum(q_c * np.log(q_c))
    np.testing.assert_allclose(decomposed["entropy_c"], entropy, rtol=1e-5)
    mutual_c = np.sum(probs * np.log(probs / q_c)) / 8
    np.testing.assert_allclose(decomposed["mutual_information_c"], mutual_c, rtol=1e-4)
    joint = probs[:, :, None] * density / 8  # q(x, c, z)
    q_z = joint.sum(axis=0) / q_c[:, None]
    tiny = np.finfo(float).tiny  # 0 · log 0 = 0
    logs = np.log(density + tiny) - np.log(q_z + tiny)
    assert_mean(decomposed["mutual_information_z"], np.sum(joint * logs) * numpy.step)
    match = np.sum(joint.sum(axis=0) * (np.log(q_z + tiny) - numpy.log_prior())) * numpy.step
    assert_mean(decomposed["prior_match"], match)


def test_mutual_information_is_at_most_log_n_and_reaches_it(params, pixels):
    """Posteriors so narrow that no two overlap tell each of the eight images from the others."""
    log_var = params.encoder["log_var"]
    narrow = params.replace(
        encoder=params.encoder | {"log_var": log_var | {"bias": log_var["bias"] - 30}}
    )
    got = decomposition(narrow, jax.random.key(0), pixels, draws=500)["mutual_information"]
    assert np.log(8) - 0.2 < got <= np.log(8) + 1e-4
    nothing = params.replace(encoder=jax.tree.map(jnp.zeros_like, params.encoder))
    got = decomposition(nothing, jax.random.key(0), pixels, draws=500)["mutual_information"]
    assert got == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda p, k, x: log_likelihood(p, k, x, samples=0), "samples is 0"),
        (lambda p, k, x: log_likelihood(p, k, x, memory=0), "memory is 0"),
        (lambda p, k, x: log_likelihood(p, k, x[:0]), "x is empty"),
        (lambda p, k, x: bound_terms(p, k, x, samples=1.5), "samples is 1.5"),
        (lambda p, k, x: bound_terms(p, k, x, estimator="best"), "estimator is 'best'"),
        (lambda p, k, x: decomposition(p, k, x, draws=0), "draws is 0"),
        (lambda p, k, x: decomposition(p, k, x[:, :2]), r"data has the shape \(8, 2\)"),
        (lambda p, k, x: aggregated_posterior(p, k, x * np.nan), "data holds 24 numbers that"),
    ],
)
def test_mistakes_are_told(call, sentence, params, pixels):
    with pytest.raises(UserError, match=sentence):
        call(params, jax.random.key(0), pixels)


def test_scoring_500_categories_stays_under_2_GiB():  # noqa: N802
    """In a process of its own: a peak is that of all its past."""
    flags = ["--models", "cp", "--samples", "100", "--images", "100"]
    command = [sys.executable, "-m", "tests.footprint", *flags]
    told = subprocess.run(
        command, cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout
    assert max(json.loads(told).values()) < 2048
