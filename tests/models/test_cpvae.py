"""The paper's model against plain numpy, integrals on a grid, and finite differences."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from cpvae_jax import Config, Training, objectives, posteriors, predict
from cpvae_jax.config import TRAINABLE
from cpvae_jax.distributions import categorical
from cpvae_jax.evaluation.estimates import ESTIMATORS
from cpvae_jax.models import cpvae, parts
from cpvae_jax.objectives.base import Progress, gradient


def terms_of(params, key, x, estimator, temperature=1.0):
    """The terms of the bound, from the encoder on."""
    x = jnp.asarray(x)
    return cpvae.terms(params, key, x, cpvae.infer(params, x), estimator, temperature)


terms = jax.jit(terms_of, static_argnames="estimator")


@jax.jit
def divergences(params, x):
    return cpvae.divergences(params, cpvae.infer(params, jnp.asarray(x)), jnp.zeros(len(x)))


@partial(jax.jit, static_argnames=("estimator", "num"))
def draws(params, x, *, estimator, num, temperature=1.0):
    """The terms at `num` keys, [num, B] each."""
    return jax.vmap(lambda key: terms_of(params, key, x, estimator, temperature))(
        jax.random.split(jax.random.key(1), num)
    )


def with_weights(params, **changes):
    """A model with some parts of its weights replaced."""
    return params.replace(weights={**params.weights, **changes})


def rows_of_category(params, change):
    """Parameters with `change` made to all that a category has: its rows, its logit, its prior."""
    heads, decoder = dict(params.weights["heads"]), params.weights["decoder"]
    for head in ("mean", "log_var"):
        heads[head] = heads[head] | {"category": change(heads[head]["category"])}
    heads["logits"] = jax.tree.map(lambda a: change(a.T).T, heads["logits"])
    first, *rest = decoder["trunk"]
    first = first | {"category": change(first["category"])}
    return with_weights(
        params,
        heads=heads,
        decoder=decoder | {"trunk": [first, *rest]},
        prior=jax.tree.map(change, params.weights["prior"]),
    )


def with_logits(params, logits):
    return with_weights(params, heads=params.weights["heads"] | {"logits": logits})


@pytest.fixture(scope="module")
def three(shaken):
    """Two-dimensional codes, three categories, two layers."""
    return shaken(Config(shape=(3,), K=3, latent=2, hidden=(6, 5), binarise="none"))


# The networks and densities, against the same in numpy


def test_the_posterior_the_decoder_and_the_prior_equal_their_formulas(three, pixels, reference):
    z = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)

    @jax.jit
    def everything(params, category):
        encoding = cpvae.infer(params, pixels)
        at = posteriors.of(params.config).at
        by_form = [
            (*at(encoding.code, c), cpvae.decode(params, None, z, c)[..., 0])
            for c in (category, jax.nn.one_hot(category, 3))
        ]
        return encoding.probs, by_form, cpvae.log_prior(params, z, category)

    numpy = reference(three)
    probs, mean, log_var = numpy.posterior(pixels)
    for k in range(3):
        got_probs, by_form, log_prior = everything(three, jnp.full(8, k))
        np.testing.assert_allclose(got_probs, probs, rtol=1e-5)
        for got in by_form:
            for a, b in zip(got, (mean[:, k], log_var[:, k], numpy.output(z, k)), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
        prior = norm(numpy.prior_mean[k], np.exp(numpy.prior_log_var[k] / 2))
        expected = prior.logpdf(z).sum(axis=1) - np.log(3)
        np.testing.assert_allclose(log_prior, expected, rtol=1e-5)


def test_the_divergences_equal_sums_over_all_categories(three, pixels, reference):
    got = divergences(three, pixels)
    np.testing.assert_allclose(got, reference(three).divergences(pixels), rtol=1e-5, atol=1e-5)


def test_latents_have_the_moments_that_the_divergence_assumes(three, assert_mean):
    prior = parts.components(three)
    mean, log_var = prior.mean, prior.log_var
    for k in range(3):
        z = prior.sample(jax.random.key(k), jnp.full(20_000, k))
        assert_mean(z, mean[k])
        assert_mean((z - mean[k]) ** 2, np.exp(log_var[k]))


# The bound, against integrals


def test_the_integrated_likelihoods_of_all_images_sum_to_one(params, pixels, reference):
    assert np.exp(reference(params).log_likelihood(pixels)).sum() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("estimator", ["exact", "hard"])
def test_the_bound_equals_the_integrated_one_and_is_below_the_log_likelihood(
    estimator, params, pixels, reference, assert_mean
):
    numpy = reference(params)
    assert np.all(numpy.bound(pixels) < numpy.log_likelihood(pixels))
    got = draws(params, pixels, estimator=estimator, num=5000)
    assert_mean(got.reconstruction, numpy.reconstruction(pixels))
    assert_mean(got.bound, numpy.bound(pixels))
    error = np.std(got.bound, axis=0) / 5000**0.5
    assert np.all(np.mean(got.bound, axis=0) <= numpy.log_likelihood(pixels) + 6 * error)


def test_the_mean_log_weight_is_the_bound_and_the_mean_weight_is_the_likelihood(
    covering, pixels, reference, assert_mean
):
    """E log w = bound and E w = p(x), of log w = log p(x, z, c) − log q(z, c|x)."""

    @jax.jit
    def draw(params, key):
        return cpvae.log_weights(params, key, pixels, cpvae.infer(params, pixels), 20_000)

    log_weights = draw(covering, jax.random.key(0))
    chex.assert_shape(log_weights, (20_000, 8))
    numpy = reference(covering)
    assert_mean(log_weights, numpy.bound(pixels))
    assert_mean(np.exp(log_weights), np.exp(numpy.log_likelihood(pixels)))


def test_the_relaxed_value_can_exceed_the_log_likelihood(shaken, reference):
    """A decoder that turns white only halfway between its two categories.

    d, the difference of the weights of the categories, is ±1 for a category and near 0 for a
    draw at a high temperature. Two gated units compute |d|, and every pixel has the logit
    20 − 100 |d|. The posterior is the prior, so the divergences are 0.
    """
    zero = jax.tree.map(jnp.zeros_like, shaken(Config(shape=(3,), K=2, latent=1, hidden=(2,))))
    first = zero.weights["decoder"]["trunk"][0]
    d = jnp.array([[1.0, -1.0, 50.0, -50.0], [-1.0, 1.0, -50.0, 50.0]])
    output = {"kernel": jnp.full((2, 3), -100.0), "bias": jnp.full(3, 20.0)}
    params = with_weights(zero, decoder={"trunk": [first | {"category": d}], "output": output})
    white = np.ones((1, 3), np.float32)
    log_likelihood = reference(params).log_likelihood(white)
    np.testing.assert_allclose(log_likelihood, -3 * 80, rtol=1e-4)
    relaxed = terms(params, jax.random.key(1), white, "relaxed", 1000.0)
    assert relaxed.bound > -0.01
    exact = terms(params, jax.random.key(1), white, "exact")
    np.testing.assert_allclose(exact.bound, log_likelihood, rtol=1e-5)


# Gradients


def _direction(params, seed=0):
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(seed)
    return jax.tree.unflatten(tree, [np.asarray(rng.normal(size=a.shape), a.dtype) for a in leaves])


@pytest.mark.parametrize(
    ("estimator", "likelihood"),
    [("exact", "bernoulli"), ("exact", "gaussian"), ("relaxed", "bernoulli")],
)
def test_gradients_equal_finite_differences_at_the_same_random_numbers(
    estimator, likelihood, shaken, pixels
):
    """Eq. (10), (11) and (12), in float64, along a random direction of each part of the model."""
    binarise = {"binarise": "none"} if likelihood == "bernoulli" else {}
    config = Config((3,), K=3, latent=2, hidden=(4,), likelihood=likelihood, **binarise)
    # β = 0.7 and a temperature of 0.8 at epoch 0.7 of 1.
    settings = Training(
        warmup=1, estimator=estimator, temperature=0.8, temperature_end=0.8, temperature_epochs=1
    )
    objective = objectives.of(settings)
    with jax.enable_x64(True):
        params = jax.tree.map(np.float64, shaken(config))
        x, key, progress = np.float64(pixels), jax.random.key(0), Progress(jnp.array(0.7), 1)

        @jax.jit
        def found(weights):
            return gradient(objective, params.replace(weights=weights), key, x, progress)

        slopes, step = found(params.weights)[0], 1e-5
        for part in ("encoder", "heads", "prior", "decoder", "likelihood"):
            weights = params.weights[part]
            if not weights:
                continue
            along = _direction(weights)
            up, down = (
                found({**params.weights, part: jax.tree.map(moved, weights, along)})[1]
                for moved in (lambda a, d: a + step * d, lambda a, d: a - step * d)
            )
            slope = sum(jax.tree.leaves(jax.tree.map(np.vdot, slopes[part], along)))
            assert float(slope) == pytest.approx(float((up - down) / (2 * step)), rel=1e-6), part
            assert abs(slope) > 1e-3


@partial(jax.jit, static_argnames=("estimator", "num"))
def slopes(params, x, along, *, estimator, num, temperature=1.0):
    """Slopes of the mean bound along a direction, at `num` keys, [num]."""

    def slope(key):
        def value(params):
            return jnp.mean(terms_of(params, key, x, estimator, temperature).bound)

        return jax.jvp(value, (params,), (along,))[1]

    return jax.vmap(slope)(jax.random.split(jax.random.key(2), num))


@pytest.fixture(scope="module")
def integrated_slope(params, pixels, reference):
    """A direction of the head of c, and the slope of the integrated bound along it.

    The slope is a central difference in float64.
    """
    zero = jax.tree.map(jnp.zeros_like, params)
    logits = _direction(params.weights["heads"]["logits"], 3)
    along = with_logits(zero, logits)
    step, numpy = 1e-4, reference(params)
    start, sides = numpy.heads["logits"], []
    for s in (step, -step):
        moved = jax.tree.map(lambda a, d, s=s: a + s * np.asarray(d, float), start, logits)
        numpy.heads["logits"] = moved
        sides.append(numpy.bound(pixels).mean())
    return along, (sides[0] - sides[1]) / (2 * step)


def test_the_mean_gradient_of_the_exact_sum_equals_that_of_the_integrated_bound(
    integrated_slope, params, pixels, assert_mean
):
    along, slope = integrated_slope
    assert_mean(slopes(params, pixels, along, estimator="exact", num=5000), slope, rounding=1e-4)


def test_the_bias_of_gumbel_softmax_gradients_falls_with_the_temperature(
    integrated_slope, params, pixels
):
    along, slope = integrated_slope
    num, bias, error = 40_000, {}, {}
    for temperature in (2.0, 0.1):
        got = slopes(params, pixels, along, estimator="relaxed", num=num, temperature=temperature)
        got = np.asarray(got, np.float64)
        bias[temperature], error[temperature] = abs(got.mean() - slope), got.std() / num**0.5
    assert bias[2.0] > 6 * error[2.0]
    assert bias[0.1] < bias[2.0] - 6 * (error[0.1] + error[2.0])
    assert bias[0.1] < 6 * error[0.1] + 0.25 * bias[2.0]


# Identities


def test_straight_through_has_the_value_of_the_hard_draw_of_the_same_key(three, pixels):
    hard, straight = (
        terms(three, jax.random.key(5), pixels, name, 0.7) for name in ("hard", "straight-through")
    )
    chex.assert_trees_all_close(hard, straight, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def one(shaken):
    return shaken(Config(shape=(3,), K=1, latent=1, hidden=(8,), binarise="none"))


def test_with_one_category_all_estimators_agree_and_kl_c_is_0(one, pixels):
    """The exact sum folds the number of the category into the key of z, the others do not."""

    @jax.jit
    def all_of_them(params, key):
        encoding, category = cpvae.infer(params, pixels), jnp.zeros(8, jnp.int32)
        key_of_exact = jax.random.fold_in(jax.random.split(key)[1], 0)
        single = parts.draw(params, key_of_exact, pixels, encoding, category).log_prob
        return single, {name: terms_of(params, key, pixels, name, 0.7) for name in ESTIMATORS}

    single, got = all_of_them(one, jax.random.key(0))
    for each in got.values():
        np.testing.assert_array_equal(each.kl_c, 0)
        np.testing.assert_allclose(each.kl_z, got["hard"].kl_z, rtol=1e-6)
    for name in ("relaxed", "straight-through"):
        np.testing.assert_allclose(got[name].reconstruction, got["hard"].reconstruction, rtol=1e-5)
    np.testing.assert_allclose(got["exact"].reconstruction, single, rtol=1e-5)


def test_with_one_category_the_bound_is_that_of_a_vae_with_a_learned_prior(
    one, pixels, reference, assert_mean
):
    got = draws(one, pixels, estimator="exact", num=5000)
    assert_mean(got.bound, reference(one).bound(pixels))


def test_equal_components_have_the_bound_of_one_component_less_kl_c(three, pixels):
    def equal(a):
        return jnp.broadcast_to(a[:1], a.shape)

    logits = three.weights["heads"]["logits"]
    same = with_logits(rows_of_category(three, equal), logits)
    config = Config(shape=(3,), K=1, latent=2, hidden=(6, 5), binarise="none")
    one = rows_of_category(same, lambda a: a[:1]).replace(config=config)
    other = with_logits(same, jax.tree.map(lambda a: -3 * a, logits))
    key = jax.random.key(4)
    of_one, of_same, of_other = (terms(p, key, pixels, "hard") for p in (one, same, other))
    assert np.abs(of_same.kl_c - of_other.kl_c).max() > 0.1
    for got in (of_same, of_other):
        np.testing.assert_allclose(got.kl_z, of_one.kl_z, rtol=1e-5)
        np.testing.assert_allclose(got.bound, of_one.bound - got.kl_c, rtol=1e-5)


def test_permuted_categories_give_the_same_model(three, pixels):
    order = jnp.array([2, 0, 1])
    permuted = rows_of_category(three, lambda a: a[order])
    before, after = (divergences(p, pixels) for p in (three, permuted))
    np.testing.assert_allclose(before, after, rtol=1e-5)
    np.testing.assert_allclose(
        predict(permuted, pixels), predict(three, pixels)[:, order], rtol=1e-5
    )


def test_the_number_of_categories_decoded_at_once_changes_no_result(shaken, pixels, monkeypatch):
    five = shaken(Config(shape=(3,), K=5, latent=1, hidden=(4,)))
    values = []
    for at_once in (16, 2):
        monkeypatch.setattr(cpvae, "CATEGORIES_AT_ONCE", at_once)
        values.append(
            jax.jit(partial(terms_of, estimator="exact"))(
                five, jax.random.key(0), pixels
            ).reconstruction
        )
    np.testing.assert_allclose(*values, rtol=1e-5)


@pytest.mark.parametrize("estimator", TRAINABLE)
def test_every_trainable_estimator_gives_every_array_a_finite_gradient(estimator, shaken, pixels):
    """From equal priors, as at the start of training, and from weights a hundred times larger."""
    params = shaken(Config(shape=(3,), K=4, latent=2, hidden=(6,)))
    params = with_weights(params, prior=jax.tree.map(jnp.zeros_like, params.weights["prior"]))
    objective = objectives.of(
        Training(warmup=0, estimator=estimator, temperature=1.0, temperature_end=1.0)
    )

    @jax.jit
    def found(params):
        progress = Progress(jnp.array(1.0), 2)
        return gradient(objective, params, jax.random.key(1), pixels, progress)[0]

    near = found(params)
    assert {part for part, weights in near.items() if weights} == {
        "encoder",
        "heads",
        "decoder",
        "prior",
    }
    for path, leaf in jax.tree.leaves_with_path(near):
        assert np.any(leaf != 0), jax.tree_util.keystr(path)
    chex.assert_tree_all_finite(near)
    far = params.replace(weights=jax.tree.map(lambda a: 100 * a, params.weights))
    chex.assert_tree_all_finite(found(far))


def test_the_reconstruction_of_a_hard_draw_gives_the_head_of_c_no_gradient(three, pixels):
    @jax.jit
    @jax.grad
    def slopes(weights):
        params = three.replace(weights=weights)
        return jnp.sum(terms_of(params, jax.random.key(0), pixels, "hard").reconstruction)

    heads = slopes(three.weights)["heads"]
    np.testing.assert_array_equal(heads["logits"]["bias"], 0)
    assert np.all(heads["mean"]["bias"] != 0)


def test_an_encoder_refuses_the_wrong_number_of_pixels(params):
    with pytest.raises(AssertionError):
        cpvae.infer(params, jnp.zeros((2, 4)))


def test_the_names_of_estimators_are_the_same_everywhere():
    assert set(ESTIMATORS) == {*categorical.DRAWS, "exact"}
    assert set(TRAINABLE) < set(ESTIMATORS)
