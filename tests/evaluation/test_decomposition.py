"""The decomposition of the expected divergence, against integrals on a grid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cpvae_jax import UserError, decomposition, posteriors
from cpvae_jax.registry import POSTERIORS

KEYS = 16


@pytest.fixture(scope="module")
def decomposed(params, pixels):
    """The decomposition at several keys, each an array [KEYS]."""
    each = [
        decomposition(params, key, pixels, draws=500)
        for key in jax.random.split(jax.random.key(0), KEYS)
    ]
    return {name: np.array([one[name] for one in each]) for name in each[0]}


def test_the_decomposed_divergence_equals_the_mean_divergence(
    decomposed, params, pixels, reference
):
    exact = np.sum(reference(params).divergences(pixels), axis=0).mean()
    assert np.all(np.abs(decomposed["kl"] - exact) <= 5 * decomposed["standard_error"])
    # The reported error matches the spread over keys, which 16 of them give to about a fifth.
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


def test_each_part_of_the_decomposition_equals_its_integral(
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
    """Posteriors that do not overlap tell each of the eight images from the others."""
    heads = params.weights["heads"]
    apart = {
        "mean": heads["mean"] | {"kernel": 20 * heads["mean"]["kernel"]},
        "log_var": heads["log_var"] | {"bias": heads["log_var"]["bias"] - 30},
    }
    narrow = params.replace(weights={**params.weights, "heads": heads | apart})
    got = decomposition(narrow, jax.random.key(0), pixels, draws=500)["mutual_information"]
    assert np.log(8) - 0.2 < got <= np.log(8) + 1e-4
    zero = {
        name: jax.tree.map(jnp.zeros_like, params.weights[name]) for name in ("encoder", "heads")
    }
    nothing = params.replace(weights={**params.weights, **zero})
    got = decomposition(nothing, jax.random.key(0), pixels, draws=500)["mutual_information"]
    assert got == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda p, k, x: decomposition(p, k, x, draws=0), "draws is 0"),
        (lambda p, k, x: decomposition(p, k, x[:, :2]), r"data has the shape \(8, 2\)"),
    ],
)
def test_invalid_arguments_are_refused(call, sentence, params, pixels):
    with pytest.raises(UserError, match=sentence):
        call(params, jax.random.key(0), pixels)


def test_a_posterior_without_a_density_is_refused(params, pixels):
    posteriors.register("opaque", POSTERIORS["diagonal"]._replace(log_prob=None))
    try:
        config = type(params.config)(**{**params.config.to_dict(), "posterior": "opaque"})
        with pytest.raises(UserError, match="the posterior 'opaque' does not give its density"):
            decomposition(params.replace(config=config), jax.random.key(0), pixels)
    finally:
        POSTERIORS.forget("opaque")
