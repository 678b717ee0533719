"""Levels in order: their probabilities against differences of sigmoids, far out and at the start."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_expit

from cpvae_jax.columns import Column
from cpvae_jax.likelihoods import ordinal
from cpvae_jax.likelihoods.mixed_unit import layout

COLUMNS = (
    Column("a", "ordinal", (1, 2, 3, 4, 5)),
    Column("b", "ordinal", ("no", "yes")),
    Column("c", "ordinal", ("only",)),
    Column("d", "ordinal", (1, 2, 3)),
)
LAYOUT = layout(COLUMNS)
LEVELS = [len(column.levels) for column in COLUMNS]


def cuts_of(tree):
    """The cuts in float64, [n, L - 1]."""
    first, gaps = np.float64(tree["first"]), np.float64(tree["gaps"])
    steps = np.cumsum(np.log1p(np.exp(gaps)) + ordinal.NARROWEST, axis=1)
    return np.concatenate([first[:, None], first[:, None] + steps], axis=1)


def test_probabilities_are_differences_of_cumulative_ones():
    rng = np.random.default_rng(0)
    tree = {"first": jnp.float32(rng.normal(size=4)), "gaps": jnp.float32(rng.normal(size=(4, 3)))}
    o = rng.normal(0, 2, (7, 4))
    found = np.asarray(ordinal.log_probs(COLUMNS, LAYOUT, tree, jnp.float32(o)))
    for i, levels in enumerate(LEVELS):
        below = expit(cuts_of(tree)[i, : levels - 1] - o[:, i, None])
        expected = np.diff(below, axis=1, prepend=0, append=1)
        np.testing.assert_allclose(np.exp(found[:, i, :levels]), expected, rtol=1e-4, atol=1e-7)
        assert np.all(found[:, i, levels:] == -np.inf)


def test_probabilities_far_from_the_cuts_keep_their_digits():
    tree = ordinal.init(COLUMNS, LAYOUT, None)
    o = jnp.full((1, 4), 60.0)
    found = np.asarray(ordinal.log_probs(COLUMNS, LAYOUT, tree, o))[0]
    cuts = cuts_of(tree)[0]
    np.testing.assert_allclose(found[0, 0], log_expit(cuts[0] - 60), rtol=1e-5)
    np.testing.assert_allclose(found[0, 4], 0, atol=1e-6)
    inner = log_expit(cuts[1] - 60) + np.log1p(-np.exp(cuts[0] - cuts[1]))
    np.testing.assert_allclose(found[0, 1], inner, rtol=1e-5)


@pytest.mark.parametrize("o", [-1e3, 0.0, 1e3])
def test_gradients_are_finite_everywhere(o):
    tree = ordinal.init(COLUMNS, LAYOUT, None)

    @jax.jit
    def total(tree, o):
        found = ordinal.log_probs(COLUMNS, LAYOUT, tree, o)
        return jnp.sum(jnp.where(jnp.isfinite(found), found, 0))

    gradients = jax.grad(total, argnums=(0, 1))(tree, jnp.full((2, 4), o))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradients))


def test_the_start_has_the_frequencies_of_the_levels_and_leaves_gaps_out():
    rng = np.random.default_rng(0)
    data = np.zeros((500, 8))
    for i, levels in enumerate(LEVELS):
        data[:, i] = rng.choice(levels, 500, p=rng.dirichlet(np.ones(levels)))
    data[:, 4] = rng.random(500) < 0.3
    data[data[:, 4] > 0.5, 0] = 0
    tree = ordinal.init(COLUMNS, LAYOUT, data)
    found = np.exp(np.asarray(ordinal.log_probs(COLUMNS, LAYOUT, tree, jnp.zeros((1, 4)))))[0]
    for i, levels in enumerate(LEVELS):
        known = data[data[:, 4 + i] < 0.5, i].astype(int)
        counts = np.bincount(known, minlength=levels) + 0.5
        np.testing.assert_allclose(found[i, :levels], counts / counts.sum(), atol=2e-3)


def test_without_data_all_levels_are_alike():
    tree = ordinal.init(COLUMNS, LAYOUT, None)
    found = np.exp(np.asarray(ordinal.log_probs(COLUMNS, LAYOUT, tree, jnp.zeros((1, 4)))))[0]
    for i, levels in enumerate(LEVELS):
        np.testing.assert_allclose(found[i, :levels], 1 / levels, rtol=1e-4)
