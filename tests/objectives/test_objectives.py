"""Objectives: the loss and its schedules, gradients, regularisers, and ones of your own."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

import cpvae_jax
from cpvae_jax import Config, Training, UserError, likelihoods, models, objectives
from cpvae_jax.objectives.base import Batch, Progress, Source, gradient, regularised
from cpvae_jax.objectives.views import affine
from cpvae_jax.registry import OBJECTIVES, REGULARISERS

KEY = jax.random.key(0)
BALANCE = REGULARISERS["balance"](Training())


def batch_of(params, x):
    x = jnp.asarray(x)
    return Batch(x, models.of(params.config).infer(params, x))


@partial(jax.jit, static_argnames=("training", "epochs"))
def evaluated(params, key, x, epoch, *, training, epochs=10):
    """The loss and the metrics."""
    return objectives.of(training)(params, key, batch_of(params, x), Progress(epoch, epochs))


# The bound


@pytest.mark.parametrize("estimator", ["relaxed", "straight-through", "exact"])
@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_the_loss_is_the_negative_bound_with_weighted_divergences(beta, estimator, params, pixels):
    training = Training(warmup=10, estimator=estimator, temperature=1.0, temperature_end=1.0)
    value, metrics = evaluated(params, KEY, pixels, 10 * beta, training=training)
    expected = -(metrics["reconstruction"] - beta * (metrics["kl_c"] + metrics["kl_z"]))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    total = metrics["reconstruction"] - metrics["kl_c"] - metrics["kl_z"]
    np.testing.assert_allclose(metrics["bound"], total, rtol=1e-4)
    terms = models.of(params.config).terms(
        params, KEY, jnp.asarray(pixels), batch_of(params, pixels).encoding, estimator, 1.0
    )
    for name, values in terms.named().items():
        np.testing.assert_allclose(metrics[name], np.mean(values), rtol=1e-4, err_msg=name)


@pytest.mark.parametrize("beta", [0.3, 1.0])
@pytest.mark.parametrize("estimator", ["relaxed", "exact"])
def test_the_first_nats_of_kl_z_are_free_on_average_over_a_batch(beta, estimator, params, pixels):
    """Below the mean of KL(z) nothing changes; above, it costs the given nats and has no gradient."""
    settings = {"warmup": 10, "estimator": estimator}
    plain, terms = evaluated(params, KEY, pixels, 10 * beta, training=Training(**settings))
    kl_z = float(terms["kl_z"])
    model = models.of(params.config)
    encoding, x = model.infer(params, jnp.asarray(pixels)), jnp.asarray(pixels)
    each = model.terms(params, KEY, x, encoding, estimator, 1.0).kl_z
    assert np.min(each) < 0.9 * kl_z < 1.1 * kl_z < np.max(each)  # it is no minimum of each example
    for free in (0.9 * kl_z, 1.1 * kl_z, 50.0):
        training = Training(free_bits=free, **settings)
        loss, metrics = evaluated(params, KEY, pixels, 10 * beta, training=training)
        expected = beta * (terms["kl_c"] + max(kl_z, free)) - terms["reconstruction"]
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        for name, value in terms.items():  # the log has the terms as they are
            np.testing.assert_allclose(metrics[name], value, rtol=1e-5)
        if free < kl_z:
            np.testing.assert_allclose(loss, plain, rtol=1e-5)
        found, _, _ = gradient(
            objectives.of(training), params, KEY, x, Progress(jnp.array(10 * beta), 10)
        )
        assert np.any(found["prior"]["mean"] != 0) == (free < kl_z)
        assert np.any(found["heads"]["mean"]["kernel"] != 0)


def test_the_temperature_of_the_schedule_reaches_the_draw(params, pixels):
    cold, hot = (
        evaluated(
            params,
            KEY,
            pixels,
            1.0,
            training=Training(temperature=t, temperature_end=t, temperature_epochs=0),
        )[1]["reconstruction"]
        for t in (0.1, 5.0)
    )
    assert abs(cold - hot) > 1e-3


# The gradient


def test_the_gradient_is_that_of_the_mean_bound(params, pixels):
    """β is 1 after the warm-up: minus the gradient of the mean bound by every weight."""
    training = Training(warmup=1, estimator="exact")
    objective, x = objectives.of(training), jnp.asarray(pixels)

    @jax.jit
    def both(params):
        found, loss, metrics = gradient(objective, params, KEY, x, Progress(jnp.array(2.0), 10))

        def mean_bound(weights):
            moved = params.replace(weights=weights)
            model = models.of(params.config)
            return jnp.mean(model.terms(moved, KEY, x, model.infer(moved, x), "exact").bound)

        return found, loss, metrics, jax.value_and_grad(mean_bound)(params.weights)

    found, loss, metrics, (value, slopes) = both(params)
    assert found.keys() == params.weights.keys()
    np.testing.assert_allclose(loss, -value, rtol=1e-5)
    np.testing.assert_allclose(metrics["bound"], value, rtol=1e-5)
    for (path, got), expected in zip(
        jax.tree.leaves_with_path(found), jax.tree.leaves(slopes), strict=True
    ):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            got, -expected, rtol=1e-4, atol=1e-5 * scale, err_msg=jax.tree_util.keystr(path)
        )


@pytest.mark.parametrize("regularisers", [(), (("balance", 5.0),)])
def test_the_gradient_equals_finite_differences(regularisers, shaken, pixels):
    """In float64 along a random direction of all weights at once, regularisers included."""
    training = Training(warmup=2, estimator="relaxed", regularisers=regularisers)
    objective = objectives.of(training)
    with jax.enable_x64(True):
        params = jax.tree.map(np.float64, shaken(Config((3,), 3, 2, (4,), binarise="none")))
        x, progress = np.float64(pixels), Progress(jnp.array(1.0), 10)

        @jax.jit
        def found(weights):
            return gradient(objective, params.replace(weights=weights), KEY, x, progress)

        rng, step = np.random.default_rng(0), 1e-5
        along = jax.tree.map(lambda a: rng.normal(size=a.shape), params.weights)
        up, down = (
            found(jax.tree.map(lambda a, d, s=s: a + s * d, params.weights, along))[1]
            for s in (step, -step)
        )
        slope = sum(jax.tree.leaves(jax.tree.map(np.vdot, found(params.weights)[0], along)))
        assert abs(slope) > 1e-3
        assert float(slope) == pytest.approx(float((up - down) / (2 * step)), rel=1e-6)


def test_the_constants_of_the_data_get_no_gradient(shaken):
    data = np.random.default_rng(0).normal(5, 3, (8, 3)).astype(np.float32)
    params = shaken(Config((3,), 2, 1, (4,), likelihood="gaussian"), data=data)
    objective = objectives.of(Training(warmup=0))
    found, _, _ = gradient(objective, params, KEY, jnp.asarray(data), Progress(jnp.array(1.0), 2))
    assert jax.tree.structure(found) == jax.tree.structure(params.weights)
    assert set(found["likelihood"]) == {"log_var"}


# Regularisers


IMAGES = np.random.default_rng(0).random((6, 4, 5)).round().astype(np.float32)


def nothing(*_):
    """An objective that is 0."""
    return jnp.zeros(()), {}


@pytest.mark.parametrize("name", REGULARISERS.names())
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_the_contract_of_every_regulariser(name, size, shaken):
    """A finite scalar with a finite gradient, even where categories have probability 0."""
    K = 5
    params = shaken(Config((4, 5), K, 2, (4,), binarise="none"))
    heads = params.weights["heads"]
    logits = jax.tree.map(lambda a: size * a, heads["logits"])
    params = params.replace(weights={**params.weights, "heads": {**heads, "logits": logits}})
    added = [(name, REGULARISERS[name](Training()), 1.0)]
    source = Source(jnp.arange(6), jnp.asarray(IMAGES), own=jnp.eye(6, K))

    @jax.jit
    @jax.value_and_grad
    def value(weights):
        moved = params.replace(weights=weights)
        batch = batch_of(moved, IMAGES)._replace(source=source)
        return regularised(nothing, added)(moved, KEY, batch, Progress(jnp.array(1.0), 2))[0]

    found, slopes = value(params.weights)
    assert found.shape == ()
    for leaf in jax.tree.leaves([found, slopes]):
        assert np.all(np.isfinite(leaf))
    if size == 1:
        assert np.any(slopes["heads"]["logits"]["kernel"] != 0)


def test_certainty_and_consistency_equal_their_formulas(shaken):
    params = shaken(Config((4, 5), 3, 2, (4,), binarise="none"))
    batch = batch_of(params, IMAGES)
    probs = softmax(np.float64(batch.encoding.logits), axis=1)
    certainty = REGULARISERS["certainty"](Training())
    expected = -np.mean(np.sum(probs * np.log(probs), axis=1))
    got = certainty(params, KEY, batch.x, batch.encoding)
    np.testing.assert_allclose(got, expected, rtol=1e-5)

    consistency = REGULARISERS["consistency"](Training())
    view = batch_of(params, affine.transformed(KEY, batch.x)).encoding.logits
    expected = -np.mean(np.sum(probs * log_softmax(np.float64(view), axis=1), axis=1))
    got = consistency(params, KEY, batch.x, batch.encoding)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_views_of_standardised_images_are_black_outside_as_those_of_the_images_are(shaken):
    images = 255 * IMAGES
    params = shaken(Config((4, 5), 3, 2, (4,), likelihood="gaussian"), data=images)
    prepare = partial(likelihoods.of(params.config).prepare, params.likelihood)
    batch = batch_of(params, prepare(images))
    seen = jnp.asarray(prepare(np.asarray(affine.transformed(KEY, jnp.asarray(images)))))
    view = models.of(params.config).infer(params, seen).logits
    probs = softmax(np.float64(batch.encoding.logits), axis=1)
    expected = -np.mean(np.sum(probs * log_softmax(np.float64(view), axis=1), axis=1))
    got = REGULARISERS["consistency"](Training())(params, KEY, batch.x, batch.encoding)
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_balance_equals_its_formula(shaken, pixels):
    for K in (1, 4, 7):
        params = shaken(Config((3,), K, 2, (4,), binarise="none"), seed=K)
        batch = batch_of(params, pixels)
        mean = softmax(np.float64(batch.encoding.logits), axis=1).mean(axis=0)
        expected = np.sum(mean * np.log(mean))
        value = BALANCE(params, KEY, batch.x, batch.encoding)
        assert value.shape == ()
        np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6)


def test_balance_is_lowest_where_all_categories_are_used_and_finite_where_one_is(params, pixels):
    batch = batch_of(params, pixels)

    def of(logits):
        encoding = batch.encoding.replace(logits=jnp.asarray(logits, jnp.float32))
        return BALANCE(params, KEY, batch.x, encoding)

    sure = 1e4 * np.eye(4)
    np.testing.assert_allclose(of(sure), -np.log(4), rtol=1e-6)
    np.testing.assert_allclose(of(np.zeros((8, 4))), -np.log(4), rtol=1e-6)
    np.testing.assert_allclose(of(sure[[0] * 8]), 0, atol=1e-6)
    np.testing.assert_allclose(of(sure[[0, 0, 1, 1]]), -np.log(2), rtol=1e-6)
    for logits in (sure, sure[[0] * 8], np.zeros((8, 4))):
        assert np.all(np.isfinite(jax.grad(of)(jnp.asarray(logits))))


def test_balance_asks_for_no_more_than_a_learned_p_of_c(shaken, pixels):
    """Its gradient by the encoder is 0 where the mean of q(c|x) is p(c), and p(c) gets none."""
    config = Config((3,), 3, 2, (4,), binarise="none", category_prior="learned")
    params = shaken(config)
    batch = batch_of(params, pixels)
    mean = np.float64(batch.encoding.probs).mean(axis=0)

    def of(logits, bias):
        moved = params.with_weights({**params.weights, "category": logits})
        encoding = batch.encoding.replace(logits=batch.encoding.logits + bias)
        return BALANCE(moved, KEY, batch.x, encoding)

    unequal = jnp.array([2.0, 0.0, -1.0])
    expected = np.sum(mean * (np.log(mean) - np.log(softmax(unequal)))) - np.log(3)
    np.testing.assert_allclose(of(unequal, jnp.zeros(3)), expected, rtol=1e-5)
    even = of(jnp.zeros(3), jnp.zeros(3))
    np.testing.assert_allclose(even, np.sum(mean * np.log(mean)), rtol=1e-5)
    moves_p, moves_q = jax.grad(of, (0, 1))(unequal, jnp.zeros(3))
    assert np.all(moves_p == 0)
    assert np.abs(moves_q).max() > 0.01
    at_rest = jax.grad(of, 1)(jnp.log(jnp.asarray(mean, jnp.float32)), jnp.zeros(3))
    np.testing.assert_allclose(at_rest, 0, atol=1e-6)


@pytest.mark.parametrize("weight", [0.0, 2.5, -1.0])
def test_a_regulariser_adds_its_weighted_value_to_the_loss(weight, params, pixels):
    plain, before = evaluated(params, KEY, pixels, 3.0, training=Training())
    training = Training(regularisers={"balance": weight})
    loss, metrics = evaluated(params, KEY, pixels, 3.0, training=training)
    batch = batch_of(params, pixels)
    value = BALANCE(params, KEY, batch.x, batch.encoding)
    np.testing.assert_allclose(metrics["balance"], value, rtol=1e-5)
    np.testing.assert_allclose(loss, plain + weight * value, rtol=1e-5)
    assert metrics.keys() == {*before, "balance"}
    for name, expected in before.items():  # the draws of the objective stay the same
        np.testing.assert_allclose(metrics[name], expected, rtol=1e-6)


def test_several_regularisers_add_up_with_keys_of_their_own(params, pixels):
    keys = []

    def noisy(params, key, x, posterior):
        keys.append(np.asarray(jax.random.key_data(key)))
        return jax.random.normal(key)

    def objective(params, key, batch, progress):
        keys.append(np.asarray(jax.random.key_data(key)))
        return jnp.array(1.0), {}

    total = regularised(objective, [("a", noisy, 2.0), ("b", noisy, -3.0)])
    loss, metrics = total(params, KEY, batch_of(params, pixels), Progress(jnp.array(1.0), 2))
    np.testing.assert_allclose(loss, 1 + 2 * metrics["a"] - 3 * metrics["b"], rtol=1e-5)
    assert len({tuple(key) for key in keys}) == 3


MODES = {"consistency": 20.0, "balance": 8.0, "certainty": 2.0}


@pytest.mark.parametrize("regularisers", [{"balance": 50.0}, MODES], ids=["balance", "modes"])
def test_a_model_trained_with_regularisers_still_has_a_bound(
    regularisers, pixels, reference, assert_mean
):
    """Any q is allowed: the bound of evaluation has no part of the regularisers."""
    config = Config((3,), 2, 1, (8,), binarise="none")
    data = pixels[np.random.default_rng(0).integers(0, 8, 40)]
    plain, fitted = (
        cpvae_jax.fit(
            KEY,
            config,
            data,
            pixels,
            recipe=Training(
                learning_rate=2e-2,
                batch_size=20,
                warmup=1,
                epochs=10,
                estimator="exact",
                regularisers=added,
                view="adversarial",
            ),
        )
        for added in ((), regularisers)
    )
    for name in regularisers:
        assert f"train_{name}" in fitted.history[-1]
        assert f"train_{name}" not in plain.history[-1]
    params, numpy = fitted.params, reference(fitted.params)
    keys = jax.random.split(jax.random.key(1), 400)
    bounds = jax.vmap(lambda key: cpvae_jax.bound(params, key, pixels).bound)(keys)
    assert_mean(bounds, numpy.bound(pixels))
    assert np.all(numpy.bound(pixels) <= numpy.log_likelihood(pixels))

    def balance(params):
        batch = batch_of(params, pixels)
        return float(BALANCE(params, KEY, batch.x, batch.encoding))

    assert balance(params) < -0.6  # close to −log 2
    assert balance(params) <= balance(plain.params) + 1e-2  # both are near the least


# Parts of your own


def test_an_objective_of_your_own_replaces_the_bound(pixels):
    """Only the reconstruction, with a metric of its own in the log."""

    def make(training):
        assert isinstance(training, Training)

        def objective(params, key, batch, progress):
            model = models.of(params.config)
            terms = model.terms(params, key, batch.x, batch.encoding, "exact")
            loss = -jnp.mean(terms.reconstruction)
            return loss, {"half": progress.epoch / 2, "bound": jnp.mean(terms.bound)}

        return objective

    objectives.register("reconstruct", make)
    try:
        config = Config((3,), 2, 1, (4,), binarise="none")
        training = Training(
            objective="reconstruct", batch_size=4, epochs=2, regularisers={"balance": 1}
        )
        found = cpvae_jax.fit(KEY, config, pixels, pixels, recipe=training)
        assert found.history[-1]["train_half"] == pytest.approx((1.5 + 2) / 2 / 2)
        assert {"train_loss", "train_bound", "train_balance"} <= found.history[-1].keys()
        # The prior is in no term of this loss.
        np.testing.assert_array_equal(found.state.params.weights["prior"]["mean"], 0)
    finally:
        OBJECTIVES.forget("reconstruct")
    with pytest.raises(UserError, match="objective is 'reconstruct'"):
        Training(objective="reconstruct")


def test_a_regulariser_of_your_own_gets_data_posterior_and_settings(params, pixels):
    seen = {}

    def make(training):
        seen["epochs"] = training.epochs

        def regulariser(params, key, x, posterior):
            seen["shapes"] = (x.shape, posterior.logits.shape)
            return jnp.mean(x)

        return regulariser

    objectives.register_regulariser("white", make)
    try:
        training = Training(epochs=7, regularisers={"white": 2.0})
        loss, metrics = evaluated(params, KEY, pixels, 1.0, training=training)
        plain, _ = evaluated(params, KEY, pixels, 1.0, training=Training(epochs=7))
        assert seen == {"epochs": 7, "shapes": ((8, 3), (8, 2))}
        np.testing.assert_allclose(loss - plain, 2 * 0.5, rtol=1e-4)
        np.testing.assert_allclose(metrics["white"], 0.5, rtol=1e-6)
    finally:
        REGULARISERS.forget("white")
