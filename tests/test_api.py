"""The public functions: shapes, formulas, samples, transformations, and invalid arguments."""

import inspect
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from scipy.special import expit

import cpvae_jax
from cpvae_jax import (
    Config,
    Fit,
    UserError,
    api,
    bound,
    decode,
    encode,
    initialise,
    predict,
    reconstruct,
    sample,
)
from cpvae_jax.evaluation import estimates, rows
from cpvae_jax.evaluation.estimates import ESTIMATORS
from cpvae_jax.models import parts

B, SHAPE, K, D = 4, (2, 3), 3, 2
CONFIG = Config(shape=SHAPE, K=K, latent=D, hidden=(8,), binarise="none")
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def model(shaken):
    return shaken(CONFIG)


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).integers(0, 2, (B, *SHAPE)).astype(np.float32)


def test_shapes(model, x):
    posterior = encode(model, x)
    chex.assert_shape([posterior.logits, posterior.probs, predict(model, x)], (B, K))
    chex.assert_shape([posterior.mean, posterior.log_var], (B, K, D))
    chex.assert_shape(reconstruct(model, x), (B, *SHAPE))
    chex.assert_shape(decode(model, np.zeros((B, D)), 1), (B, *SHAPE))
    chex.assert_shape(sample(model, KEY), (1, *SHAPE))
    chex.assert_shape(sample(model, KEY, category=2, num=B), (B, *SHAPE))
    chex.assert_shape(sample(model, KEY, category=np.arange(3), num=3, draw=True), (3, *SHAPE))
    for estimator in ESTIMATORS:
        terms = jax.eval_shape(partial(bound, estimator=estimator), model, KEY, x)
        chex.assert_shape([terms.reconstruction, terms.kl_c, terms.kl_z], (B,))


def test_fresh_parameters_start_at_equal_priors_and_uniform_categories():
    params = initialise(KEY, CONFIG)
    np.testing.assert_allclose(params.aggregate, 1 / K)
    prior = parts.components(params)
    np.testing.assert_array_equal(jnp.stack([prior.mean, prior.log_var]), 0)
    chex.assert_shape(list(params.weights["prior"].values()), (K, D))
    table = params.weights["decoder"]["trunk"][0]["category"]
    assert len(np.unique(table, axis=0)) == K


def test_the_posterior_equals_the_formulas(model, x, reference):
    got = encode(model, x)
    for value, expected in zip(
        (got.probs, got.mean, got.log_var),
        reference(model).posterior(x.reshape(B, -1)),
        strict=True,
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(predict(model, x), got.probs)
    np.testing.assert_allclose(predict(model, x).sum(axis=1), 1, rtol=1e-6)


def test_decoded_codes_equal_the_formulas(model, reference):
    z = np.random.default_rng(1).normal(size=(B, D)).astype(np.float32)
    by_category = [expit(reference(model).output(z, k)).reshape(B, *SHAPE) for k in range(K)]
    for k in range(K):
        np.testing.assert_allclose(decode(model, z, k), by_category[k], rtol=1e-4)
    each = np.array([0, 2, 1, 2])
    expected = [by_category[k][i] for i, k in enumerate(each)]
    np.testing.assert_allclose(decode(model, z, each), expected, rtol=1e-4)


def test_a_reconstruction_takes_the_most_probable_category_and_its_mean(model, x):
    posterior = encode(model, x)
    best = np.argmax(posterior.logits, axis=1)
    z = np.asarray(posterior.mean)[np.arange(B), best]
    np.testing.assert_array_equal(reconstruct(model, x), decode(model, z, best))


def test_every_form_of_the_same_data_gives_the_same_answer(model, x):
    expected = predict(model, x)
    grey = (255 * x).astype(np.uint8)
    for same in (x.reshape(B, -1), jnp.asarray(x), grey, jnp.asarray(grey), x.astype(bool)):
        np.testing.assert_allclose(predict(model, same), expected, rtol=1e-6)


# Samples


def flat_model(model, aggregate):
    """A decoder whose pixel k is white in category k, and only there."""
    zero = jax.tree.map(jnp.zeros_like, model.weights["decoder"])
    first = zero["trunk"][0]
    values = jnp.zeros((K, 16)).at[jnp.arange(K), jnp.arange(K)].set(1.0)
    kernel = jnp.zeros((8, 6)).at[jnp.arange(K), jnp.arange(K)].set(80.0)
    decoder = {
        "trunk": [first | {"category": values}],
        "output": {"kernel": kernel, "bias": jnp.full(6, -20.0)},
    }
    return model.replace(
        weights={**model.weights, "decoder": decoder},
        stats={**model.stats, "aggregate": jnp.asarray(aggregate)},
    )


@pytest.mark.parametrize(
    ("weights", "shares"), [("aggregate", [0.7, 0.0, 0.3]), ("uniform", [1 / 3] * 3)]
)
def test_categories_are_drawn_with_the_requested_weights(weights, shares, model, assert_mean):
    flat = flat_model(model, [0.7, 0.0, 0.3])
    images = sample(flat, KEY, num=5000, weights=weights).reshape(5000, -1)[:, :K]
    np.testing.assert_allclose(np.sort(images, axis=1), [[0, 0, 1]] * 5000, atol=1e-6)
    assert_mean(images, np.array(shares))


def test_samples_come_from_the_requested_categories(model):
    flat = flat_model(model, [1.0, 0.0, 0.0])
    images = sample(flat, KEY, category=np.array([2, 0, 1, 1]), num=4).reshape(4, -1)
    np.testing.assert_array_equal(images[:, :K].argmax(axis=1), [2, 0, 1, 1])
    for k in range(K):
        one = sample(flat, KEY, category=k, num=5).reshape(5, -1)[:, :K]
        np.testing.assert_array_equal(one.argmax(axis=1), k)


def test_draws_are_black_and_white_and_have_the_mean_of_samples_without_draw(model, assert_mean):
    shown = sample(model, KEY, category=1, num=5000)
    drawn = sample(model, KEY, category=1, num=5000, draw=True)
    assert set(np.unique(drawn)) == {0, 1}
    assert_mean(drawn - shown, np.zeros(SHAPE))


def test_samples_repeat_with_their_key_and_change_with_another(model):
    a, b, c = (sample(model, key, num=2) for key in (KEY, KEY, jax.random.key(1)))
    np.testing.assert_array_equal(a, b)
    assert np.all(a != c)


# Inside the user's own transformations


def test_everything_works_under_jit_and_vmap(model, x):
    keys = jax.random.split(KEY, 3)
    of_one = partial(sample, num=2, category=1)
    each = jax.vmap(partial(of_one, model))(keys)
    chex.assert_shape(each, (3, 2, *SHAPE))
    np.testing.assert_allclose(each[1], of_one(model, keys[1]), rtol=1e-5)
    jitted = jax.jit(sample, static_argnames=("category", "num", "weights", "draw"))
    np.testing.assert_allclose(jitted(model, KEY, category=1, num=2), of_one(model, KEY), rtol=1e-5)
    by_category = jax.jit(jax.vmap(lambda k: sample(model, KEY, category=k, num=2)))(jnp.arange(K))
    np.testing.assert_allclose(by_category[1], of_one(model, KEY), rtol=1e-5)

    @jax.jit
    def all_of_it(params, key, x):
        z = encode(params, x).mean[:, 0]
        terms = bound(params, key, x)
        return predict(params, x), reconstruct(params, x), decode(params, z, 0), terms.bound

    z = encode(model, x).mean[:, 0]
    expected = predict(model, x), reconstruct(model, x), decode(model, z, 0)
    *got, value = all_of_it(model, KEY, x)
    chex.assert_trees_all_close(tuple(got), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(value, bound(model, KEY, x).bound, rtol=1e-5)


def test_a_second_call_compiles_nothing(model, x):
    compiled = (
        *(api._encode, rows.probs_of, api._decode, api._reconstruct, api._sample),
        estimates._bound,
    )

    def call(key):
        encode(model, x)
        predict(model, x)
        reconstruct(model, x)
        decode(model, np.zeros((B, D)), 1)
        bound(model, key, x)
        sample(model, key, category=1, num=B)

    call(KEY)
    sizes = [fn._cache_size() for fn in compiled]
    call(jax.random.key(1))
    assert [fn._cache_size() for fn in compiled] == sizes


# Invalid arguments


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda m, x: sample(m, KEY, category=3), "category is 3; this model has 3 categories"),
        (lambda m, x: sample(m, KEY, category=-1), "category is -1"),
        (lambda m, x: sample(m, KEY, category=1.0), "category is 1.0; it must be a whole number"),
        (lambda m, x: sample(m, KEY, category=np.array([0, 5]), num=2), "category is 5"),
        (lambda m, x: sample(m, KEY, category=jnp.array([0, 1]), num=3), r"the shape \(2,\)"),
        (lambda m, x: sample(m, KEY, num=0), "num is 0"),
        (lambda m, x: sample(m, KEY, num=2.0), "num is 2.0"),
        (lambda m, x: sample(m, KEY, num=True), "num is True"),
        (lambda m, x: sample(m, KEY, weights="best"), "'best'; choose one of aggregate, uniform"),
        (lambda m, x: decode(m, np.zeros((B, D)), 3), "category is 3"),
        (lambda m, x: decode(m, np.zeros((B, D + 1)), 0), r"shape \(4, 3\).*shape \(B, 2\)"),
        (lambda m, x: decode(m, np.zeros(D), 0), r"shape \(2,\)"),
        (lambda m, x: bound(m, KEY, x, estimator="mean"), "'mean'; choose one of exact, hard"),
        (lambda m, x: encode(m, x[0]), r"x has the shape \(2, 3\).*shape \(B, 2, 3\)"),
        (lambda m, x: encode(m, 0.0), r"x has the shape \(\)"),
        (lambda m, x: predict(m, x.transpose(0, 2, 1)), r"x has the shape \(4, 3, 2\)"),
        (lambda m, x: predict(m, x[:0]), "x is empty"),
        (lambda m, x: predict(m, np.where(x == x.max(), np.nan, x)), "numbers that are NaN"),
        (lambda m, x: predict(m, jnp.asarray(x) + jnp.inf), "24 numbers that are NaN or infinite"),
        (lambda m, x: predict(m, 2 * x), "x ranges from 0 to 2"),
        (lambda m, x: predict(m, -x), "x ranges from -1 to"),
        (lambda m, x: predict(m, x.astype(int) - 1), "x ranges from -1 to 0"),
        (lambda m, x: predict(m, x.astype(str)), "x has dtype <U"),
        (lambda m, x: reconstruct(m, x.astype(complex)), "x has dtype complex128"),
        (lambda m, x: predict(m, [[1.0] * 6, [1.0] * 5]), "rows differ in length"),
        (lambda m, x: predict(m, np.ma.masked_less(x, 0.5)), "masked values"),
        (lambda m, x: decode(m, np.zeros((B, D), complex), 0), "z has dtype complex128"),
        (lambda m, x: decode(m, np.full((B, D), "0"), 0), "z has dtype <U1"),
        (lambda m, x: decode(m, np.full((B, D), np.nan), 0), "z holds 8 numbers that are NaN"),
        (lambda m, x: decode(m, np.full((B, D), 1e39), 0), "z holds 8 numbers that are NaN or inf"),
        (lambda m, x: decode(m, [[0.0, 1.0], [2.0]], 0), "z cannot be read as an array"),
        (lambda m, x: decode(m, np.zeros((1, D)), 1 + 0j), "category has dtype complex128"),
        (lambda m, x: decode(m, np.zeros((1, D)), 1.0), "category is 1.0; it must be a whole"),
        (lambda m, x: bound(m, KEY, x, temperature="0.5"), "temperature is 0.5; it must be"),
        (lambda m, x: decode(m, np.zeros((B, D))), "decoder of the model 'cp' needs one"),
        (lambda m, x: initialise(KEY, CONFIG, x[:, :1]), r"data has the shape \(4, 1, 3\)"),
    ],
)
def test_an_invalid_argument_is_refused_in_one_line(call, sentence, model, x):
    with pytest.raises(UserError, match=sentence) as error:
        call(model, x)
    assert "\n" not in str(error.value)


def parameters(name):
    """The parameters of a public function by name; none of a class."""
    function = getattr(cpvae_jax, name)
    return inspect.signature(function).parameters if inspect.isfunction(function) else {}


WITH_A_MODEL = [name for name in cpvae_jax.__all__ if "params" in parameters(name)]
WITH_A_CONFIGURATION = [name for name in cpvae_jax.__all__ if "config" in parameters(name)]


def arguments(function, x, **others):
    """Valid arguments for what a public function needs, but for those given."""
    valid = {"key": KEY, "x": x, "data": x, "train": x, "z": np.zeros((B, D)), "groups": [[0, 1]]}
    needed = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty
    ]
    return {name: others.get(name, valid.get(name)) for name in needed}


@pytest.mark.parametrize("name", sorted({*WITH_A_MODEL} - {"export", "save"}))
def test_what_is_not_a_model_is_refused_by_every_function(name, model, x):
    function = getattr(cpvae_jax, name)
    fit = Fit(model, history=[], state=None, seeds=(model,), stopped=None)
    estimator = cpvae_jax.CPVAE()
    estimator.params_ = model
    for given, sentence in (
        (KEY, "and not a model; give one, such as cpvae_jax.load returns"),
        ("runs/digits", "params is str and not a model"),
        (None, "params is NoneType and not a model"),
        (CONFIG, "params is Config and not a model"),
        (fit, r"params is Fit and not a model; give the model in it, \.params\."),
        (estimator, r"params is CPVAE and not a model; give the model in it, \.params_\."),
    ):
        with pytest.raises(UserError, match=sentence):
            function(**arguments(function, x, params=given))


def test_every_function_with_a_model_is_tested():
    assert len(WITH_A_MODEL) >= 14
    assert {*WITH_A_CONFIGURATION} == {"fit", "initialise", "select"}


@pytest.mark.parametrize("name", WITH_A_CONFIGURATION)
@pytest.mark.parametrize("given", [None, {"K": 2}, KEY], ids=["nothing", "a dictionary", "a key"])
def test_what_is_not_a_configuration_is_refused(name, given, x):
    function = getattr(cpvae_jax, name)
    with pytest.raises(UserError, match=r"config is .* and not a configuration; give one, such as"):
        function(**arguments(function, x, config=given))


@pytest.mark.parametrize("name", sorted(n for n in cpvae_jax.__all__ if "mesh" in parameters(n)))
@pytest.mark.parametrize("given", [4, Mesh(np.array(jax.devices()[:1]), ("x",))], ids=["4", "own"])
def test_a_mesh_is_one_of_the_library_s_own(name, given, model, x):
    function = getattr(cpvae_jax, name)
    needed = arguments(function, x, params=model, config=CONFIG)
    with pytest.raises(
        UserError, match=r"mesh is .*; give what cpvae_jax.devices.mesh\(\) returns"
    ):
        function(**needed, mesh=given)


def test_training_starts_from_a_model_and_not_from_a_fit(model, x):
    fit = Fit(model, history=[], state=None, seeds=(model,), stopped=None)
    with pytest.raises(UserError, match=r"init is Fit and not a model; .* \.params\."):
        cpvae_jax.fit(KEY, CONFIG, x, x, init=fit)


def test_keys_of_both_kinds_give_the_same_numbers(model, x):
    old = jax.random.PRNGKey(0)
    np.testing.assert_array_equal(sample(model, old, num=3), sample(model, KEY, num=3))
    chex.assert_trees_all_equal(bound(model, old, x), bound(model, KEY, x))
    with pytest.raises(
        UserError, match=r"key is 0; give a random key, such as jax.random.key\(0\)"
    ):
        sample(model, 0)


@pytest.mark.parametrize("key", [None, np.zeros(3, np.uint32), [1, 2]], ids=str)
def test_what_is_not_a_key_is_refused(key, model, x):
    with pytest.raises(UserError, match="give a random key"):
        sample(model, key)
    with pytest.raises(UserError, match="give a random key"):
        bound(model, key, x)


def test_several_keys_in_place_of_one_are_refused(model):
    with pytest.raises(UserError, match=r"key has the shape \(2,\); give a single random key"):
        sample(model, jax.random.split(KEY))


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan])
def test_a_temperature_must_be_positive(temperature, model, x):
    with pytest.raises(UserError, match=f"temperature is {temperature}"):
        bound(model, KEY, x, estimator="relaxed", temperature=temperature)


def test_predictions_equal_the_probabilities_of_the_encoding(model, x):
    np.testing.assert_array_equal(predict(model, x), encode(model, x).probs)


def test_a_gaussian_model_takes_any_finite_number(shaken, x):
    config = Config(shape=SHAPE, K=K, latent=D, hidden=(8,), likelihood="gaussian")
    params = shaken(config, data=100 * x - 7)
    chex.assert_tree_all_finite(predict(params, 100 * x - 7))
    with pytest.raises(UserError, match="NaN"):
        predict(params, np.nan * x)


def test_a_uint8_batch_may_have_any_maximum(model):
    """Also 1, which says nothing about the unit of the batch."""
    dark = np.zeros((3, *SHAPE), np.uint8)
    expected = predict(model, dark / 255.0)
    for top in (1, 2, 255):
        dark[2, 0, 0] = top
        np.testing.assert_allclose(predict(model, dark)[:2], expected[:2], rtol=1e-5)


TIMES = 1.7e9 + np.random.default_rng(0).normal(0, 10, (60, 3))


def test_a_model_of_timestamps_tells_them_apart_and_gives_them_back(shaken):
    params = shaken(Config((3,), K=K, latent=D, hidden=(8,), likelihood="gaussian"), data=TIMES)
    assert len(np.unique(predict(params, TIMES)[:, 0])) > 50
    for found in (reconstruct(params, TIMES), sample(params, KEY, num=60, draw=True)):
        assert found.dtype == np.float64
        assert np.abs(found - 1.7e9).max() < 1000
        assert len(np.unique(found[:, 0])) > 50
    traced = jax.jit(lambda z: decode(params, z, 0))(jnp.zeros((1, D)))
    np.testing.assert_allclose(traced, decode(params, np.zeros((1, D)), 0), rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-30, 1e-20, 1e19, 1e30])
def test_answers_do_not_depend_on_the_unit(shaken, unit):
    config = Config((3,), K=K, latent=D, hidden=(8,), likelihood="gaussian")
    data = np.random.default_rng(0).normal(3, 2, (60, 3))
    ours, other = shaken(config, data=data), shaken(config, data=unit * data)
    np.testing.assert_allclose(predict(other, unit * data), predict(ours, data), atol=1e-4)
    found = sample(other, KEY, num=5, draw=True)
    np.testing.assert_allclose(found / unit, sample(ours, KEY, num=5, draw=True), rtol=1e-3)
    shift = -3 * np.log(unit)
    np.testing.assert_allclose(
        bound(other, KEY, unit * data).bound, bound(ours, KEY, data).bound + shift, rtol=1e-4
    )


# The records that they return


def test_records_print_in_one_short_line(model, x):
    """They name the model and its sizes, and leave out the arrays."""
    posterior, terms = encode(model, x), bound(model, KEY, x)
    count = sum(leaf.size for leaf in jax.tree.leaves(model.weights))
    assert repr(model) == f"Params(cp, K=3, shape=(2, 3), {count:,} weights)"
    assert repr(posterior) == "Posterior(B=4, K=3, D=2)"
    assert repr(terms) == "Terms(B=4: bound, reconstruction, kl_c, kl_z)"
    traced = jax.eval_shape(lambda: (model, posterior, terms))
    stacked = jax.tree.map(lambda a: jnp.stack([a, a]), (model, posterior, terms))
    large = initialise(KEY, Config(shape=(28, 28, 3), K=100, prior="vp", levels=2))
    assert "hvp, K=100, shape=(28, 28, 3)" in repr(large)
    nothing = jax.tree.map(lambda a: None, (posterior, terms))
    for record in (model, posterior, terms, *traced, *stacked, large, *nothing):
        text = repr(record)
        assert "\n" not in text
        assert len(text) < 120
