"""Gaussians with full covariances against scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from cpvae_jax import Config
from cpvae_jax.distributions import mixture
from cpvae_jax.posteriors import diagonal, full

B, K = 5, 3
KEY = jax.random.key(0)


def code_of(D, seed=0):
    """All posteriors from random heads; the numbers under the diagonal are large enough to matter."""
    rng = np.random.default_rng(seed)
    widths = full.heads(Config((3,), K, D))
    of_x, of_c = (
        {
            name: jnp.asarray(
                rng.normal(0, D if name == full.TRIANGLE else 0.6, (rows, w)), jnp.float32
            )
            for name, w in widths.items()
        }
        for rows in (B, K)
    )
    return full.spread({}, of_x, of_c)


def covariance(q):
    factor = np.float64(q.factor)
    return factor @ factor.swapaxes(-1, -2)


@pytest.mark.parametrize("D", [1, 2, 4])
def test_the_density_is_scipys(D):
    q = full.at(code_of(D), jnp.array([0, 1, 2, 0, 1]))
    z = np.linspace(-1, 1, D).astype(np.float32)
    found = full.log_prob({}, q, jnp.asarray(z))
    for b in range(B):
        expected = multivariate_normal(q.mean[b], covariance(q)[b]).logpdf(z)
        np.testing.assert_allclose(found[b], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("D", "num"), [(1, 4001), (2, 401)])
def test_the_density_integrates_to_one(D, num):
    q = full.at(code_of(D), jnp.zeros(B, jnp.int32))
    axis, width = np.linspace(-15, 15, num, retstep=True)
    grid = np.stack(np.meshgrid(*[axis] * D), axis=-1).reshape(-1, D)
    log_density = jax.vmap(lambda z: full.log_prob({}, q, z))(jnp.asarray(grid, jnp.float32))
    total = np.exp(np.float64(log_density)).sum(axis=0) * width**D
    np.testing.assert_allclose(total, 1, atol=1e-3)


def test_draws_have_its_moments(assert_mean):
    q = full.at(code_of(3), jnp.array([0, 1, 2, 0, 1]))
    z, _ = full.sample({}, KEY, q, 40_000)
    off = np.float64(z) - np.float64(q.mean)
    assert_mean(z, np.asarray(q.mean))
    assert_mean(off[..., :, None] * off[..., None, :], covariance(q))
    mean, log_var = full.marginal(q)
    np.testing.assert_array_equal(mean, q.mean)
    np.testing.assert_allclose(np.exp(log_var), covariance(q).diagonal(0, 1, 2), rtol=1e-4)


def divergence(mean, cov, mean_p, cov_p):
    """KL between two Gaussians in float64."""
    inverse = np.linalg.inv(cov_p)
    quadratic = (mean_p - mean) @ inverse @ (mean_p - mean)
    log_dets = np.linalg.slogdet(cov_p)[1] - np.linalg.slogdet(cov)[1]
    return 0.5 * (np.trace(inverse @ cov) + quadratic - len(mean) + log_dets)


@pytest.mark.parametrize("kind", ["diagonal", "full"])
def test_the_divergence_to_every_kind_of_prior_equals_its_formula(kind):
    D, code, rng = 4, code_of(4), np.random.default_rng(5)
    mean = rng.normal(size=(K, D)).astype(np.float32)
    if kind == "diagonal":
        log_var = rng.normal(size=(K, D)).astype(np.float32)
        prior = mixture.Diagonal(jnp.asarray(mean), jnp.asarray(log_var))
        covs = [np.diag(np.exp(v)) for v in log_var]
    else:
        factor = np.tril(rng.normal(size=(K, D, D)), -1) + np.eye(D)
        prior = mixture.Cholesky(jnp.asarray(mean), jnp.asarray(factor, jnp.float32))
        covs = [f @ f.T for f in factor]
    found = full.kl(code, prior)
    for k in range(K):
        q = full.at(code, jnp.full(B, k))
        for b in range(B):
            expected = divergence(np.float64(q.mean[b]), covariance(q)[b], mean[k], covs[k])
            np.testing.assert_allclose(found[b, k], expected, rtol=1e-4, atol=1e-3)
            if kind == "diagonal":
                to = full.kl_to(q, jnp.asarray(mean[k]), jnp.asarray(log_var[k]))
                np.testing.assert_allclose(to[b], expected, rtol=1e-4, atol=1e-3)


def test_without_a_triangle_it_is_the_diagonal_family():
    code = code_of(4)
    code = code._replace(triangle_x=0 * code.triangle_x, triangle_c=0 * code.triangle_c)
    category = jnp.array([0, 1, 2, 0, 1])
    mean, log_var = diagonal.at(code.diagonal, category)
    z, log_q = full.sample({}, KEY, full.at(code, category), 7)
    expected = diagonal.sample({}, KEY, (mean, log_var), 7)
    np.testing.assert_allclose(z, expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(log_q, expected[1], rtol=1e-5)
