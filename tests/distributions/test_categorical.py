"""The category: its divergence against scipy, and the frequencies of its draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax

from cpvae_jax.distributions import categorical, noise

DRAWS = {name: jax.jit(draw) for name, draw in categorical.DRAWS.items()}
sample_many = jax.jit(categorical.sample_many, static_argnames="num")

GRID = 2**23
"""Distinct values of `noise.uniform`."""

LOGITS = jnp.array([[0.0, 1.0, -2.0, 0.5], [3.0, 0.0, 0.0, -1.0], [0.0, 0.0, 0.0, 0.0]])
FAR = jnp.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4]])


def test_entropy_and_divergence_equal_scipy():
    probs = softmax(np.float64(LOGITS), axis=1)
    np.testing.assert_allclose(categorical.entropy(LOGITS), stats.entropy(probs, axis=1), rtol=1e-6)
    expected = stats.entropy(probs, np.full(4, 0.25)[None], axis=1)
    got = categorical.kl_to_uniform(LOGITS)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_far_logits_give_finite_values_and_gradients():
    expected = [np.log(3), 0.0, np.log(3 / 2)]
    np.testing.assert_allclose(categorical.kl_to_uniform(FAR), expected, atol=1e-6)
    gradient = jax.jit(jax.grad(lambda a: categorical.kl_to_uniform(a).sum()))(FAR)
    assert np.all(np.isfinite(gradient))
    for draw in DRAWS.values():
        assert np.all(np.isfinite(draw(jax.random.key(0), FAR, 0.1)))
    c, log_q = sample_many(jax.random.key(0), FAR, 1000)
    assert set(np.unique(c[:, 0])) == {0}
    assert set(np.unique(c[:, 2])) == {0, 1}
    np.testing.assert_allclose(log_q, np.log([[1, 1 / 3, 1 / 2]] * 1000), atol=1e-6)


def test_both_forms_of_a_category_pick_the_same_rows():
    table, category = jnp.arange(8.0).reshape(4, 2), jnp.array([3, 0, 3])
    picked = categorical.rows(table, category)
    np.testing.assert_array_equal(picked, table[np.array([3, 0, 3])])
    np.testing.assert_array_equal(picked, categorical.rows(table, jax.nn.one_hot(category, 4)))


def assert_frequencies(categories, probs):
    """The shares of each category in draws [num, B] are within 6 standard errors of [B, K]."""
    num, K = len(categories), probs.shape[1]
    shares = np.stack([np.bincount(c, minlength=K) for c in np.asarray(categories).T]) / num
    assert np.all(np.abs(shares - probs) <= 6 * np.sqrt(probs * (1 - probs) / num) + 1e-6)


@pytest.mark.parametrize("name", DRAWS)
def test_every_draw_has_the_frequencies_of_its_logits(name):
    logits = jnp.broadcast_to(LOGITS, (20_000, *LOGITS.shape))
    draws = DRAWS[name](jax.random.key(1), logits, 0.5)
    categories = draws if name == "hard" else draws.argmax(axis=-1)
    assert_frequencies(categories, softmax(np.float64(LOGITS), axis=1))


def test_a_relaxed_draw_sums_to_one_and_hardens_as_the_temperature_falls():
    logits = jnp.broadcast_to(LOGITS, (500, *LOGITS.shape))
    soft, cold = (DRAWS["relaxed"](jax.random.key(2), logits, t) for t in (2.0, 1e-4))
    np.testing.assert_allclose(soft.sum(axis=-1), 1, rtol=1e-6)
    assert np.all(soft >= 0)
    assert soft.max(axis=-1).mean() < 0.8
    two = np.sort(np.log(soft), axis=-1)[..., -2:]
    clear = np.diff(two)[..., 0] > 0.01  # in the others two categories are nearly equal
    hard = jax.nn.one_hot(soft.argmax(axis=-1), 4)
    np.testing.assert_allclose(cold[clear], hard[clear], atol=1e-6)


def test_straight_through_is_hard_forward_and_relaxed_backward():
    key, weight = jax.random.key(3), jnp.arange(12.0).reshape(3, 4)
    hard = jax.nn.one_hot(DRAWS["hard"](key, LOGITS, 0.7), 4)
    straight, soft = DRAWS["straight-through"], DRAWS["relaxed"]
    np.testing.assert_allclose(straight(key, LOGITS, 0.7), hard, atol=1e-6)
    forward, backward = (
        jax.jit(jax.grad(lambda a, f=f: jnp.sum(weight * f(key, a, 0.7))))(LOGITS)
        for f in (straight, soft)
    )
    np.testing.assert_allclose(forward, backward, rtol=1e-5)
    assert np.all(np.any(backward != 0, axis=1))


def test_many_draws_have_the_frequencies_of_their_logits_and_return_log_probabilities():
    probs = softmax(np.float64(LOGITS), axis=1)
    c, log_q = sample_many(jax.random.key(4), LOGITS, 100_000)
    assert c.shape == log_q.shape == (100_000, 3)
    assert_frequencies(c, probs)
    expected = np.take_along_axis(np.log(probs), np.asarray(c).T, axis=1).T
    np.testing.assert_allclose(log_q, expected, atol=1e-5)


def test_uniform_numbers_lie_on_the_grid_that_sample_many_assumes():
    u = np.asarray(noise.uniform(jax.random.key(0), (100_000,)), np.float64)
    np.testing.assert_array_equal(u * GRID, np.floor(u * GRID) + 0.5)


@pytest.mark.parametrize(
    "logits",
    [
        np.array(
            [0.0, -15.0, 1.0, -40.0, -17.0, -1e4]
        ),  # includes probabilities 1e-7, 1e-18, 1e-8 and 0
        # XLA sums float32 numbers in blocks, so that its cumsum falls twice in these.
        np.random.default_rng(44).normal(0, 5, 500),
    ],
    ids=["tiny", "K500"],
)
def test_the_returned_probabilities_are_exactly_those_of_the_draws(monkeypatch, logits):
    """Takes every value of the uniform number once, so the frequencies are exact."""
    grid = (jnp.arange(GRID, dtype=jnp.float32)[None] + 0.5) / GRID
    monkeypatch.setattr(noise, "uniform", lambda key, shape: grid)
    c, log_q = categorical.sample_many(jax.random.key(0), jnp.float32(logits)[None], GRID)
    c, log_q = np.asarray(c[:, 0]), np.asarray(log_q[:, 0], np.float64)
    counts = np.bincount(c, minlength=len(logits))
    returned = np.zeros(len(logits))
    returned[c] = np.exp(log_q) * GRID  # all draws of a category return the same probability
    wrong = np.abs(counts - returned) > 2e-6 * counts + 1e-3  # float32 rounds the logarithm
    assert not wrong.any(), f"{np.flatnonzero(wrong)}: {counts[wrong]} != {returned[wrong]}"
    # Sums of up to 500 float32 numbers: a few times 2⁻²⁴ each.
    np.testing.assert_allclose(counts / GRID, softmax(logits), atol=2e-6)
