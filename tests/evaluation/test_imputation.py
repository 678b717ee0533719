"""Filled gaps against the exact conditional expectation, and what does not change."""

import jax
import numpy as np
import pandas
import pytest

import cpvae_jax
from cpvae_jax import Config, UserError
from cpvae_jax import columns as kinds
from cpvae_jax.evaluation import imputation
from tests import tables
from tests.tables import COLUMNS, CONFIG, OWNER, C, W

KEY = jax.random.key(0)
DATA = tables.rows(share=0.4)[:12]


@pytest.fixture(scope="module")
def params(shaken):
    """A model with D = 1 whose posteriors cover the prior, so that importance weights have a variance."""
    made = shaken(CONFIG, seed=3, data=tables.rows())
    weights = dict(made.weights)
    for name in ("encoder", "heads"):
        weights[name] = jax.tree.map(lambda a: 0.3 * a, weights[name])
    weights["heads"]["log_var"]["bias"] += 0.7
    prior = weights["prior"] | {"log_var": 0.3 * weights["prior"]["log_var"]}
    return made.replace(weights={**weights, "prior": prior})


@pytest.fixture(scope="module")
def filled(params):
    return imputation.impute(params, KEY, DATA, samples=2000)


def test_what_was_there_has_not_changed_and_nothing_is_missing(filled):
    known = DATA[:, W:][:, OWNER] < 0.5
    np.testing.assert_array_equal(filled[:, :W][known], DATA[:, :W][known])
    assert not filled[:, W:].any()
    assert np.all(np.isfinite(filled))
    for column, places in zip(COLUMNS, kinds.places(COLUMNS), strict=True):
        if column.kind == "categorical":
            np.testing.assert_allclose(filled[:, places].sum(axis=1), 1, atol=1e-5)
        if column.kind in ("positive", "count"):
            assert np.all(filled[:, places] >= 0)


def test_gaps_are_the_conditional_expectation_given_what_is_there(params, assert_mean):
    """Rows with gaps of every kind; the expectation is integrated over z and summed over c."""
    x = np.array(DATA)
    x[0, W:], x[1, W:] = 1, np.arange(C) != 1  # nothing is known, and one number
    many = np.stack(
        [imputation.impute(params, jax.random.key(s), x, samples=1000) for s in range(16)]
    )
    expected = tables.TableReference(params).expected(x)
    missing = x[:, W:][:, OWNER] > 0.5
    for place in range(W):
        rows = missing[:, place]
        assert rows.any()
        # Ratios of means over 1000 draws are off by about a thousandth.
        assert_mean(many[:, rows, place], expected[rows, place], rounding=5e-3)
    prior = tables.TableReference(params).expected(x[:1])[0]
    assert np.any(np.abs(expected[2:] - prior) > 0.05 * np.abs(prior))


def test_a_row_is_filled_alike_alone_and_among_others(params, filled, monkeypatch):
    alone = np.concatenate(
        [imputation.impute(params, KEY, x[None], samples=2000) for x in DATA[:3]]
    )
    np.testing.assert_allclose(alone, filled[:3], rtol=1e-5, atol=1e-6)
    backwards = imputation.impute(params, KEY, DATA[::-1], samples=2000)
    np.testing.assert_allclose(backwards[::-1], filled, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(imputation, "MEMORY", 4 * 2000 * CONFIG.size * 5)  # five rows at once
    np.testing.assert_allclose(
        imputation.impute(params, KEY, DATA, samples=2000), filled, rtol=1e-5, atol=1e-6
    )


def test_what_stands_at_a_gap_does_not_matter(params, filled):
    hidden = DATA[:, W:][:, OWNER] > 0.5
    x = np.array(DATA)
    x[:, :W] = np.where(hidden, 7, DATA[:, :W])
    np.testing.assert_allclose(
        imputation.impute(params, KEY, x, samples=2000), filled, rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("prior", ["mg", "vp", "vae"])
def test_models_without_q_of_c_fill_gaps_too(shaken, prior):
    K = 1 if prior == "vae" else 2
    config = Config(
        shape=CONFIG.shape,
        K=K,
        latent=1,
        hidden=(8,),
        likelihood="mixed",
        columns=COLUMNS,
        prior=prior,
    )
    data = tables.rows()
    params = cpvae_jax.initialise(KEY, config, data)
    found = imputation.impute(params, KEY, data[:5])
    known = data[:5, W:][:, OWNER] < 0.5
    np.testing.assert_array_equal(found[:, :W][known], data[:5, :W][known])
    assert np.all(np.isfinite(found))


def test_a_data_frame_is_filled_too(params):
    from cpvae_jax.data import coding

    frame = pandas.DataFrame(coding.decode(COLUMNS, DATA))
    found = imputation.impute(params, KEY, frame, samples=50)
    same = imputation.impute(params, KEY, DATA, samples=50)
    np.testing.assert_allclose(found, same, rtol=1e-6)


def test_models_and_numbers_that_do_not_suit_are_refused(params):
    plain = cpvae_jax.initialise(KEY, Config(shape=(3,), K=2, likelihood="gaussian"), np.eye(3))
    with pytest.raises(UserError, match="'gaussian' knows no missing values; train on a table"):
        imputation.impute(plain, KEY, np.eye(3))
    with pytest.raises(UserError, match="samples is 0"):
        imputation.impute(params, KEY, DATA, samples=0)
    with pytest.raises(UserError, match=r"takes rows of a table, so give a data frame with its 8"):
        imputation.impute(params, KEY, DATA[:, :3])
