"""Posterior families: a contract for all of them, and a family without a closed-form divergence."""

from dataclasses import replace
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import cpvae_jax
from cpvae_jax import Config, Training, models, objectives, posteriors, priors
from cpvae_jax.distributions import gaussian
from cpvae_jax.models import parts, start
from cpvae_jax.objectives.base import Progress, gradient
from cpvae_jax.registry import POSTERIORS

B, K, D = 5, 3, 2
KEY = jax.random.key(0)
DIAGONAL = POSTERIORS["diagonal"]


@pytest.fixture(scope="module", autouse=True)
def drawn():
    """The diagonal family without a closed form, so that KL(z) is estimated at its draw."""
    posteriors.register("drawn", DIAGONAL._replace(kl=None))
    yield "drawn"
    POSTERIORS.forget("drawn")


# The contract

FAMILIES = [*posteriors.names(), "drawn"]


def conditionals(name, category):
    """A family, its weights, and q(z|x, c) from random heads for a category [B] or None."""
    family, config = POSTERIORS[name], Config((3,), K, D, (4,), posterior=name)
    rng = np.random.default_rng(0)
    widths = family.heads(config)
    of_x, of_c = (
        {n: jnp.asarray(rng.normal(size=(count, w)), jnp.float32) for n, w in widths.items()}
        for count in (B, K)
    )
    weights = family.init(jax.random.key(1), config)
    code = family.spread(weights, of_x, of_c)
    return family, weights, code, family.at(code, category)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_shapes_of_every_family(name):
    category = jnp.arange(B) % K
    for chosen in (category, jax.nn.one_hot(category, K), None):
        family, weights, code, conditional = conditionals(name, chosen)
        z, log_q = family.sample(weights, KEY, conditional)
        chex.assert_shape([z, family.mean(weights, conditional)], (B, D))
        chex.assert_shape(family.gaussian(conditional), (B, D))
        chex.assert_shape(log_q, (B,))
        z, log_q = family.sample(weights, KEY, conditional, 7)
        chex.assert_shape([z, log_q], [(7, B, D), (7, B)])
        if family.log_prob is not None:
            chex.assert_shape(family.log_prob(weights, conditional, jnp.zeros(D)), (B,))
        if family.kl is not None:
            prior = priors.of(Config((3,), K, D)).init(KEY, Config((3,), K, D), None)
            components = priors.of(Config((3,), K, D)).components(Config((3,), K, D), prior, None)
            chex.assert_shape(family.kl(code, components), (B, K))
    several = jnp.broadcast_to(category, (7, B))
    family, weights, _, conditional = conditionals(name, several)
    z, log_q = family.sample(weights, KEY, conditional, 7)
    chex.assert_shape([z, log_q], [(7, B, D), (7, B)])


@pytest.mark.parametrize("name", FAMILIES)
def test_both_forms_of_a_category_give_the_same_posterior(name):
    category = jnp.arange(B) % K
    by_form = [conditionals(name, chosen)[3] for chosen in (category, jax.nn.one_hot(category, K))]
    chex.assert_trees_all_close(*by_form, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_log_density_of_a_draw_is_that_of_its_family(name):
    """`sample` returns log q at its draw, and `log_prob` gives the same at that point."""
    family, weights, _, conditional = conditionals(name, jnp.arange(B) % K)
    if family.log_prob is None:
        pytest.skip("the family has no density at any z")
    z, log_q = family.sample(weights, KEY, conditional)
    for i in range(B):
        at_z = family.log_prob(weights, conditional, z[i])
        np.testing.assert_allclose(at_z[i], log_q[i], rtol=1e-4, atol=1e-4)
    for chosen in (None, jnp.arange(B) % K, jax.nn.one_hot(jnp.arange(7 * B) % K, K)):
        several = chosen if chosen is None or chosen.ndim == 1 else chosen.reshape(7, B, K)
        family, weights, _, conditional = conditionals(name, several)
        z, log_q = family.sample(weights, KEY, conditional, 7)
        found = family.log_prob(weights, conditional, z)
        np.testing.assert_allclose(found, log_q, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_density_of_every_family_integrates_to_one(name, assert_mean):
    """E_q [p(z) / q(z)] = 1 for any p within the support of q: here a narrow Gaussian."""
    family, weights, _, conditional = conditionals(name, jnp.arange(B) % K)
    z, log_q = family.sample(weights, KEY, conditional, 20_000)
    mean, log_var = family.gaussian(conditional)
    log_p = gaussian.log_prob(z, mean, log_var - 1)
    assert_mean(np.exp(np.float64(log_p - log_q)), np.ones(B))


@pytest.mark.parametrize(("dimensions", "num"), [(1, 4001), (2, 401)])
def test_the_diagonal_density_integrates_to_one_on_a_grid(dimensions, num):
    axis, width = np.linspace(-15, 15, num, retstep=True)
    grid = np.stack(np.meshgrid(*[axis] * dimensions), axis=-1).reshape(-1, dimensions)
    mean, log_var = (jnp.asarray(v[:dimensions]) for v in ([0.7, -1.1], [0.4, -0.9]))
    density = np.exp(np.float64(DIAGONAL.log_prob({}, (mean, log_var), jnp.asarray(grid))))
    assert density.sum() * width**dimensions == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_closed_form_is_the_mean_of_the_log_ratio(name, assert_mean):
    family, weights, code, conditional = conditionals(name, jnp.arange(B) % K)
    if family.kl is None:
        pytest.skip("the family has no closed form")
    rng = np.random.default_rng(3)
    tables = (jnp.asarray(rng.normal(0, 0.5, (K, D)), jnp.float32) for _ in range(2))
    prior = cpvae_jax.distributions.mixture.Diagonal(*tables)
    z, log_q = family.sample(weights, KEY, conditional, 50_000)
    category = jnp.arange(B) % K
    log_ratio = log_q - prior.log_prob(z, jnp.broadcast_to(category, (50_000, B)))
    assert_mean(log_ratio, np.asarray(family.kl(code, prior))[np.arange(B), category])


def test_the_diagonal_family_equals_scipy():
    family, weights, code, (mean, log_var) = conditionals("diagonal", jnp.array([2, 0, 1, 1, 2]))
    each = np.array([2, 0, 1, 1, 2])
    np.testing.assert_allclose(mean, code.mean_x + code.mean_c[each], rtol=1e-6)
    np.testing.assert_allclose(log_var, code.log_var_x + code.log_var_c[each], rtol=1e-6)
    z = jnp.array([0.3, -0.5])
    expected = norm.logpdf(z, mean, np.exp(log_var / 2)).sum(axis=1)
    np.testing.assert_allclose(family.log_prob(weights, (mean, log_var), z), expected, rtol=1e-4)
    without_c = family.at(code, None)
    np.testing.assert_array_equal(without_c[0], code.mean_x)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("estimator", ["relaxed", "exact"])
def test_gradients_reach_every_weight_of_the_heads(name, estimator, shaken, pixels):
    params = shaken(Config((3,), K, D, (4,), binarise="none", posterior=name))
    objective = objectives.of(Training(warmup=0, estimator=estimator))

    @jax.jit
    def found(params):
        now = Progress(jnp.array(1.0), 2)
        return gradient(objective, params, KEY, jnp.asarray(pixels), now)[0]

    slopes = found(params)
    for path, leaf in jax.tree.leaves_with_path([slopes["heads"], slopes["posterior"]]):
        assert np.all(np.isfinite(leaf)), jax.tree_util.keystr(path)
        assert np.any(leaf != 0), jax.tree_util.keystr(path)


# A family without a closed form, against the diagonal one


def drawn_like(params):
    """The same model with its divergence of z estimated at the draw."""
    return params.replace(config=replace(params.config, posterior="drawn"))


@partial(jax.jit, static_argnames=("estimator", "num"))
def draws(params, x, *, estimator, num=5000, temperature=1.0):
    """The terms at `num` keys, [num, B] each."""
    model, x = models.of(params.config), jnp.asarray(x)
    encoding = model.infer(params, x)
    return jax.vmap(lambda k: model.terms(params, k, x, encoding, estimator, temperature))(
        jax.random.split(jax.random.key(1), num)
    )


@pytest.mark.parametrize("estimator", ["exact", "hard"])
def test_a_divergence_at_the_draw_has_the_mean_of_the_closed_form(
    estimator, params, pixels, reference, assert_mean
):
    """The bound in the mean equals the integrated one, and is below log p(x)."""
    numpy = reference(params)
    got = draws(drawn_like(params), pixels, estimator=estimator)
    closed = draws(params, pixels, estimator=estimator)
    kl_c, kl_z = numpy.divergences(pixels)
    np.testing.assert_allclose(got.kl_c, [kl_c] * 5000, rtol=1e-5, atol=1e-6)
    assert_mean(got.kl_z, kl_z)
    assert np.all(np.std(got.kl_z, axis=0) > 1e-3)  # estimated, not exact
    assert np.all(np.std(closed.kl_z, axis=0) < 1e-6)
    assert_mean(got.bound, numpy.bound(pixels))
    assert_mean(np.float64(got.bound) - np.float64(closed.bound), np.zeros(8))
    error = np.std(got.bound, axis=0) / 5000**0.5
    assert np.all(np.mean(got.bound, axis=0) <= numpy.log_likelihood(pixels) + 6 * error)


@pytest.mark.parametrize("name", ["hcp", "vae", "mg", "hvp"])
def test_the_same_holds_for_every_kind_of_model(name, shaken, pixels, assert_mean):
    config = Config.of_model(
        name, shape=(3,), K=1 if name == "vae" else 2, latent=1, hidden=(6, 5), binarise="none"
    )
    params = shaken(config)
    params = params.replace(weights=jax.tree.map(lambda a: 0.4 * a, params.weights))
    both = [draws(p, pixels, estimator="hard", num=8000) for p in (params, drawn_like(params))]
    closed, got = (np.float64(terms.bound) for terms in both)
    assert_mean(got - closed, np.zeros(8))


def test_the_divergence_of_a_relaxed_category_is_its_average(params, pixels):
    """At a one-hot category the relaxed and straight-through estimates equal the hard one."""
    given = drawn_like(params)
    hard, straight = (
        draws(given, pixels, estimator=e, num=3) for e in ("hard", "straight-through")
    )
    chex.assert_trees_all_close(hard, straight, rtol=1e-4, atol=1e-4)
    cold = draws(given, pixels, estimator="relaxed", num=200, temperature=1e-3)
    hard = draws(given, pixels, estimator="hard", num=200)
    same = np.abs(cold.kl_z - hard.kl_z) < 1e-2
    assert same.mean() > 0.95


def test_log_weights_and_log_likelihood_do_not_depend_on_the_closed_form(
    covering, pixels, reference, assert_mean
):
    given = drawn_like(covering)

    @jax.jit
    def log_weights(params):
        model, x = models.of(params.config), jnp.asarray(pixels)
        return model.log_weights(params, KEY, x, model.infer(params, x), 20_000)

    got = log_weights(given)
    np.testing.assert_array_equal(got, log_weights(covering))
    numpy = reference(covering)
    assert_mean(got, numpy.bound(pixels))
    assert_mean(np.exp(np.float64(got)), np.exp(numpy.log_likelihood(pixels)))
    likelihoods = [cpvae_jax.log_likelihood(p, KEY, pixels, samples=500) for p in (given, covering)]
    np.testing.assert_array_equal(*likelihoods)
    chex.assert_trees_all_equal(cpvae_jax.encode(given, pixels), cpvae_jax.encode(covering, pixels))


def test_the_decomposition_agrees_with_the_divergence_at_the_draw(params, pixels, reference):
    got = cpvae_jax.decomposition(drawn_like(params), KEY, pixels, draws=2000)
    exact = np.sum(reference(params).divergences(pixels), axis=0).mean()
    assert abs(got["kl"] - exact) <= 5 * got["standard_error"]


def test_the_mean_gradient_is_that_of_the_closed_form(params, pixels, assert_mean):
    """Along a random direction of the heads, for the exact sum over categories."""
    rng = np.random.default_rng(0)
    heads = params.weights["heads"]
    along = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), a.dtype), heads)
    x = jnp.asarray(pixels)

    @partial(jax.jit, static_argnames="num")
    def slopes(params, num):
        model = models.of(params.config)

        def slope(key):
            def value(heads):
                moved = params.replace(weights={**params.weights, "heads": heads})
                encoding = model.infer(moved, x)
                return jnp.mean(model.terms(moved, key, x, encoding, "exact").bound)

            return jax.jvp(value, (params.weights["heads"],), (along,))[1]

        return jax.vmap(slope)(jax.random.split(jax.random.key(2), num))

    got, closed = (np.float64(slopes(p, 4000)) for p in (drawn_like(params), params))
    assert_mean(got - closed, 0.0)


# A family with weights of its own


def test_a_family_with_weights_of_its_own_trains_and_comes_back_from_disk(pixels, tmp_path):
    """A Gaussian whose draws are scaled by a learned factor for each dimension."""

    def scaled(weights, conditional):
        mean, log_var = conditional
        return mean, log_var + 2 * weights["log_scale"]

    def sample(weights, key, conditional, num=None):
        return DIAGONAL.sample({}, key, scaled(weights, conditional), num)

    def log_prob(weights, conditional, z):
        return DIAGONAL.log_prob({}, scaled(weights, conditional), z)

    posteriors.register(
        "scaled",
        DIAGONAL._replace(
            init=lambda key, config: {"log_scale": jnp.zeros(config.latent)},
            sample=sample,
            log_prob=log_prob,
            kl=None,
        ),
    )
    try:
        config = Config((3,), 2, 2, (4,), binarise="none", posterior="scaled")
        params = cpvae_jax.initialise(KEY, config)
        chex.assert_trees_all_equal_shapes_and_dtypes(
            start.template(config).weights["posterior"], params.weights["posterior"]
        )
        settings = Training(learning_rate=1e-2, batch_size=4, warmup=0, epochs=1)
        fitted = cpvae_jax.fit(KEY, config, pixels, pixels, recipe=settings).params
        assert np.all(fitted.weights["posterior"]["log_scale"] != 0)
        cpvae_jax.save(tmp_path / "model", fitted)
        loaded = cpvae_jax.load(tmp_path / "model")
        chex.assert_trees_all_equal(loaded.weights, fitted.weights)
        mean, log_var = parts.gaussian(loaded)(jnp.asarray(pixels))
        chex.assert_shape([mean, log_var], (8, 2))
    finally:
        POSTERIORS.forget("scaled")
