"""Numbers at their limits: finite, of the right sign, and close to those of float64."""

import math

import chex
import hypothesis
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, likelihoods, models, posteriors, priors
from cpvae_jax.distributions import categorical, gaussian, mixture
from cpvae_jax.distributions.gaussian import Spread
from cpvae_jax.evaluation import estimates
from cpvae_jax.evaluation.estimates import ESTIMATORS
from cpvae_jax.models import cpvae, start
from cpvae_jax.registry import PRIORS, parts_of_model
from cpvae_jax.types import Own

FAR_LOGIT, FAR_LOG_VAR = 1e4, 1e6
"""The size of extreme logits and, before their soft limit, of extreme log-variances."""

hypothesis.settings.register_profile(
    "tests", deadline=None, database=None, derandomize=True, max_examples=60
)
hypothesis.settings.load_profile("tests")


# Whole models at their limits


def at_the_limits(config, shaken):
    """Parameters with logits of ±1e4 and log-variances at both of their limits, alternating."""
    params = shaken(config)

    def alternate(array, size):
        return jnp.where(jnp.arange(array.size).reshape(array.shape) % 2 == 0, size, -size)

    def far(path, array):
        names = [str(getattr(entry, "key", getattr(entry, "name", ""))) for entry in path]
        if names[-2:] == ["logits", "bias"] or names[-2:] == ["output", "bias"]:
            return alternate(array, FAR_LOGIT)
        if "log_var" in names and names[-1] in ("bias", "category", "log_var"):
            return alternate(array, FAR_LOG_VAR)
        return array

    driven = jax.tree.map_with_path(far, params)
    sizes = {float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(driven)}
    assert FAR_LOGIT in sizes or config.likelihood == "gaussian"
    assert FAR_LOG_VAR in sizes
    return driven


@pytest.mark.parametrize(
    ("name", "likelihood"),
    [
        *((name, "bernoulli") for name in (*priors.names(), "hcp", "hvp")),
        ("cp", "gaussian"),
        ("hvp", "gaussian"),
    ],
)
def test_bound_gradient_and_sampler_are_finite_at_the_limits(name, likelihood, shaken):
    K = 1 if PRIORS[parts_of_model(name)[0]].single else 7
    binarise = {"binarise": "none"} if likelihood == "bernoulli" else {}
    config = Config.of_model(
        name, shape=(4,), K=K, latent=2, hidden=(5,), likelihood=likelihood, **binarise
    )
    check_finite(at_the_limits(config, shaken), EXTREMES)


@pytest.mark.parametrize("K", [1, 2000])
def test_any_number_of_categories_and_a_batch_of_one_at_the_limits(K, shaken):
    config = Config((4,), K, 2, (5,), binarise="none")
    check_finite(at_the_limits(config, shaken), EXTREMES[1:2])


EXTREMES = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 1]], np.float32)
"""Pixels of exactly 0 and 1."""


def check_finite(params, x):
    """All results of a model are finite, and the gradient of the sum over all estimators."""
    key, x, model = jax.random.key(0), jnp.asarray(x), models.of(params.config)
    # Where no category is inferred, all estimators are the same.
    estimators = ESTIMATORS if priors.of(params.config).inferred else ("exact",)

    def bounds(weights):
        moved = params.replace(weights=weights)
        encoding = model.infer(moved, x)
        terms = {e: model.terms(moved, key, x, encoding, e, 0.1).named() for e in estimators}
        return sum(jnp.mean(named["bound"]) for named in terms.values()), terms

    @jax.jit
    def everything(params):
        config, encoding = params.config, model.infer(params, x)
        output = model.generate(params, key, jnp.arange(len(x)) % config.K)
        likelihood = likelihoods.of(config)
        return (
            jax.value_and_grad(bounds, has_aux=True)(params.weights),
            model.log_weights(params, key, x, encoding, 5),
            jax.nn.softmax(model.logits(params, encoding)),
            likelihood.mean(config, params.likelihood, output),
            likelihood.sample(config, params.likelihood, key, output),
        )

    chex.assert_tree_all_finite(everything(params))


# Properties, for any numbers


finite = st.floats(-1e4, 1e4, width=32)
far = st.floats(-FAR_LOGIT, FAR_LOGIT, width=32)
limited = st.floats(-gaussian.LOG_VAR_LIMIT, gaussian.LOG_VAR_LIMIT, width=32)


def matrix(values, rows=3, columns=4):
    return arrays.arrays(np.float32, (rows, columns), elements=values)


kl = jax.jit(gaussian.kl)
kl_to_uniform, relaxed = jax.jit(categorical.kl_to_uniform), jax.jit(categorical.relaxed)
straight, hard = jax.jit(categorical.straight_through), jax.jit(categorical.hard)
mixed, log_shares = jax.jit(mixture.log_prob), jax.jit(mixture.log_responsibilities)


@jax.jit
def kl_to_each(mean_x, log_var_x, mean_c, log_var_c, mean_p, log_var_p):
    return gaussian.kl_to_each(Spread(mean_x, log_var_x, mean_c, log_var_c), mean_p, log_var_p)


@hypothesis.given(matrix(finite), matrix(limited), matrix(finite), matrix(limited))
def test_a_divergence_is_finite_and_not_negative(mean, log_var, mean_p, log_var_p):
    value = kl(mean, log_var, mean_p, log_var_p)
    scale = np.sum(np.abs(log_var) + np.abs(log_var_p) + np.exp(log_var - log_var_p) + 1, axis=-1)
    assert np.all(np.isfinite(value))
    assert np.all(value >= -1e-6 * scale)
    np.testing.assert_allclose(kl(mean, log_var, mean, log_var), 0, atol=1e-5)


@hypothesis.given(matrix(finite), matrix(limited), st.permutations(range(3)))
def test_divergences_are_permuted_with_their_categories(mean, log_var, order):
    order = np.array(order)
    rng = np.random.default_rng(0)
    tables = [rng.normal(0, 1, (3, 4)).astype(np.float32) for _ in range(4)]
    straight = kl_to_each(mean, log_var, *tables)
    turned = kl_to_each(mean, log_var, *(table[order] for table in tables))
    assert np.all(np.isfinite(straight))
    scale = np.abs(straight) + 1e-4 * np.sum(mean**2, axis=-1, keepdims=True)
    assert np.all(np.abs(straight[:, order] - turned) <= 1e-5 * scale[:, order])


@hypothesis.given(matrix(far))
def test_the_divergence_of_c_lies_between_its_limits(logits):
    value = kl_to_uniform(logits)
    assert np.all((value >= -1e-6) & (value <= math.log(4) + 1e-6))


@hypothesis.given(matrix(far), st.floats(2.0**-7, 10.0, width=32), st.integers(0, 2**31 - 1))
def test_draws_of_a_category_are_weights_that_sum_to_one(logits, temperature, seed):
    key = jax.random.key(seed)
    for draw in (relaxed, straight):
        weights = draw(key, logits, temperature)
        assert np.all((weights >= -1e-6) & (weights <= 1 + 1e-6))
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    assert set(np.unique(hard(key, logits, temperature))) <= set(range(4))
    # A category of probability 0 is not drawn.
    chances = jax.nn.softmax(logits)[np.arange(3), hard(key, logits, temperature)]
    assert np.all(chances > 0)


@hypothesis.given(matrix(finite, 5), matrix(limited, 5), matrix(finite, 3))
def test_a_mixture_lies_between_its_components(mean, log_var, z):
    components = mixture.Diagonal(jnp.asarray(mean), jnp.asarray(log_var))
    each = np.asarray(components.log_prob_of_each(jnp.asarray(z)))
    value = np.asarray(mixed(components, z))
    slack = 1e-5 * (1 + np.abs(value))
    assert np.all(np.isfinite(value))
    assert np.all(value <= each.max(axis=-1) + slack)
    assert np.all(value >= each.max(axis=-1) - math.log(5) - slack)
    np.testing.assert_allclose(np.exp(log_shares(components, z)).sum(axis=-1), 1, atol=1e-5)


@hypothesis.given(matrix(far), matrix(st.sampled_from([0.0, 1.0])))
def test_the_log_probability_of_pixels_is_finite_and_at_most_0(logits, x):
    config = Config(shape=(4,), binarise="none")
    value = likelihoods.of(config).log_prob(
        config, Own({}, {}), jnp.asarray(logits)[..., None], jnp.asarray(x)
    )
    assert np.all(np.isfinite(value))
    assert np.all(value <= 0)


@hypothesis.given(st.integers(1, 40), st.integers(1, 50))
def test_every_example_counts_once_whatever_the_batch(count, batch):
    data = np.arange(1, count + 1)
    seen = estimates.in_batches(lambda key, part: part, jax.random.key(0), data, batch)
    np.testing.assert_array_equal(seen, data)


@hypothesis.given(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4), st.integers(1, 3))
def test_shapes_for_any_sizes(B, K, D, depth):
    config = Config(shape=(2, 3), K=K, latent=D, hidden=(4,) * depth)

    def run(key, x):
        params = start.init(key, config)
        terms = cpvae.terms(params, key, x, cpvae.infer(params, x), "exact")
        chex.assert_shape([terms.reconstruction, terms.kl_c, terms.kl_z], (B,))
        chex.assert_shape(cpvae.generate(params, key, jnp.zeros(B, jnp.int32)), (B, 2, 3, 1))

    jax.eval_shape(run, jax.random.key(0), jnp.zeros((B, 2, 3)))


@pytest.mark.parametrize("name", ["cp", "hcp", "mg"])
def test_the_order_of_examples_does_not_matter(name, shaken):
    """Checked on the posterior, which involves no draw."""
    config = Config.of_model(name, shape=(4,), K=5, latent=2, hidden=(6,), binarise="none")
    params = shaken(config)
    x = np.random.default_rng(0).random((8, 4)).round().astype(np.float32)
    order = np.random.default_rng(1).permutation(8)
    posterior = cpvae_jax.encode(params, x)
    turned = cpvae_jax.encode(params, x[order])
    for a, b in zip(jax.tree.leaves(posterior), jax.tree.leaves(turned), strict=True):
        np.testing.assert_allclose(a[order], b, rtol=1e-5, atol=1e-6)


# float32 against float64, at the paper's size


@pytest.mark.parametrize(("name", "K"), [("cp", 10), ("cp", 500), ("full", 10), ("mg", 500)])
def test_float32_equals_float64_to_the_stated_tolerances(name, K, shaken):
    """The terms of a bound of about 550 nats to 5e-4 nats, for given codes and categories."""
    config = Config(shape=(28, 28), K=K, prior=name, binarise="none")
    model, family = models.of(config), posteriors.of(config)
    narrow = jax.tree.map(lambda a: 0.1 * a, shaken(config))
    x = np.random.default_rng(0).random((20, 28, 28)).round().astype(np.float32)

    def terms(params, x):
        encoding = model.infer(params, x)
        conditional = family.at(encoding.code, model.seen(jnp.arange(20) % K))
        z, log_var = conditional
        output = model.decode(params, None, z, jnp.arange(20) % K)
        log_prob = likelihoods.of(config).log_prob(config, params.likelihood, output, x)
        if priors.of(config).inferred:
            kl_c, kl_z = cpvae.divergences(params, encoding, jnp.zeros(20))
        else:
            kl_c = jnp.zeros_like(log_prob)
            kl_z = gaussian.log_prob(z, z, log_var) - model.log_prior(params, z, None)
        return {"reconstruction": log_prob, "kl_c": kl_c, "kl_z": kl_z}

    single = jax.jit(terms)(narrow, x)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: jnp.asarray(np.asarray(a), jnp.float64), narrow)
        double = jax.tree.map(np.asarray, jax.jit(terms)(wide, jnp.asarray(x, jnp.float64)))
    assert double["kl_z"].dtype == np.float64
    assert np.all(double["reconstruction"] < -500)
    for term, tolerance in {"reconstruction": 5e-4, "kl_c": 1e-5, "kl_z": 1e-4}.items():
        np.testing.assert_allclose(single[term], double[term], rtol=0, atol=tolerance, err_msg=term)


def test_the_products_over_all_categories_are_accurate_in_float32():
    """To 1e-5 of the divergence, with means far from the priors, as after long training."""
    rng = np.random.default_rng(0)
    shapes = {
        "mean_x": (50, 40),
        "log_var_x": (50, 40),
        "mean_c": (500, 40),
        "log_var_c": (500, 40),
    }
    drawn = {name: rng.normal(0, 2, shape) for name, shape in shapes.items()}
    prior = rng.normal(0, 2, (500, 40)), rng.normal(0, 1, (500, 40))

    def divergence(dtype):
        q = Spread(**{name: jnp.asarray(a, dtype) for name, a in drawn.items()})
        return np.asarray(mixture.Diagonal(*(jnp.asarray(a, dtype) for a in prior)).kl_from(q))

    single = divergence(jnp.float32)
    with jax.enable_x64(True):
        double = divergence(jnp.float64)
    np.testing.assert_allclose(single, double, rtol=1e-5)
