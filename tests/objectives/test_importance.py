"""Importance-weighted objectives: the value by hand, its place below log p(x), and both gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

import cpvae_jax
from cpvae_jax import Config, Training, UserError, models, objectives, posteriors
from cpvae_jax.objectives import importance
from cpvae_jax.objectives.base import Batch, Progress, gradient
from cpvae_jax.registry import OBJECTIVES, POSTERIORS

KEY = jax.random.key(0)
NAMES = ("iwae", "dreg")
MODELS = ("cp", "full", "mg", "vae", "vp", "hcp", "hvp")
AFTER = Progress(jnp.array(1.0), 2)
"""Where the warm-up is over, or half over if it takes two epochs."""


def small(name, K=2, **others):
    K = 1 if name.removeprefix("h") == "vae" else K
    others = {"latent": 1, "hidden": (6, 5), "binarise": "none", **others}
    return Config.of_model(name, shape=(3,), K=K, **others)


def mild(params):
    """The same model with smaller weights, whose importance weights vary less."""
    return params.with_weights(jax.tree.map(lambda a: 0.5 * a, params.weights))


def of(make, warmup=0):
    return make(Training(warmup=warmup, temperature=0.7, temperature_end=0.7))


@partial(jax.jit, static_argnames=("make", "warmup"))
def evaluated(params, keys, x, *, make, warmup=0):
    """Loss and metrics for each key."""
    x = jnp.asarray(x)
    batch = Batch(x, models.of(params.config).infer(params, x))
    return jax.vmap(lambda key: of(make, warmup)(params, key, batch, AFTER))(keys)


@partial(jax.jit, static_argnames=("make", "warmup"))
def slopes(params, keys, x, *, make, warmup=0):
    """The gradient for each key."""
    x = jnp.asarray(x)
    return jax.vmap(lambda key: gradient(of(make, warmup), params, key, x, AFTER)[0])(keys)


# The value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("warmup", [0, 2])
def test_the_value_is_that_of_the_weights_at_its_draws(name, warmup, params, pixels, reference):
    """Category by category in float64; a warm-up over two epochs is half over: β = ½."""
    numpy, num = reference(params), importance.DRAWS
    encoding = models.of(params.config).infer(params, jnp.asarray(pixels))
    draws = importance._draw(params, jax.random.split(KEY)[0], encoding, num, jnp.float32(0.7))
    weights, z = np.float64(draws.category), np.float64(draws.z)
    np.testing.assert_allclose(weights.max(axis=-1), 1, atol=1e-6)  # hard draws
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-6)
    category = weights.argmax(axis=-1)
    assert len(np.unique(category)) == 2
    probs, mean, log_var = numpy.posterior(pixels)
    log_prob, log_ratio = np.empty((2, num, len(pixels)))
    for s, b in np.ndindex(num, len(pixels)):
        c = category[s, b]
        logits = numpy.output(z[s, b], c)
        log_prob[s, b] = pixels[b] @ logits - np.logaddexp(0, logits).sum()
        log_p = norm.logpdf(z[s, b], numpy.prior_mean[c], np.exp(numpy.prior_log_var[c] / 2))
        log_q = norm.logpdf(z[s, b], mean[b, c], np.exp(log_var[b, c] / 2))
        log_ratio[s, b] = (log_p - log_q).sum() + np.log(numpy.prior_c[c] / probs[b, c])
    loss, metrics = jax.tree.map(
        np.squeeze, evaluated(params, KEY[None], pixels, make=OBJECTIVES[name], warmup=warmup)
    )
    beta = 0.5 if warmup else 1.0
    expected = np.mean(logsumexp(log_prob + beta * log_ratio, axis=0) - np.log(num))
    assert loss == pytest.approx(-expected, abs=1e-4)
    full = np.mean(logsumexp(log_prob + log_ratio, axis=0) - np.log(num))
    assert metrics["importance_bound"] == pytest.approx(full, abs=1e-4)
    assert metrics["bound"] == pytest.approx(np.mean(log_prob + log_ratio), abs=1e-4)
    assert metrics["reconstruction"] == pytest.approx(log_prob.mean(), abs=1e-4)
    assert metrics["kl_c"] == pytest.approx(numpy.divergences(pixels)[0].mean(), abs=1e-5)


def test_the_mean_rises_from_the_bound_to_the_log_likelihood(
    covering, pixels, reference, assert_mean
):
    numpy = reference(covering)
    bound, log_px = numpy.bound(pixels).mean(), numpy.log_likelihood(pixels).mean()
    keys, before = jax.random.split(KEY, 3000), bound
    for num in (1, 2, 20):
        make = importance.importance_weighted(num)
        loss, metrics = evaluated(covering, keys, pixels, make=make)
        values = -np.float64(loss)
        error = values.std() / len(values) ** 0.5
        assert_mean(metrics["bound"], bound)
        if num == 1:
            assert_mean(values, bound)
        else:
            assert values.mean() > before + 6 * error, num
            assert values.mean() < log_px + 6 * error, num
        before = values.mean()
    assert log_px - before < 0.25 * (log_px - bound)  # 20 draws close most of the gap


@pytest.mark.parametrize("name", ["mg", "hcp"])
def test_other_models_have_the_bound_as_its_value_of_one_draw(name, shaken, pixels, assert_mean):
    params = mild(shaken(small(name)))
    keys, x = jax.random.split(KEY, 4000), jnp.asarray(pixels)
    one = -np.float64(evaluated(params, keys, x, make=importance.importance_weighted(1))[0])

    @jax.jit
    def bounds(keys):
        model = models.of(params.config)
        encoding = model.infer(params, x)
        return jax.vmap(lambda key: jnp.mean(model.terms(params, key, x, encoding, "hard").bound))(
            keys
        )

    expected = np.float64(bounds(jax.random.split(jax.random.key(1), 4000)))
    assert_mean(one - expected, 0.0)


@pytest.mark.parametrize("name", MODELS)
def test_several_draws_are_weighed_as_in_evaluation(name, shaken, pixels, assert_mean):
    """Against the log-weights of `evaluation`, whose categories are drawn in another way."""
    params = mild(shaken(small(name)))
    x, keys = jnp.asarray(pixels), jax.random.split(KEY, 2000)
    loss, metrics = evaluated(params, keys, x, make=OBJECTIVES["iwae"])
    np.testing.assert_allclose(metrics["importance_bound"], -loss, rtol=1e-5)

    @jax.jit
    def weights(keys):
        model = models.of(params.config)
        encoding = model.infer(params, x)
        return jax.vmap(lambda key: model.log_weights(params, key, x, encoding, 5))(keys)

    found = np.float64(weights(jax.random.split(jax.random.key(1), 2000)))
    expected = np.mean(logsumexp(found, axis=1) - np.log(5), axis=1)
    assert_mean(-np.float64(loss) - expected, 0.0)


def test_a_learned_prior_of_categories_is_weighed_and_held_in_the_warm_up(shaken, pixels):
    params = shaken(small("cp", K=3, category_prior="learned"))
    for name in NAMES:
        during, after = (
            slopes(params, KEY[None], pixels, make=OBJECTIVES[name], warmup=warmup)["category"]
            for warmup in (2, 0)
        )
        np.testing.assert_array_equal(during, 0)
        assert np.all(np.abs(after) > 1e-6)


# The gradient


@pytest.mark.parametrize("make", NAMES)
@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_finite_and_reach_every_weight(name, make, shaken, pixels):
    params = shaken(small(name, K=3, latent=2))
    found = slopes(params, KEY[None], pixels, make=OBJECTIVES[make])
    for path, leaf in jax.tree.leaves_with_path(found):
        text = jax.tree_util.keystr(path)
        assert np.all(np.isfinite(leaf)), text
        if not (name in ("vae", "mg", "vp", "hvp") and ("logits" in text or "category" in text)):
            assert np.any(leaf != 0), text


def test_the_plain_gradient_equals_finite_differences(shaken, pixels):
    """With one category the value is smooth: in float64 along a random direction."""
    objective = of(OBJECTIVES["iwae"])
    with jax.enable_x64(True):
        params = jax.tree.map(np.float64, shaken(small("cp", K=1)))
        rng, size = np.random.default_rng(0), 1e-5
        along = jax.tree.map(lambda a: rng.normal(size=a.shape), params.weights)

        @jax.jit
        def found(weights):
            return gradient(objective, params.with_weights(weights), KEY, np.float64(pixels), AFTER)

        up, down = (
            found(jax.tree.map(lambda a, d, s=s: a + s * d, params.weights, along))[1]
            for s in (size, -size)
        )
        slope = sum(jax.tree.leaves(jax.tree.map(np.vdot, found(params.weights)[0], along)))
        assert abs(slope) > 1e-3
        assert float(slope) == pytest.approx(float((up - down) / (2 * size)), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "K", "warmup"),
    [("cp", 1, 0), ("cp", 1, 2), ("cp", 2, 0), ("vp", 2, 0), ("hvae", 1, 0), ("hcp", 2, 2)],
)
def test_both_gradients_have_the_same_mean(name, K, warmup, shaken, pixels, assert_mean):
    """By every weight, also with several categories, a lower level and in the warm-up (β = ½)."""
    params, keys = mild(shaken(small(name, K=K))), jax.random.split(KEY, 6000)
    plain, doubly = (
        slopes(params, keys, pixels[:4], make=OBJECTIVES[each], warmup=warmup) for each in NAMES
    )
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(doubly), strict=True):
        if a.size:
            assert_mean(np.float64(a) - np.float64(b), np.zeros(a.shape[1:]))
    for block in ("decoder", "below", "category"):
        for a, b in zip(*(jax.tree.leaves(g.get(block, {})) for g in (plain, doubly)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5, err_msg=block)
    if "logits" in plain["heads"]:
        a, b = (g["heads"]["logits"]["kernel"] for g in (plain, doubly))
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    means = [g["heads"]["mean"]["kernel"] for g in (plain, doubly)]
    assert np.abs(means[0] - means[1]).max() > 1e-3  # they are different estimates


def test_the_doubly_reparametrised_gradient_varies_less(covering, shaken, pixels):
    """Over all weights of the encoder, with one category."""
    params, keys = mild(shaken(small("cp", K=1))), jax.random.split(KEY, 2000)

    def variance(name, num):
        make = getattr(importance, name)(num)
        found = slopes(params, keys, pixels[:4], make=make)
        leaves = jax.tree.leaves([found["encoder"], found["heads"]])
        return sum(float(np.var(np.float64(leaf), axis=0).sum()) for leaf in leaves)

    for num in (5, 20):
        assert variance("doubly_reparametrised", num) < 0.8 * variance("importance_weighted", num)


# What is refused, and numbers of one's own


@pytest.fixture
def without_density():
    posteriors.register("drawn-only", POSTERIORS["diagonal"]._replace(log_prob=None))
    yield "drawn-only"
    POSTERIORS.forget("drawn-only")


def test_a_posterior_without_a_density_is_refused_before_training(without_density, pixels):
    config = small("cp", posterior=without_density)

    def fitted(objective):
        training = Training(objective=objective, epochs=1, warmup=0, batch_size=4)
        return cpvae_jax.fit(KEY, config, pixels, pixels, recipe=training, callbacks=[])

    words = "the posterior 'drawn-only' does not give its density .* choose objective='iwae'"
    with pytest.raises(UserError, match=words):
        fitted("dreg")
    assert np.isfinite(fitted("iwae").history[0]["valid_bound"])


@pytest.mark.parametrize("name", NAMES)
def test_free_bits_are_refused(name, pixels):
    with pytest.raises(UserError, match=f"free_bits is 2, which the objective '{name}' does not"):
        objectives.check(Training(objective=name, free_bits=2.0), small("cp"), pixels)
    objectives.check(Training(objective=name), small("cp"), pixels)


@pytest.mark.parametrize("num", [0, 2.5, "5"])
def test_a_number_of_draws_that_is_none_is_refused(num):
    for factory in (importance.importance_weighted, importance.doubly_reparametrised):
        with pytest.raises(UserError, match="num is "):
            factory(num)


def test_a_number_of_draws_of_your_own_trains(pixels):
    """Registered twice, as in a notebook cell that is run again with another number."""
    for num in (3, 2):
        objectives.register("mine", importance.doubly_reparametrised(num))
    try:
        training = Training(objective="mine", epochs=2, warmup=1, batch_size=4)
        found = cpvae_jax.fit(KEY, small("cp"), pixels, pixels, recipe=training, callbacks=[])
        terms = ("loss", "bound", "reconstruction", "kl_c", "kl_z", "importance_bound")
        for line in found.history:
            assert all(np.isfinite(line[f"train_{name}"]) for name in terms)
        last = found.history[-1]
        assert last["train_loss"] == pytest.approx(-last["train_importance_bound"], rel=1e-4)
        assert last["train_importance_bound"] > last["train_bound"]
    finally:
        OBJECTIVES.forget("mine")
