"""Random numbers from whole Threefry blocks: their distributions, and JAX's own hash."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32
from scipy import stats

from cpvae_jax.distributions import noise

KEY = jax.random.key(7)
DRAWS = {
    "uniform": (noise.uniform, stats.uniform),
    "normal": (noise.normal, stats.norm),
    "gumbel": (noise.gumbel, stats.gumbel_r),
}


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_numbers_have_the_named_distribution(name, impl):
    draw, law = DRAWS[name]
    found = np.asarray(draw(jax.random.key(3, impl=impl), (401, 501))).ravel()
    assert found.dtype == np.float32
    assert stats.kstest(found, law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_all_65536_numbers_of_16_bits_are_equally_likely(impl):
    found = noise.bits16(jax.random.key(5, impl=impl), (999, 2001))
    assert found.dtype == jnp.uint16
    counts = np.bincount(np.asarray(found).ravel(), minlength=2**16)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_every_bit_of_a_block_is_used_once_and_the_hash_is_that_of_jax():
    """The counter is the row and the column; a block fills both halves of a row."""
    found = noise._words(KEY, (3, 4))
    for row, column in np.ndindex(3, 2):
        block = threefry_2x32(jax.random.key_data(KEY), jnp.array([row, column], jnp.uint32))
        np.testing.assert_array_equal(found[row, [column, column + 2]], block)
    words, halves = noise._words(KEY, (3, 4)), noise.bits16(KEY, (3, 8))
    expected = np.concatenate([words & 0xFFFF, words >> 16], axis=1)
    np.testing.assert_array_equal(halves, expected)


@pytest.mark.parametrize("shape", [(5,), (1, 1), (3, 7), (2, 3, 5), (4, 2, 3, 2)])
def test_no_number_occurs_twice_in_an_array_of_any_shape(shape):
    found = noise._words(KEY, shape)
    assert found.shape == shape
    assert len(np.unique(found)) == found.size


def test_neighbours_rows_and_keys_are_uncorrelated():
    a, b = (np.asarray(noise.normal(key, (1000, 1000))) for key in jax.random.split(KEY))
    pairs = {
        "neighbours": (a[:, 1:], a[:, :-1]),
        "halves of a block": (a[:, :500], a[:, 500:]),
        "rows": (a[1:], a[:-1]),
        "keys": (a, b),
    }
    for name, (x, y) in pairs.items():
        assert abs(np.mean(x * y)) < 5 / np.sqrt(x.size), name
        assert abs(np.mean((x**2 - 1) * (y**2 - 1))) < 10 / np.sqrt(x.size), name


def test_numbers_at_the_ends_of_the_grid_are_finite(monkeypatch):
    ends = jnp.array([[0, 2**32 - 1]], jnp.uint32)
    monkeypatch.setattr(noise, "_words", lambda key, shape: ends)
    uniform = np.asarray(noise.uniform(KEY, (1, 2)), np.float64)
    np.testing.assert_array_equal(uniform, [[2.0**-24, 1 - 2.0**-24]])
    normal = noise.normal(KEY, (1, 2))
    np.testing.assert_allclose(normal, stats.norm.ppf(uniform), rtol=1e-4)
    np.testing.assert_allclose(noise.gumbel(KEY, (1, 2)), stats.gumbel_r.ppf(uniform), rtol=1e-4)


def test_vmapped_keys_give_the_same_numbers_as_each_alone():
    keys = jax.random.split(KEY, 3)
    together = jax.vmap(partial(noise.normal, shape=(4, 5)))(keys)
    alone = jnp.stack([noise.normal(key, (4, 5)) for key in keys])
    np.testing.assert_array_equal(together, alone)


def test_old_keys_are_accepted():
    old = jax.random.PRNGKey(7)
    np.testing.assert_array_equal(noise.normal(old, (4, 5)), noise.normal(KEY, (4, 5)))
