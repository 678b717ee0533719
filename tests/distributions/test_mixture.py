"""Components and mixtures, against scipy's densities in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from cpvae_jax.distributions import mixture
from cpvae_jax.distributions.gaussian import Spread
from cpvae_jax.distributions.mixture import Cholesky, Diagonal

K, D = 4, 3


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def diagonal(K=K, narrow=0.0):
    return Diagonal(jnp.asarray(numbers(K, D)), jnp.asarray(numbers(K, D, seed=1)) - narrow)


def cholesky(K=K):
    factor = np.tril(numbers(K, D, D, seed=2), -1)
    return Cholesky(
        jnp.asarray(numbers(K, D)), jnp.asarray(factor + np.exp(numbers(K, 1, D)) * np.eye(D))
    )


def covariances(components):
    if isinstance(components, Diagonal):
        return np.exp(np.asarray(components.log_var, np.float64))[..., None] * np.eye(D)
    factor = np.asarray(components.factor, np.float64)
    return factor @ np.swapaxes(factor, 1, 2)


def densities(components, z):
    """log N(z | component k), [..., K], by scipy."""
    means = np.asarray(components.mean, np.float64)
    each = zip(means, covariances(components), strict=True)
    return np.stack([multivariate_normal(m, c).logpdf(z) for m, c in each], axis=-1)


ALL = pytest.mark.parametrize(
    "components",
    [diagonal(), diagonal(K=1), diagonal(K=500), diagonal(narrow=8.0), cholesky(), cholesky(K=1)],
    ids=["diagonal", "one", "many", "narrow", "full", "one full"],
)


@ALL
def test_densities_equal_scipy(components):
    z = np.asarray(components.mean[0]) + 0.1 * numbers(5, 6, D, seed=3)
    expected = densities(components, z)
    np.testing.assert_allclose(components.log_prob_of_each(z), expected, rtol=1e-4, atol=1e-4)
    category = np.random.default_rng(0).integers(0, mixture.size(components), (5, 6))
    np.testing.assert_allclose(
        components.log_prob(z, jnp.asarray(category)),
        np.take_along_axis(expected, category[..., None], axis=-1)[..., 0],
        rtol=1e-4,
        atol=1e-4,
    )


@ALL
def test_a_mixture_equals_scipy(components):
    z = np.asarray(components.mean[0]) + 0.1 * numbers(7, D, seed=3)
    expected = densities(components, z)
    total = logsumexp(expected, axis=-1, keepdims=True)
    np.testing.assert_allclose(
        mixture.log_prob(components, z),
        total[:, 0] - np.log(mixture.size(components)),
        rtol=1e-4,
        atol=1e-4,
    )
    responsibilities = np.exp(mixture.log_responsibilities(components, z))
    np.testing.assert_allclose(responsibilities, np.exp(expected - total), atol=1e-4)


@ALL
def test_the_divergence_equals_its_closed_form(components):
    """½ (tr(Σ⁻¹ S) + (m − μ)ᵀ Σ⁻¹ (m − μ) − D + log |Σ| / |S|), posterior by posterior."""
    count = mixture.size(components)
    mean_x, mean_c = numbers(5, D, seed=4), numbers(count, D, seed=5)
    log_var_x, log_var_c = 0.5 * numbers(5, D, seed=6), 0.5 * numbers(count, D, seed=7)
    got = components.kl_from(Spread(mean_x, log_var_x, mean_c, log_var_c))
    prior = np.asarray(components.mean, np.float64), covariances(components)
    for b in range(5):
        for k in range(min(count, 6)):
            covariance, inverse = prior[1][k], np.linalg.inv(prior[1][k])
            variance = np.exp((log_var_x[b] + log_var_c[k]).astype(np.float64))
            offset = mean_x[b].astype(np.float64) + mean_c[k] - prior[0][k]
            expected = 0.5 * (
                np.sum(np.diag(inverse) * variance)
                + offset @ inverse @ offset
                - D
                + np.linalg.slogdet(covariance)[1]
                - np.sum(np.log(variance))
            )
            np.testing.assert_allclose(got[b, k], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("components", [diagonal(), cholesky()], ids=["diagonal", "full"])
def test_samples_have_the_moments_of_the_densities(components, assert_mean):
    for k in range(K):
        z = np.asarray(components.sample(jax.random.key(k), jnp.full(20_000, k)))
        centred = z - np.asarray(components.mean[k])
        assert_mean(centred, np.zeros(D))
        assert_mean(centred[:, :, None] * centred[:, None, :], covariances(components)[k])


def test_a_diagonal_factor_gives_a_diagonal_component():
    plain = diagonal()
    full = Cholesky(plain.mean, jnp.exp(0.5 * plain.log_var)[..., None] * jnp.eye(D))
    z, category = numbers(6, D, seed=3), jnp.arange(6) % K
    np.testing.assert_allclose(
        full.log_prob_of_each(z), plain.log_prob_of_each(z), rtol=1e-5, atol=1e-5
    )
    key = jax.random.key(0)
    np.testing.assert_allclose(full.sample(key, category), plain.sample(key, category), atol=1e-6)
