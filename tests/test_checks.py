"""Checks of users' input."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, checks
from cpvae_jax.data import Dataset, Rows
from cpvae_jax.errors import UserError

CONFIG = Config(shape=(2, 3), K=2, latent=2, hidden=(4,))
GAUSSIAN = replace(CONFIG, likelihood="gaussian")
INTEGERS = np.arange(24, dtype=np.int64).reshape(4, 6)


@pytest.fixture(scope="module")
def grey():
    return cpvae_jax.initialise(jax.random.key(0), CONFIG)


@pytest.fixture(scope="module")
def real():
    """A Gaussian model that saw no data: its unit is that of the data."""
    return cpvae_jax.initialise(jax.random.key(0), GAUSSIAN)


MATRIX = pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")


class Frame:
    """Like a data frame: an object that NumPy can convert."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


@pytest.mark.parametrize("shape", [(4, 2, 3), (4, 6)])
@pytest.mark.parametrize("convert", [np.asarray, jnp.asarray, np.ndarray.tolist, Frame])
def test_examples_get_the_shape_of_the_model(shape, convert, grey):
    found = checks.data(grey, convert(np.zeros(shape, np.float32)))
    assert isinstance(found, jax.Array)
    assert found.shape == (4, 2, 3)


@pytest.mark.parametrize("name", ["grey", "real"])
@pytest.mark.parametrize(
    "convert",
    [
        np.uint8,
        np.int16,
        np.uint64,
        np.float16,
        np.float64,
        np.longdouble,
        lambda x: x.astype(">i4"),
        lambda x: x.astype(">f8"),
        lambda x: x.astype(object),
        pytest.param(np.asmatrix, marks=MATRIX),
        lambda x: np.ma.masked_greater(x, 99),
        lambda x: Frame(x),
        lambda x: [tuple(row) for row in x.tolist()],
        lambda x: jnp.asarray(x, jnp.bfloat16),
        lambda x: x[::-1][::-1],
    ],
)
def test_every_container_and_type_gives_the_same_numbers(convert, name, request):
    model = request.getfixturevalue(name)
    given = convert(INTEGERS if name == "real" else INTEGERS % 2)
    expected = (INTEGERS if name == "real" else INTEGERS % 2).reshape(4, 2, 3)
    np.testing.assert_array_equal(np.float32(checks.data(model, given)), expected)
    if type(given) is np.ndarray and given.dtype != object:
        rows = checks.readable(model, Rows([given[:1], given[1:]]))
        np.testing.assert_array_equal(np.float32(rows[np.arange(4)]), expected)
        np.testing.assert_array_equal(np.float32(next(iter(rows.blocks()))), expected[:1])


@pytest.mark.parametrize("value", [2**31, 3_000_000_000, 2**53, 2**63 - 1, 2**64 - 1, -(2**40)])
def test_integers_beyond_int32_keep_their_value(value, real):
    kind = np.uint64 if value >= 2**63 else np.int64
    x = np.full((2, 6), value, kind)
    for found in (checks.data(real, x), checks.readable(real, Rows([x]))[np.arange(2)]):
        np.testing.assert_allclose(np.float64(found), float(value), rtol=1e-7)
    with pytest.raises(UserError, match="x ranges from"):
        checks.data(cpvae_jax.initialise(jax.random.key(0), CONFIG), x)


@pytest.mark.parametrize("config", [CONFIG, GAUSSIAN])
@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("complex64", "give real numbers"),
        ("datetime64[s]", "express dates as numbers"),
        ("timedelta64[s]", "express times"),
        ("U1", "replace text by numbers"),
        ("V4", "convert it to float32"),
        ([("a", "f4")], "convert it to float32"),
    ],
)
def test_other_types_are_refused(config, kind, remedy):
    x = np.zeros((4, 2, 3), kind)
    with pytest.raises(UserError, match=rf"x has dtype .*; {remedy}"):
        checks.examples(config, {"x": x})
    with pytest.raises(UserError, match=rf"x has dtype .*; {remedy}"):
        checks.examples(config, {"x": Rows([x])})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([[0.0] * 6, [0.0] * 5], "x cannot be read as an array, because its rows differ"),
        ([[0.0] * 5 + [[1.0, 2.0]]], "x cannot be read as an array, because its rows differ"),
        ([[1, "a", 0, 0, 0, 0]], "x has dtype <U21; replace text by numbers"),
        (np.array([[1, "a", 0, 0, 0, 0]], object), "x holds 'a' in example 0"),
        (np.array([[1] * 6, [0] * 5 + ["b"]], object), "x holds 'b' in example 1"),
        (
            np.array([[1] * 6, [0] * 5 + [None]], object),
            "x holds 1 number that is NaN .* example 1",
        ),
        (np.array([[1] * 6, [10**400] * 6], object), "x holds a number beyond float64"),
        (None, "x is of type NoneType; give an array of numbers"),
        ({"a": 1}, "x is of type dict"),
        ((row for row in ()), "x is of type generator"),
        (3.0, r"x has the shape \(\); this model takes"),
        (np.zeros((0, 6)), "x is empty"),
        (np.ma.array(np.zeros((2, 6)), mask=[[1] + [0] * 5] * 2), "x has 2 masked values"),
        (np.ma.array(np.zeros((1, 6)), mask=[[1] + [0] * 5]), "x has 1 masked value, which"),
        ([np.ma.array([0.0] * 6, mask=[1] * 6), np.zeros(6)], "x has 6 masked values"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_in_one_line(given, sentence, real):
    with pytest.raises(UserError, match=sentence) as error:
        checks.data(real, given)
    assert "\n" not in str(error.value)


def test_rows_of_masked_values_are_refused():
    x = np.ma.array(np.zeros((2, 6)), mask=np.eye(2, 6))
    with pytest.raises(UserError, match="Rows has 2 masked values, which"):
        Rows([np.zeros((1, 6)), x])
    Rows([np.ma.array(np.zeros((2, 6)))])


def test_the_type_of_traced_values_is_checked(grey):
    with pytest.raises(UserError, match="x has dtype complex64"):
        jax.jit(lambda x: checks.data(grey, x))(np.zeros((4, 6), np.complex64))
    with pytest.raises(UserError, match="x has dtype key"):
        checks.data(grey, jax.random.split(jax.random.key(0), (4, 6)))
    assert jax.jit(lambda x: checks.data(grey, x))(np.full((4, 6), 7.0)).shape == (4, 2, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_counted_and_located(value, grey, real):
    x = np.zeros((4, 2, 3), np.float32)
    x[2, 1, 0] = value
    for model in (grey, real):
        with pytest.raises(UserError, match=r"1 number that is NaN or infinite, in example 2 "):
            checks.data(model, x)
    x[3] = value
    parts = [np.zeros((100, 2, 3), np.float32), x]
    for given in (Rows(parts), np.concatenate(parts)):
        with pytest.raises(
            UserError, match=r"train holds 7 numbers that are NaN .*, in examples 102 and 103"
        ):
            checks.readable(grey, given)


def test_all_parts_with_nan_are_named_in_one_message():
    train, valid = np.zeros((50, 6)), np.zeros((9, 6))
    train[[3, 7, 8, 20, 21, 40], 2] = np.nan
    valid[5] = np.inf
    with pytest.raises(UserError) as error:
        checks.examples(GAUSSIAN, {"train": train, "valid": valid})
    assert str(error.value) == (
        "train holds 6 numbers that are NaN or infinite, in 6 examples, the first 3, 7, 8, 20 and "
        "21; valid holds 6 numbers that are NaN or infinite, in example 5 (counting from 0); remove "
        "those examples or replace the numbers."
    )


def test_the_likelihood_checks_the_range(grey, real):
    x = np.full((4, 6), -7.0)
    checks.data(real, x)
    with pytest.raises(UserError, match="x ranges from -7 to -7"):
        checks.data(grey, x)
    with pytest.raises(UserError, match="train ranges from -7 to -7"):
        checks.readable(grey, Rows([x]))


def test_finite_numbers_beyond_float32_are_refused(real):
    for value in (1e39, -1e300):
        with pytest.raises(UserError, match=r"x holds -?1e\+\d+, "):
            checks.data(real, np.full((2, 6), value))


def test_rows_are_readable_in_the_shape_of_the_model(grey):
    rows = Rows([np.zeros((4, 2, 3), np.uint8)])
    assert checks.examples(CONFIG, {"x": rows})["x"] is rows
    flat = checks.readable(grey, Rows([np.zeros((4, 6), np.uint8)]))
    assert isinstance(flat, Rows)
    assert flat.shape == (4, 2, 3)
    assert checks.readable(grey, np.zeros((4, 6))).shape == (4, 2, 3)
    with pytest.raises(UserError, match="x is Rows, which only fit"):
        checks.data(grey, rows)


def test_another_unit_than_at_fit_is_a_warning():
    data = np.random.default_rng(0).normal(size=(60, 2, 3))
    params = cpvae_jax.initialise(jax.random.key(0), GAUSSIAN, data)
    for call in (cpvae_jax.predict, cpvae_jax.encode, cpvae_jax.reconstruct):
        call(params, data)
        with pytest.warns(
            UserWarning, match="x may have another unit than the training data"
        ) as found:
            call(params, 255 * data)
        assert len(found) == 1
    with pytest.warns(UserWarning, match="data may have another unit"):
        checks.readable(params, Rows([255 * data]), "data")


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
        ({"train": x * np.nan, "test": x * np.nan}, "training part holds 24 .* test part holds 24"),
    ]:
        with pytest.raises(UserError, match=sentence):
            checks.dataset(CONFIG, replace(made, **changes))
    with pytest.raises(UserError, match="the training part has the shape"):
        checks.dataset(replace(CONFIG, shape=(3, 2)), made)
