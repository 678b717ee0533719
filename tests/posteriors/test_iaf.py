"""Inverse autoregressive flows against autodiff, integrals on a grid, and the diagonal family."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from cpvae_jax import Config, models, posteriors
from cpvae_jax.models import start
from cpvae_jax.posteriors import diagonal, iaf
from cpvae_jax.registry import POSTERIORS

KEY = jax.random.key(0)
UNITS = 6


def shaken_steps(D, steps, seed=0):
    """Steps of a flow with random weights, and a random context for them."""
    rng = np.random.default_rng(seed)
    template = iaf.family(steps, UNITS).init(KEY, Config((3,), latent=D))
    weights = jax.tree.map(lambda a: jnp.asarray(rng.normal(0, 0.8, a.shape), a.dtype), template)
    return weights, jnp.asarray(rng.normal(size=steps * UNITS), jnp.float32)


@pytest.mark.parametrize("D", [1, 2, 5])
def test_the_log_determinant_is_that_of_the_jacobian(D):
    weights, context = shaken_steps(D, 3)
    z = np.random.default_rng(1).normal(size=(20, D))
    with jax.enable_x64(True):
        weights, context = jax.tree.map(np.float64, (weights, context))
        jacobians = jax.vmap(jax.jacfwd(lambda z: iaf.bend(weights, z, context)[0]))(z)
        _, found = iaf.bend(weights, z, np.broadcast_to(context, (20, 3 * UNITS)))
        found = np.asarray(found)
    expected = np.linalg.slogdet(np.asarray(jacobians))[1]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    assert np.std(found) > 0.01 or D == 1  # it depends on z


@pytest.mark.parametrize("D", [2, 5, 9])
def test_a_step_is_autoregressive(D):
    """Each dimension depends on itself by a factor, and on those before it; on none after it."""
    weights, context = shaken_steps(D, 1)

    def jacobian(backwards):
        def point(z):
            return iaf.step(weights[0], z, context, backwards=backwards)[0]

        return np.asarray(jax.jacfwd(point)(jnp.linspace(-1, 1, D)))

    found = jacobian(False)
    assert np.all(np.triu(found, 1) == 0)
    assert np.all(np.tril(jacobian(True), -1) == 0)
    assert np.all(jacobian(True)[:-1, -1] != 0)
    assert np.all(np.diagonal(found) > 0)
    assert np.all(found[1:, 0] != 0)  # the masks leave no dimension out


def inverted(weights, context, z):
    """z⁰ of z [N, D] in float64, dimension by dimension: m_i and s_i do not depend on z_i."""
    with jax.enable_x64(True):
        weights, context = jax.tree.map(np.float64, (weights, context))
        z = np.float64(z)
        for n in reversed(range(len(weights))):
            own, D = context[n * UNITS : (n + 1) * UNITS], z.shape[1]
            step = partial(iaf.step, weights[n], context=own, backwards=n % 2 == 1)
            before = np.zeros_like(z)
            for i in reversed(range(D)) if n % 2 else range(D):
                at_one = before.copy()
                at_one[:, i] = 1
                m = np.asarray(step(before)[0])[:, i]
                slope = np.asarray(step(at_one)[0])[:, i] - m
                before[:, i] = (z[:, i] - m) / slope
            z = before
        bent, log_det = iaf.bend(weights, z, context)
    return z, np.asarray(bent), np.asarray(log_det)


@pytest.mark.parametrize(("D", "num"), [(1, 4001), (2, 601)])
def test_the_density_integrates_to_one(D, num):
    """On a grid of z, through the inverse: an invertible flow leaves no mass out and counts none twice."""
    weights, context = shaken_steps(D, 2)
    weights = jax.tree.map(lambda a: 0.5 * a, weights)
    axis, width = np.linspace(-14, 14, num, retstep=True)
    grid = np.stack(np.meshgrid(*[axis] * D), axis=-1).reshape(-1, D)
    base, bent, log_det = inverted(weights, context, grid)
    np.testing.assert_allclose(bent, grid, atol=1e-6)
    density = np.exp(norm.logpdf(base).sum(axis=1) - log_det)
    assert density.sum() * width**D == pytest.approx(1, abs=1e-3)
    assert density.std() > 0


@pytest.fixture
def without_steps():
    posteriors.register("no-steps", iaf.family(0))
    yield "no-steps"
    POSTERIORS.forget("no-steps")


def test_without_steps_it_is_the_diagonal_family(without_steps, shaken, pixels):
    config = Config((3,), K=2, latent=3, hidden=(4,), binarise="none", posterior=without_steps)
    given = shaken(config)
    heads = {name: head for name, head in given.weights["heads"].items() if name != iaf.CONTEXT}
    plain = shaken(Config((3,), K=2, latent=3, hidden=(4,), binarise="none"))
    plain = plain.with_weights({**given.weights, "heads": heads, "posterior": {}})
    found, expected = (log_weights(p, pixels) for p in (given, plain))
    np.testing.assert_array_equal(found, expected)


@partial(jax.jit, static_argnames="num")
def log_weights(params, x, *, num=50):
    model = models.of(params.config)
    return model.log_weights(params, KEY, jnp.asarray(x), model.infer(params, jnp.asarray(x)), num)


def test_fresh_steps_are_the_identity():
    """Training starts at the diagonal family."""
    config = Config((3,), K=2, latent=3, hidden=(4,), posterior="iaf")
    params = start.init(KEY, config)
    rng = np.random.default_rng(0)
    widths = POSTERIORS["iaf"].heads(config)
    of_x, of_c = (
        {n: jnp.asarray(rng.normal(size=(rows, w)), jnp.float32) for n, w in widths.items()}
        for rows in (5, 2)
    )
    own = params.weights["posterior"]
    q = iaf.at(iaf.spread(own, of_x, of_c), jnp.array([0, 1, 1, 0, 1]))
    found = iaf.sample(own, KEY, q, 4)
    chex.assert_trees_all_close(found, diagonal.sample({}, KEY, q.base, 4), rtol=1e-6)
    np.testing.assert_array_equal(iaf.mean(own, q), q.base[0])
