"""Checks of users' input."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cpvae_jax import Config, checks
from cpvae_jax.data import Dataset, Rows
from cpvae_jax.errors import UserError

CONFIG = Config(shape=(2, 3), K=2, latent=2, hidden=(4,))
GAUSSIAN = replace(CONFIG, likelihood="gaussian")


@pytest.mark.parametrize("shape", [(4, 2, 3), (4, 6)])
@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray, np.ndarray.tolist])
def test_examples_get_the_shape_of_the_model(shape, convert):
    found = checks.data(CONFIG, convert(np.zeros(shape, np.float32)))
    assert isinstance(found, jax.Array)
    assert found.shape == (4, 2, 3)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.bool_, np.float16, np.float64])
def test_real_numbers_are_accepted(kind):
    checks.data(CONFIG, np.zeros((4, 2, 3), kind))


@pytest.mark.parametrize("config", [CONFIG, GAUSSIAN])
@pytest.mark.parametrize("kind", ["complex64", "datetime64[s]", "object", "U1"])
def test_other_types_are_refused(config, kind):
    with pytest.raises(UserError, match=r"x has dtype .*; convert it to float32"):
        checks.data(config, np.zeros((4, 2, 3)).astype(kind))


def test_the_type_of_traced_values_is_checked():
    with pytest.raises(UserError, match="x has dtype complex64"):
        jax.jit(lambda x: checks.data(CONFIG, x))(np.zeros((4, 6), np.complex64))
    with pytest.raises(UserError, match="x has dtype key"):
        checks.data(CONFIG, jax.random.split(jax.random.key(0), (4, 6)))
    assert jax.jit(lambda x: checks.data(CONFIG, x))(np.full((4, 6), 7.0)).shape == (4, 2, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_located(value):
    x = np.zeros((4, 2, 3), np.float32)
    x[2, 1, 0] = value
    for config in (CONFIG, GAUSSIAN):
        with pytest.raises(UserError, match=r"1 number that is NaN or infinite.* in example 2"):
            checks.data(config, x)
    x[3] = value
    with pytest.raises(UserError, match=r"train holds 7 numbers that are NaN.* in example 102"):
        checks.readable(CONFIG, Rows([np.zeros((100, 2, 3), np.float32), x]))


def test_the_likelihood_checks_the_range():
    x = np.full((4, 6), -7.0)
    checks.data(GAUSSIAN, x)
    with pytest.raises(UserError, match="x ranges from -7 to -7"):
        checks.data(CONFIG, x)
    with pytest.raises(UserError, match="train ranges from -7 to -7"):
        checks.readable(CONFIG, Rows([x]))


def test_rows_are_readable_in_the_shape_of_the_model():
    rows = Rows([np.zeros((4, 2, 3), np.uint8)])
    assert checks.readable(CONFIG, rows) is rows
    flat = checks.readable(CONFIG, Rows([np.zeros((4, 6), np.uint8)]))
    assert isinstance(flat, Rows)
    assert flat.shape == (4, 2, 3)
    assert checks.readable(CONFIG, np.zeros((4, 6))).shape == (4, 2, 3)
    with pytest.raises(UserError, match="x is Rows, which only fit"):
        checks.data(CONFIG, rows)


def test_a_data_set_is_checked_part_by_part():
    x = np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 2, 3)
    made = Dataset("made", x, x, x, None, None, None, "grey", "made here.")
    checks.dataset(CONFIG, made)
    checks.dataset(CONFIG, replace(made, train=Rows([x])))
    checks.dataset(GAUSSIAN, replace(made, test=x - 7))
    for changes, sentence in [
        ({"test": x - 7}, "made: the test part ranges from -7 to -6"),
        ({"valid": x * np.nan}, "made: the validation part holds 24 numbers that are NaN"),
        ({"train": Rows([x + np.inf])}, "made: the training part holds .* infinite"),
        ({"train": x.astype("U1")}, "made: the training part has dtype <U1"),
        ({"valid": x[:0]}, "made: the validation part has shape"),
    ]:
        with pytest.raises(UserError, match=sentence):
            checks.dataset(CONFIG, replace(made, **changes))
    with pytest.raises(UserError, match="the training part has the shape"):
        checks.dataset(replace(CONFIG, shape=(3, 2)), made)
