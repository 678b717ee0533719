"""Models with each posterior family: their bound is below log p(x), and their weights average to p(x)."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

import cpvae_jax
from cpvae_jax import Config, likelihoods, models

KEY = jax.random.key(0)
pytestmark = pytest.mark.usefixtures("flow")
CASES = [(model, family) for model in ("cp", "mg", "hcp", "hvae") for family in ("full", "flow")]


@pytest.fixture(scope="module")
def made(shaken):
    """A model of two-dimensional codes with random weights.

    Posteriors are wider than priors, so that importance weights have a variance.
    """

    def make(name, family):
        K = 1 if name == "hvae" else 2
        options = {"latent": 2, "hidden": (5,), "binarise": "none", "posterior": family}
        params = shaken(Config.of_model(name, shape=(3,), K=K, **options))
        weights = jax.tree.map(lambda a: 0.3 * a, params.weights)
        for part in ("heads", "below"):
            if "log_var" in weights[part]:
                weights[part]["log_var"]["bias"] += 1.0
        return params.with_weights(weights)

    return make


@partial(jax.jit, static_argnames=("estimator", "num"))
def bounds(params, x, *, estimator, num=4000):
    model, x = models.of(params.config), jnp.asarray(x)
    encoding = model.infer(params, x)
    return jax.vmap(lambda key: model.terms(params, key, x, encoding, estimator).bound)(
        jax.random.split(KEY, num)
    )


@partial(jax.jit, static_argnames="num")
def log_weights(params, x, *, num=20_000):
    model, x = models.of(params.config), jnp.asarray(x)
    return model.log_weights(params, KEY, x, model.infer(params, x), num)


def standard_error(draws):
    return draws.std(axis=0) / len(draws) ** 0.5


def integrated(params, x):
    """log p(x) of a one-level model, [B]: the prior times the decoder's density, on a grid of z."""
    axis, width = np.linspace(-9, 9, 151, retstep=True)
    z = jnp.asarray(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), jnp.float32)
    model, config = models.of(params.config), params.config
    like, parts = likelihoods.of(config), []
    for c in range(config.K if model.seen(0) == 0 else 1):
        category = jnp.full(len(z), c, jnp.int32)
        output = model.decode(params, None, z, category)
        log_x = like.log_prob(config, params.likelihood, output[:, None], jnp.asarray(x))
        log_p = model.log_prior(params, z, model.seen(category))
        parts.append(np.float64(log_x + log_p[:, None]) + 2 * np.log(width))
    return logsumexp(np.concatenate(parts), axis=0)


@pytest.mark.parametrize(("name", "family"), CASES)
def test_bound_and_weights_agree_with_the_likelihood(name, family, made, pixels, assert_mean):
    params = made(name, family)
    draws = log_weights(params, pixels)
    weights = np.exp(np.float64(draws))
    if not name.startswith("h"):
        likelihood = integrated(params, pixels)
        assert np.exp(likelihood).sum() == pytest.approx(1, abs=1e-4)
        assert_mean(weights, np.exp(likelihood), rounding=1e-4)
    assert_mean(weights.sum(axis=1), 1.0, rounding=1e-4)
    likelihood = np.log(weights.mean(axis=0))
    for estimator in ("hard", "exact"):
        found = np.float64(bounds(params, pixels, estimator=estimator))
        error = np.hypot(standard_error(found), standard_error(np.float64(draws)))
        assert np.all(abs(found.mean(axis=0) - np.float64(draws).mean(axis=0)) < 6 * error)
        assert np.all(found.mean(axis=0) + 6 * standard_error(found) < likelihood)


@pytest.mark.parametrize(("name", "family"), [("hcp", "full"), ("hcp", "flow")])
def test_the_posterior_of_the_lower_code_is_of_the_same_family(name, family, made, pixels):
    """Its head has an effect on the bound, and its weights get a gradient."""
    params = made(name, family)
    head = {"full": "triangle", "flow": "context"}[family]

    def bound(below):
        moved = params.with_weights({**params.weights, "below": below})
        return jnp.mean(bounds(moved, pixels, estimator="exact", num=2))

    slopes = jax.grad(bound)(params.weights["below"])
    for leaf in jax.tree.leaves([slopes[head], slopes.get("posterior", {})]):
        assert np.all(np.isfinite(leaf))
        assert np.any(leaf != 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cp", "hcp"])
@pytest.mark.parametrize("family", ["full", "flow"])
def test_a_model_trains_samples_and_comes_back_from_disk(name, family, pixels, tmp_path):
    config = Config.of_model(
        name, shape=(3,), K=2, latent=2, hidden=(5,), binarise="none", posterior=family
    )
    settings = cpvae_jax.Training(learning_rate=1e-2, batch_size=4, warmup=1, epochs=3)
    params = cpvae_jax.fit(KEY, config, pixels, pixels, recipe=settings).params
    fresh = cpvae_jax.initialise(KEY, config, pixels)
    moved = jax.tree.map(lambda a, b: np.any(a != b), params.weights, fresh.weights)
    assert all(jax.tree.leaves(moved))
    cpvae_jax.save(tmp_path / "model", params)
    loaded = cpvae_jax.load(tmp_path / "model")
    images = [cpvae_jax.sample(p, KEY, category=1, num=4) for p in (params, loaded)]
    np.testing.assert_array_equal(*images)
    posterior = cpvae_jax.encode(loaded, pixels)
    assert posterior.mean.shape == (8, 2, 2)
    assert np.all(np.isfinite(cpvae_jax.bound(loaded, KEY, pixels).bound))
