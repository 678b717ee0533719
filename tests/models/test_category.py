"""A learned p(c), and pruned components, against the same model in numpy."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp, rel_entr, softmax
from scipy.stats import norm

import cpvae_jax
from cpvae_jax import Config, Training, UserError, initialise, models, objectives
from cpvae_jax.evaluation.estimates import ESTIMATORS
from cpvae_jax.models import category, cpvae, marginal, start
from cpvae_jax.objectives.base import Progress, gradient
from tests.models.test_numerics import check_finite

LEARNED = Config((3,), K=2, latent=1, hidden=(8,), binarise="none", category_prior="learned")
PRUNED = Config((3,), K=4, latent=1, hidden=(8,), binarise="none", groups=(1, -1, 0, -1))
CONFIGS = {
    "learned": LEARNED,
    "pruned": PRUNED,
    "both": Config(**{**PRUNED.to_dict(), "category_prior": "learned"}),
}


@pytest.fixture(scope="module", params=CONFIGS)
def model(request, shaken):
    params = shaken(CONFIGS[request.param], seed=1)
    # Posteriors wider than the priors, so that importance weights have a variance.
    small = {n: jax.tree.map(lambda a: 0.3 * a, params.weights[n]) for n in ("encoder", "heads")}
    small["heads"]["log_var"]["bias"] += 1.0
    prior = params.weights["prior"] | {"log_var": 0.3 * params.weights["prior"]["log_var"]}
    return params.replace(weights={**params.weights, **small, "prior": prior})


@partial(jax.jit, static_argnames="estimator")
def draws(params, x, estimator):
    """The terms at 2000 keys."""
    x = jnp.asarray(x)
    encoding = cpvae.infer(params, x)
    return jax.vmap(lambda key: cpvae.terms(params, key, x, encoding, estimator))(
        jax.random.split(jax.random.key(1), 2000)
    )


@pytest.mark.parametrize("estimator", ["exact", "hard"])
def test_the_bound_equals_its_integral_and_is_below_the_likelihood(
    estimator, model, pixels, reference, assert_mean
):
    numpy = reference(model)
    assert np.exp(numpy.log_likelihood(pixels)).sum() == pytest.approx(1, abs=1e-9)
    assert np.all(numpy.bound(pixels) < numpy.log_likelihood(pixels))
    found = draws(model, pixels, estimator)
    assert_mean(found.bound, numpy.bound(pixels))
    kl_c, kl_z = numpy.divergences(pixels)
    np.testing.assert_allclose(found.kl_c[0], kl_c, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.kl_z[0], kl_z, rtol=1e-5, atol=1e-5)


def test_importance_weights_average_to_the_likelihood(model, pixels, reference, assert_mean):
    x = jnp.asarray(pixels)
    log_weights = jax.jit(cpvae.log_weights, static_argnames="num")
    found = log_weights(model, jax.random.key(2), x, cpvae.infer(model, x), num=20_000)
    expected = reference(model).log_likelihood(pixels)
    assert_mean(np.exp(np.float64(found) - expected), np.ones(8))


def test_the_decomposed_divergence_equals_the_mean_divergence(model, pixels, reference):
    numpy = reference(model)
    found = cpvae_jax.decomposition(model, jax.random.key(3), pixels, draws=4000)
    exact = np.sum(numpy.divergences(pixels), axis=0).mean()
    assert abs(found["kl"] - exact) <= 5 * found["standard_error"]
    match = rel_entr(numpy.posterior(pixels)[0].mean(axis=0), numpy.prior_c).sum()
    assert found["prior_match_c"] == pytest.approx(match, rel=1e-4, abs=1e-6)


def test_the_gradient_moves_p_of_c_towards_q_of_c(model, pixels, reference):
    """Of the mean of KL(c), it is p(c) − q(c): the best p(c) of a bound is q(c) of the data."""

    def mean_kl(weights):
        moved = model.replace(weights=weights)
        return jnp.mean(category.kl(moved, cpvae.infer(moved, jnp.asarray(pixels)).logits))

    gradient = jax.jit(jax.grad(mean_kl))(model.weights)
    chex.assert_tree_all_finite(gradient)
    numpy = reference(model)
    if model.config.category_prior == "learned":
        expected = numpy.prior_c - numpy.posterior(pixels)[0].mean(axis=0)
        np.testing.assert_allclose(gradient["category"], expected, atol=1e-6)
        assert np.abs(expected).max() > 0.01
    of_head = gradient["heads"]["logits"]["bias"]
    assert np.all(of_head[~numpy.kept] == 0)
    assert np.any(of_head != 0)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_pruned_component_is_never_drawn_or_moved(estimator, shaken, pixels):
    params, x = shaken(PRUNED), jnp.asarray(pixels)

    def bound(weights):
        moved = params.replace(weights=weights)
        terms = cpvae.terms(moved, jax.random.key(4), x, cpvae.infer(moved, x), estimator, 0.1)
        return jnp.mean(terms.bound)

    gradient = jax.jit(jax.grad(bound))(params.weights)
    chex.assert_tree_all_finite(gradient)
    moved = np.any(np.asarray(gradient["prior"]["mean"]) != 0, axis=1)
    assert moved.tolist() == [True, False, True, False]


@pytest.mark.parametrize("name", ["cp", "full", "mg", "hcp", "hvp"])
def test_everything_is_finite(name, shaken):
    changes = {"shape": (4,), "K": 4, "latent": 2, "hidden": (5,), "binarise": "none"}
    config = Config.of_model(name, **changes, category_prior="learned", groups=(0, -1, 0, 1))
    check_finite(shaken(config), np.array([[0, 0, 0, 0], [1, 1, 1, 1]], np.float32))


# Where c is summed out


@pytest.mark.parametrize("groups", [None, (0, 1, -1)])
def test_p_of_c_weights_the_mixture_where_c_is_summed_out(groups, shaken):
    config = Config((3,), 3, 1, (5,), prior="mg", category_prior="learned", groups=groups)
    params = shaken(config)
    out = np.array([0, 0, -np.inf if groups else 0])
    weights = softmax(np.float64(params.weights["category"]) + out)
    prior = params.weights["prior"]
    mean, scale = prior["mean"][:, 0], np.exp(5 * np.tanh(prior["log_var"][:, 0] / 10))
    z = np.linspace(-4, 4, 9)
    each = norm.logpdf(z[:, None], mean, scale) + np.log(np.maximum(weights, 1e-300))
    got = jax.jit(marginal.log_prior)(params, jnp.asarray(z[:, None], jnp.float32))
    np.testing.assert_allclose(got, logsumexp(each, axis=1), rtol=1e-5)

    encoding = marginal.infer(params, jnp.zeros((1, 3)))
    logits = marginal.logits(params, encoding)[0]
    at = float(encoding.code.mean_x[0, 0] + encoding.code.mean_c[0, 0])
    shares = softmax(norm.logpdf(at, mean, scale) + np.log(np.maximum(weights, 1e-300)))
    np.testing.assert_allclose(jax.nn.softmax(logits), shares, atol=1e-5)
    drawn = marginal.probs(params, jax.random.key(0), encoding, 5000)[0]
    assert drawn[2] == 0 if groups else drawn[2] > 0


def test_samples_follow_the_learned_weights_by_default_where_c_is_summed_out(shaken):
    config = Config((3,), 3, 1, (5,), prior="mg", category_prior="learned")
    params = shaken(config)
    logits = jnp.array([0.0, 30.0, 0.0])
    params = params.with_weights({**params.weights, "category": logits})
    by_default = cpvae_jax.sample(params, jax.random.key(0), num=20)
    # The same key draws the same z, but for the component that it comes from.
    chosen = category.drawn(params, jax.random.key(0), "prior", 50)
    assert set(np.asarray(chosen).tolist()) == {1}
    of_prior = cpvae_jax.sample(params, jax.random.key(0), num=20, weights="prior")
    np.testing.assert_array_equal(by_default, of_prior)
    even = category.drawn(params, jax.random.key(0), "uniform", 300)
    assert np.bincount(even, minlength=3).min() > 60


# What the configuration decides


def test_a_uniform_model_has_the_arrays_that_it_always_had():
    uniform = start.template(Config(shape=(3,), K=4))
    learned = start.template(Config(shape=(3,), K=4, category_prior="learned"))
    assert learned.weights.keys() - uniform.weights.keys() == {"category"}
    assert learned.weights["category"].shape == (4,)


def test_with_one_category_there_is_nothing_to_learn(pixels):
    config = Config((3,), 1, 1, (5,), binarise="none", category_prior="learned")
    params = initialise(jax.random.key(0), config)
    assert "category" not in params.weights
    assert np.all(cpvae_jax.bound(params, jax.random.key(0), pixels).kl_c == 0)


def test_a_learned_p_of_c_starts_uniform(shaken):
    params = initialise(jax.random.key(0), LEARNED)
    np.testing.assert_allclose(jnp.exp(category.log_probs(params)), 0.5, rtol=1e-6)
    x = jnp.zeros((2, 3))
    uniform = initialise(
        jax.random.key(0), Config(**{**LEARNED.to_dict(), "category_prior": "uniform"})
    )
    terms = [
        models.of(p.config).terms(p, jax.random.key(1), x, cpvae.infer(p, x), "exact")
        for p in (params, uniform)
    ]
    chex.assert_trees_all_close(*terms, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("epoch", "moves"), [(0.5, False), (3.9, False), (4.0, True)])
def test_p_of_c_is_held_until_the_warm_up_is_over(epoch, moves, shaken, pixels):
    params = shaken(LEARNED)
    objective = objectives.of(Training(warmup=4, regularisers={"balance": 5.0}))

    @jax.jit
    def found(params, epoch):
        progress = Progress(epoch, 10)
        return gradient(objective, params, jax.random.key(0), jnp.asarray(pixels), progress)[0]

    weights = found(params, jnp.array(epoch))
    assert np.any(weights["category"] != 0) == moves
    assert np.any(weights["heads"]["logits"]["bias"] != 0)


def test_p_of_c_can_start_at_given_shares():
    params = category.expecting(initialise(jax.random.key(0), LEARNED), [30, 10])
    np.testing.assert_allclose(jnp.exp(category.log_probs(params)), [0.75, 0.25], rtol=1e-5)
    empty = category.expecting(params, np.array([0.0, 2.0]))
    assert float(jnp.exp(category.log_probs(empty))[0]) == pytest.approx(0.001, rel=0.01)
    uniform = initialise(jax.random.key(0), PRUNED)
    assert category.expecting(uniform, [1, 2, 3, 4]) is uniform


@pytest.mark.parametrize("name", ["vae", "hvae"])
def test_a_single_component_has_no_p_of_c(name):
    with pytest.raises(UserError, match="category_prior is 'learned', but the prior 'vae' has a s"):
        Config.of_model(name, shape=(3,), K=1, category_prior="learned")
