"""Diagonal Gaussians, against scipy and integrals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate
from scipy.stats import norm

from cpvae_jax.distributions import gaussian
from cpvae_jax.distributions.gaussian import Spread

log_prob, kl, sample = map(jax.jit, (gaussian.log_prob, gaussian.kl, gaussian.sample))


@jax.jit
def kl_to_each(mean_x, log_var_x, mean_c, log_var_c, mean_p, log_var_p):
    return gaussian.kl_to_each(Spread(mean_x, log_var_x, mean_c, log_var_c), mean_p, log_var_p)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_log_prob_equals_scipy_summed_over_the_last_axis(rng):
    x, mean, log_var = rng.normal(0, 2, (3, 5, 4, 2)).astype(np.float32)
    expected = norm.logpdf(x, mean, np.exp(log_var / 2)).sum(axis=-1)
    got = log_prob(x, mean, log_var)
    assert got.shape == (5, 4)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_log_prob_of_each_equals_scipy_where_components_are_narrow_and_far(rng):
    mean, log_var = rng.normal(5, 1, (3, 4)).astype(np.float32), np.full((3, 4), -8, np.float32)
    x = mean[1] + np.float32(0.01)
    got = gaussian.log_prob_of_each(x, mean, log_var)
    expected = norm.logpdf(x.astype(float), mean.astype(float), np.exp(-4.0)).sum(axis=-1)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_the_derivative_of_log_prob_of_each_equals_that_of_its_definition(rng):
    x, weight = rng.normal(0, 2, (2, 5, 4)), rng.normal(size=(2, 5, 3))
    mean, log_var = rng.normal(0, 2, (2, 3, 4))

    def plainly(x, mean, log_var):
        return gaussian.log_prob(x[..., None, :], mean, log_var)

    def gradients(fn, *arguments):
        return jax.grad(lambda *a: jnp.sum(weight * fn(*a)), argnums=(0, 1, 2))(*arguments)

    narrow = gradients(gaussian.log_prob_of_each, *map(jnp.float32, (x, mean, log_var)))
    with jax.enable_x64(True):
        arguments = (x, mean, log_var)
        expected = gradients(plainly, *arguments)
        for a, b in zip(gradients(gaussian.log_prob_of_each, *arguments), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10)
    for a, b in zip(narrow, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("q", [(0.0, 0.0), (2.0, -1.5), (-3.0, 1.0)])
@pytest.mark.parametrize("p", [(0.0, 0.0), (0.5, 0.7)])
def test_kl_equals_the_integral_of_its_definition(q, p):
    q_pdf, p_pdf = (norm(mean, np.exp(log_var / 2)) for mean, log_var in (q, p))

    def integrand(z):
        return q_pdf.pdf(z) * (q_pdf.logpdf(z) - p_pdf.logpdf(z))

    expected, _ = integrate.quad(integrand, -30, 30, points=[q[0]], limit=200)
    arguments = [jnp.array([value]) for value in (*q, *p)]
    assert float(kl(*arguments)) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_kl_sums_over_dimensions(rng):
    arguments = rng.normal(size=(4, 5, 3)).astype(np.float32)
    each = kl(*arguments[..., None])
    np.testing.assert_allclose(kl(*arguments), np.sum(each, axis=-1), rtol=1e-5)


def test_draws_have_the_mean_and_variance_of_their_parameters(assert_mean):
    mean, log_var = jnp.array([3.0, -1.0]), jnp.array([-4.0, 2.0])
    shape = (50_000, 2)
    z = sample(jax.random.key(0), jnp.broadcast_to(mean, shape), jnp.broadcast_to(log_var, shape))
    assert_mean(z, mean)
    assert_mean((z - mean) ** 2, jnp.exp(log_var))


def test_draws_carry_the_gradients_of_the_location_and_the_scale():
    key, log_var = jax.random.key(0), jnp.array([-2.0, 1.0])
    noise = sample(key, jnp.zeros(2), jnp.zeros(2))
    by_mean, by_log_var = jax.jacobian(sample, argnums=(1, 2))(key, jnp.ones(2), log_var)
    np.testing.assert_allclose(by_mean, np.eye(2))
    np.testing.assert_allclose(by_log_var, np.diag(0.5 * np.exp(log_var / 2) * noise), rtol=1e-6)


def test_the_soft_limit_is_the_identity_near_zero_bounded_and_increasing():
    near = jnp.linspace(-1, 1, 9)
    np.testing.assert_allclose(gaussian.soft_limit(near), near, atol=0.004)  # x³ / 300
    far = jnp.linspace(-60, 60, 121)
    assert np.all(np.abs(gaussian.soft_limit(far)) <= gaussian.LOG_VAR_LIMIT)
    slopes = jax.jit(jax.vmap(jax.grad(gaussian.soft_limit)))(far)
    assert np.all(slopes > 0)
    assert np.all(np.isfinite(jnp.exp(3 * gaussian.soft_limit(far))))


def _to_each(seed, B, K, D, *, mean_x=1.0, mean_c=1.0, log_var=0.5, cancel=0.0):
    """Random arguments of `kl_to_each`; `cancel` is added to mean_x and taken from mean_c."""
    rng = np.random.default_rng(seed)
    x = [rng.normal(cancel, mean_x, (B, D)), rng.normal(0, log_var, (B, D))]
    c = [rng.normal(-cancel, mean_c, (K, D)), rng.normal(0, log_var, (K, D))]
    p = [rng.normal(0, 1, (K, D)), rng.normal(0, log_var, (K, D))]
    return [np.float32(a) for a in (*x, *c, *p)]


def _broadcast(*arguments):
    """KL of each example to each category in float64, with full [B, K, D] arrays."""
    mean_x, log_var_x, mean_c, log_var_c, mean_p, log_var_p = map(np.float64, arguments)
    mean, log_var = mean_x[:, None] + mean_c, log_var_x[:, None] + log_var_c
    terms = np.exp(log_var - log_var_p) - 1 + log_var_p - log_var
    return 0.5 * np.sum(terms + (mean - mean_p) ** 2 * np.exp(-log_var_p), axis=-1)


@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ((7, 3, 1), {}),
        ((7, 50, 40), {}),
        ((7, 50, 40), {"log_var": 3.0}),
        ((7, 50, 40), {"mean_x": 1000.0}),
        ((7, 50, 40), {"mean_c": 1000.0}),
    ],
)
def test_kl_to_each_equals_the_broadcast_formula_to_1e_5(sizes, options):
    arguments = _to_each(0, *sizes, **options)
    np.testing.assert_allclose(kl_to_each(*arguments), _broadcast(*arguments), rtol=1e-5)


@pytest.mark.parametrize("cancel", [1.0, 10.0, 100.0, 1000.0])
def test_the_error_of_kl_to_each_is_bounded_by_the_squares_that_it_multiplies_out(cancel):
    """Where mean_x and mean_c cancel, the squares are far larger than the result."""
    arguments = _to_each(0, 7, 50, 40, cancel=cancel)
    mean_x, _, mean_c, _, mean_p, log_var_p = arguments
    squares = (np.abs(mean_x)[:, None] + np.abs(mean_c - mean_p)) ** 2 * np.exp(-log_var_p)
    exact = _broadcast(*arguments)
    error = np.abs(kl_to_each(*arguments) - exact)
    assert np.all(error <= 1e-5 * exact + 5e-7 * squares.sum(axis=-1))


def test_kl_to_each_has_the_gradients_of_kl():
    arguments = [jnp.asarray(a) for a in _to_each(1, 4, 3, 2)]

    def broadcast(mean_x, log_var_x, mean_c, log_var_c, mean_p, log_var_p):
        mean, log_var = mean_x[:, None] + mean_c, log_var_x[:, None] + log_var_c
        return gaussian.kl(mean, log_var, mean_p, log_var_p)

    got, expected = (
        jax.jit(jax.grad(lambda a, f=f: jnp.sum(jnp.sin(f(*a)))))(arguments)
        for f in (kl_to_each, broadcast)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-4), got, expected)
