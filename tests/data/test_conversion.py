"""Containers and dtypes of users, as NumPy arrays; most are tested in tests/test_checks.py."""

from decimal import Decimal
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from cpvae_jax.data import conversion
from cpvae_jax.data.conversion import NotFinite, as_numbers
from cpvae_jax.errors import UserError


class NAType:
    """Like the missing value of pandas."""


@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        (np.array([1, 2], object), np.int64, [1, 2]),
        (np.array([True, 2], object), np.int64, [1, 2]),
        (np.array([True, False], object), np.bool_, [1, 0]),
        (np.array([2**63, 2**64 - 1], object), np.uint64, [2**63, 2**64 - 1]),
        (np.array([2**70, 1], object), np.float64, [2.0**70, 1]),
        (np.array([Fraction(1, 2), Decimal("0.25")], object), np.float64, [0.5, 0.25]),
        (np.array([1.5, None, NAType()], object), np.float64, [1.5, np.nan, np.nan]),
        (np.array([1.0, 1e300], np.longdouble), np.float64, [1.0, 1e300]),
        (np.array([1, 2], ">u2"), np.uint16, [1, 2]),
        (np.array([0.5, 2], ">f2"), np.float16, [0.5, 2]),
        (jnp.array([1.5, 2], jnp.bfloat16), np.float32, [1.5, 2]),
        (jnp.array([1, -2], jnp.int4), np.int32, [1, -2]),
        ((1, 2), np.int64, [1, 2]),
        (np.ma.array([1.0, 2.0], mask=[0, 0]), np.float64, [1, 2]),
    ],
)
def test_numbers_keep_their_value_in_a_plain_dtype(given, dtype, expected):
    found = as_numbers(given, "x")
    assert type(found) is np.ndarray
    assert found.dtype == dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, np.array(expected, dtype))


def test_a_plain_array_is_not_copied():
    x = np.zeros((3, 2), np.float32)
    assert np.shares_memory(as_numbers(x, "x"), x)


def test_an_array_that_numpy_cannot_convert_is_an_error_that_says_why():
    class Elsewhere:
        def __array__(self, dtype=None, copy=None):
            raise TypeError("it lies on another device")

    with pytest.raises(
        UserError, match=r"x cannot be read as an array \(it lies on another device"
    ):
        as_numbers(Elsewhere(), "x")


def test_rows_are_found_in_blocks_and_by_their_own_numbers():
    bad = np.array([[0, np.nan], [0, 0], [np.inf, np.nan]])
    faults = NotFinite()
    assert faults.add("a", np.zeros((2, 2)))
    faults.raise_any()
    assert not faults.add("a", bad, 10)
    assert not faults.add("a", bad, 20)
    assert not faults.add("b", bad, np.array([7, 5, 3]))
    with pytest.raises(
        UserError, match=r"a holds 6 .* in examples 10, 12, 20 and 22; b .* 3 and 7"
    ):
        faults.raise_any()
    conversion.finite({"a": bad[:0], "b": np.arange(3)})


def test_sparse_matrices_and_anndata_are_read():
    x = np.array([[0.0, 1.5], [2.0, 0.0]])
    np.testing.assert_array_equal(as_numbers(scipy.sparse.csr_matrix(x), "x"), x)
    anndata = pytest.importorskip("anndata", reason="AnnData is NOT read; pip install anndata")
    np.testing.assert_array_equal(as_numbers(anndata.AnnData(x), "x"), x)
