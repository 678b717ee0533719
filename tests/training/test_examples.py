"""What `fit` makes of the data it is given, before and after it knows the model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Rows, Training, UserError
from cpvae_jax.training import examples

KEY = jax.random.key(0)
CONFIG = Config(shape=(3,), K=2, latent=2, hidden=(4,), likelihood="gaussian")
TRAINING = Training(batch_size=20, warmup=1, epochs=2)
DATA = np.random.default_rng(0).normal(size=(100, 3))

pytestmark = pytest.mark.filterwarnings("ignore:the categories carry almost nothing:RuntimeWarning")


def fitted(train, valid=None, **options):
    return cpvae_jax.fit(KEY, CONFIG, train, valid, recipe=TRAINING, callbacks=[], **options)


def bounds(result):
    return np.array([row["valid_bound"] for row in result.history])


@pytest.mark.parametrize(
    ("num", "words"),
    [(0, "train is empty"), (1, "train has 1 example, and without valid one is held out")],
)
def test_without_valid_two_examples_are_the_fewest(num, words):
    with pytest.raises(UserError, match=words):
        fitted(DATA[:num])
    train, valid, *_ = examples.checked(CONFIG, DATA[:2])
    assert (len(train), len(valid)) == (1, 1)


def test_rows_with_nan_are_the_users_own_and_of_all_parts():
    train, valid = DATA.copy(), DATA[:9].copy()
    train[[17, 93]] = np.nan
    for given in (train, Rows([train[:50], train[50:]])):
        valid[4, 1] = np.inf
        with pytest.raises(UserError, match=r"train .* in examples 17 and 93; valid .* example 4 "):
            fitted(given, valid)
    with pytest.raises(UserError, match=r"train holds 6 .* in examples 17 and 93 "):
        fitted(train)


@pytest.fixture(scope="module")
def plain():
    return bounds(fitted(DATA[:80], DATA[80:]))


@pytest.mark.parametrize("unit", [1e-30, 1e-20, 1e19, 1e30])
@pytest.mark.parametrize("wrap", [np.asarray, lambda x: Rows([x[:30], x[30:]])])
def test_training_does_not_depend_on_the_unit(unit, wrap, plain):
    found = bounds(fitted(wrap(unit * DATA[:80]), unit * DATA[80:]))
    np.testing.assert_allclose(
        found, plain - 3 * np.log(unit), atol=0.05 if wrap is np.asarray else 1
    )


@pytest.mark.parametrize("offset", [1.7e9, 2.0**40, -1e12])
def test_training_does_not_depend_on_a_large_offset(offset, plain):
    found = fitted(offset + DATA[:80], offset + DATA[80:])
    np.testing.assert_allclose(bounds(found), plain, atol=0.05)
    assert np.asarray(cpvae_jax.sample(found.params, KEY, num=50))[:, 0].std() < 10


@pytest.mark.parametrize("dtype", [np.int64, np.uint64, ">i8", object])
def test_integers_beyond_int32_train_as_floats(dtype):
    whole = 2**40 + np.round(DATA * 1e9)
    given = np.array(whole.astype(np.int64).tolist(), dtype)
    found, expected = fitted(given[:80], given[80:]), fitted(whole[:80], whole[80:])
    np.testing.assert_array_equal(bounds(found), bounds(expected))
    probs = cpvae_jax.predict(found.params, given)
    np.testing.assert_array_equal(probs, cpvae_jax.predict(found.params, whole))


def test_rows_and_arrays_with_a_constant_column_agree():
    data = np.column_stack([DATA[:, :2], np.full(100, 0.1)])
    one, other = fitted(data[:80], data[80:]), fitted(Rows([data[:80]]), data[80:])
    for name, value in one.params.stats["likelihood"].items():
        np.testing.assert_array_equal(other.params.stats["likelihood"][name], value)
    np.testing.assert_allclose(bounds(one), bounds(other), atol=0.5)


def test_a_start_from_another_model_keeps_its_unit():
    start = cpvae_jax.initialise(KEY, CONFIG, DATA)
    result = fitted(DATA[:80] + 0.1, DATA[80:], init=start)
    np.testing.assert_array_equal(
        result.params.stats["likelihood"]["scale"], start.stats["likelihood"]["scale"]
    )
    with pytest.warns(UserWarning, match="may have another unit than the training data") as found:
        fitted(1000 * DATA[:80], 1000 * DATA[80:], init=start)
    assert len(found) == 2  # train and valid


def test_validation_data_in_another_unit_are_a_warning():
    with pytest.warns(UserWarning, match="valid may have another unit than the training data"):
        fitted(DATA[:80], 100 * DATA[80:])


def test_black_and_white_integers_train_as_floats_do():
    config = Config(shape=(3,), K=2, latent=2, hidden=(4,), binarise="none")
    x = (DATA > 0).astype(np.uint8)

    def fitted(x):
        return cpvae_jax.fit(KEY, config, x[:80], x[80:], recipe=TRAINING, callbacks=[])

    results = [fitted(given) for given in (x, x.astype(np.int64), x.astype(np.float32), 255 * x)]
    for other in results[1:]:
        np.testing.assert_allclose(bounds(other), bounds(results[0]), rtol=1e-5)
    params = results[0].params
    probs = cpvae_jax.predict(params, x)
    np.testing.assert_allclose(probs, cpvae_jax.predict(params, x.astype(float)), rtol=1e-5)
    traced = jax.jit(lambda x: cpvae_jax.predict(params, x))(jnp.asarray(x))
    np.testing.assert_allclose(traced, probs, rtol=1e-5)
