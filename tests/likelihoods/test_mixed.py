"""The likelihood of tables: densities against scipy, gaps left out, draws against their moments, the unit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import trapezoid

import cpvae_jax
from cpvae_jax import Column, Config, Rows, UserError, likelihoods
from cpvae_jax import columns as kinds
from cpvae_jax.evaluation import estimates, rows
from cpvae_jax.models import start
from cpvae_jax.registry import LIKELIHOODS
from tests import tables
from tests.tables import COLUMNS, CONFIG, OWNER, C, W

KEY = jax.random.key(0)
MIXED = LIKELIHOODS["mixed"]
DATA = tables.rows()
PLACES = kinds.places(COLUMNS)
LOG_PROB = jax.jit(MIXED.log_prob, static_argnums=0)


@pytest.fixture(scope="module")
def own(shaken):
    """The likelihood's arrays of a model whose weights are random numbers."""
    found = shaken(CONFIG, data=DATA).likelihood
    rng = np.random.default_rng(1)
    moved = jax.tree.map(
        lambda a: a + jnp.asarray(rng.normal(0, 0.5, a.shape), a.dtype), found.weights
    )
    return found._replace(weights=moved)


@pytest.fixture(scope="module")
def output():
    """The decoder's outputs for all rows, with those that belong to the marks of gaps, [N, W + C]."""
    return np.random.default_rng(2).normal(0, 0.8, (len(DATA), W + C))


def log_prob(own, output, x):
    return np.asarray(LOG_PROB(CONFIG, own, jnp.float32(output)[..., None], MIXED.prepare(own, x)))


def test_the_density_of_every_kind_equals_scipy_in_the_unit_of_the_user(own, output):
    each = tables.log_probs(own, output[:, :W], DATA)
    np.testing.assert_allclose(log_prob(own, output, DATA), each.sum(axis=1), rtol=2e-4, atol=2e-4)
    for i, column in enumerate(COLUMNS):
        x = np.array(DATA)
        x[:, W:][:, np.arange(C) != i] = 1  # nothing but this column, with its gaps
        found = log_prob(own, output, x)
        np.testing.assert_allclose(found, each[:, i], rtol=3e-4, atol=1e-4, err_msg=column.name)
        assert np.all(found[DATA[:, W + i] > 0.5] == 0)


def only(name, values):
    """Coded rows in which one column has these values and all others are missing."""
    x = np.zeros((len(values), W + C))
    x[:, W:] = 1
    i = next(i for i, column in enumerate(COLUMNS) if column.name == name)
    x[:, W + i] = 0
    places = PLACES[i]
    if COLUMNS[i].kind == "categorical":
        x[np.arange(len(values)), places.start + np.asarray(values)] = 1
    else:
        x[:, places.start] = values
    return x


@pytest.mark.parametrize(
    ("name", "grid"),
    [("mass", np.linspace(-100, 200, 60_001)), ("price", np.geomspace(1e-7, 1e6, 60_001))],
)
def test_densities_integrate_to_1_over_the_numbers_of_the_user(own, name, grid):
    for seed in range(3):
        output = np.random.default_rng(seed).normal(0, 0.8, W + C)
        density = np.exp(np.float64(log_prob(own, output, only(name, grid))))
        np.testing.assert_allclose(trapezoid(density, grid), 1, rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("eggs", range(4000)),
        ("sex", range(2)),
        ("island", range(3)),
        ("grade", range(4)),
        ("colour", range(2)),
        ("size", range(3)),
    ],
)
def test_probabilities_sum_to_1_over_the_values_of_the_user(own, name, values):
    for seed in range(3):
        output = np.random.default_rng(seed).normal(0, 0.8, W + C)
        probs = np.exp(np.float64(log_prob(own, output, only(name, np.array(values)))))
        np.testing.assert_allclose(probs.sum(), 1, rtol=1e-3)


def test_a_fresh_model_gives_the_frequencies_and_means_of_the_data():
    fresh = MIXED.init(KEY, CONFIG, DATA)
    fresh = fresh._replace(stats={**fresh.stats, **MIXED.measure(CONFIG, DATA)})
    mean = MIXED.restore(fresh, MIXED.mean(CONFIG, fresh, jnp.zeros((1, W + C, 1))))[0]
    seen = DATA[:, W:][:, OWNER] < 0.5
    expected = np.where(seen, DATA[:, :W], 0).sum(axis=0) / seen.sum(axis=0)
    for i, column in enumerate(COLUMNS):
        if column.kind != "positive":  # its mean depends on the noise too
            found = mean[PLACES[i].start : PLACES[i].stop]
            wanted = expected[PLACES[i].start : PLACES[i].stop]
            np.testing.assert_allclose(found, wanted, rtol=0.02, err_msg=column.name)


def test_what_stands_at_a_gap_changes_neither_the_density_nor_its_gradient(own, output):
    x = MIXED.prepare(own, DATA)
    hidden = DATA[:, W:][:, OWNER] > 0.5
    assert hidden.any()
    assert not np.any(x[:, :W][hidden])
    rng = np.random.default_rng(3)
    other = np.array(x)
    other[:, :W] = np.where(hidden, rng.integers(0, 2, hidden.shape), x[:, :W])
    raw = np.array(DATA)
    raw[:, :W] = np.where(hidden, rng.integers(0, 3, hidden.shape), DATA[:, :W])
    np.testing.assert_array_equal(MIXED.prepare(own, raw), x)

    @jax.jit
    def value(weights, output, x):
        found = MIXED.log_prob(CONFIG, own._replace(weights=weights), output[..., None], x)
        return found.sum(), found

    gradient = jax.value_and_grad(value, argnums=(0, 1), has_aux=True)
    one, two = (gradient(own.weights, jnp.float32(output), jnp.asarray(a)) for a in (x, other))
    jax.tree.map(np.testing.assert_array_equal, one, two)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(one))
    by_output = np.asarray(one[1][1])[:, :W]
    assert not np.any(by_output[hidden])
    assert np.count_nonzero(by_output[~hidden]) > 0.9 * (~hidden).sum()


def test_the_encoder_sees_the_marks_of_columns_that_had_gaps_in_training_only(shaken):
    params = shaken(CONFIG, data=DATA)
    x = np.array(DATA[:1])
    x[:, W:] = 0
    before = np.asarray(cpvae_jax.encode(params, x).mean)
    for i, column in enumerate(COLUMNS):
        marked = np.array(x)
        marked[:, W + i] = 1
        prepared = jnp.asarray(MIXED.prepare(params.likelihood, marked))
        seen = np.asarray(MIXED.standardise(params.likelihood, prepared))[0, W:]
        assert seen.tolist() == [float(j == i and column.name in tables.GAPS) for j in range(C)]
        mean = np.asarray(params.likelihood.stats["shift"])  # a gap is 0, which is the mean
        if column.kind in ("real", "binary", "ordinal") and column.name not in tables.GAPS:
            at_mean = np.array(x)
            at_mean[:, PLACES[i].start] = mean[PLACES[i].start]
            one, two = (cpvae_jax.encode(params, a).mean for a in (marked, at_mean))
            np.testing.assert_allclose(one, two, atol=1e-5)
        assert np.any(np.asarray(cpvae_jax.encode(params, marked).mean) != before)


def test_draws_have_the_means_and_variances_of_their_densities(own, assert_mean):
    num = 40_000
    output = np.random.default_rng(4).normal(0, 0.5, W + C)
    draw = jax.jit(MIXED.sample, static_argnums=0)
    many = jnp.broadcast_to(jnp.float32(output)[:, None], (num, W + C, 1))
    x = np.asarray(MIXED.restore(own, draw(CONFIG, own, KEY, many)))
    assert not np.any(x[:, W:])
    MIXED.check(CONFIG, x, "draws")
    expected = tables.means(own, output[:W])
    assert_mean(x[:, :W], expected, rounding=1e-4)
    mean = MIXED.restore(own, MIXED.mean(CONFIG, own, jnp.float32(output)[None, :, None]))[0]
    np.testing.assert_allclose(mean[:W], expected, rtol=2e-4)
    sigma, r, _, _, scale, _ = tables.parts_of(own)
    place = {column.name: PLACES[i].start for i, column in enumerate(COLUMNS)}
    mass, eggs = place["mass"], place["eggs"]
    variances = {
        mass: (scale[mass] * sigma[0]) ** 2,
        eggs: expected[eggs] + expected[eggs] ** 2 / r[0],
    }
    for p, variance in variances.items():
        assert_mean((x[:, p] - expected[p]) ** 2, variance, rounding=1e-4)
    for i, column in enumerate(COLUMNS):
        values = x[:, PLACES[i].start : PLACES[i].stop]
        assert np.allclose(values, np.rint(values), atol=1e-4) == (
            column.kind not in tables.GAUSSIAN
        )
        if column.kind == "categorical":
            np.testing.assert_allclose(values.sum(axis=1), 1, atol=1e-5)
        if column.kind == "ordinal":
            assert np.rint(values).min() >= 0
            assert np.rint(values).max() <= len(column.levels) - 1


def test_the_unit_comes_back_and_is_the_same_inside_a_program(own):
    x = MIXED.prepare(own, DATA)
    assert x.dtype == np.float32
    back = MIXED.restore(own, x)
    hidden = np.concatenate([DATA[:, W:][:, OWNER] > 0.5, np.zeros((len(DATA), C), bool)], axis=1)
    np.testing.assert_allclose(
        np.where(hidden, 0, back), np.where(hidden, 0, DATA), rtol=1e-5, atol=1e-5
    )
    inside = jax.jit(lambda data: MIXED.prepare(own, data))(jnp.asarray(DATA, jnp.float32))
    np.testing.assert_allclose(inside, x, rtol=1e-4, atol=1e-4)
    restored = jax.jit(lambda x: MIXED.restore(own, x))(jnp.asarray(x))
    np.testing.assert_allclose(restored, back, rtol=1e-4, atol=1e-4)
    seen = DATA[:, W:][:, OWNER] < 0.5
    for i, column in enumerate(COLUMNS):
        values = [x[seen[:, p], p] for p in PLACES[i]]
        np.testing.assert_allclose([v.mean() for v in values], 0, atol=1e-5)
        total = sum(np.float64(v).var() for v in values)
        np.testing.assert_allclose(total, 1, rtol=1e-4, err_msg=column.name)


def test_rows_and_arrays_have_the_same_constants(monkeypatch):
    monkeypatch.setattr("cpvae_jax.data.rows.BLOCK", 3000)
    one = MIXED.measure(CONFIG, DATA)
    other = MIXED.measure(CONFIG, Rows([DATA[:10], DATA[10:250], DATA[250:]]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), one, other)
    assert one["gaps"].tolist() == [float(column.name in tables.GAPS) for column in COLUMNS]


@pytest.fixture(scope="module")
def tiny(shaken):
    """A model with D = 1, posteriors that cover the prior, and rows with gaps."""
    params = shaken(CONFIG, seed=3, data=DATA)
    weights = dict(params.weights)
    for name in ("encoder", "heads"):
        weights[name] = jax.tree.map(lambda a: 0.3 * a, weights[name])
    weights["heads"]["log_var"]["bias"] += 0.5
    prior = weights["prior"] | {"log_var": 0.3 * weights["prior"]["log_var"]}
    return params.replace(weights={**weights, "prior": prior})


def test_the_bound_is_one_on_the_density_of_what_is_there(tiny, assert_mean):
    reference, x = tables.TableReference(tiny), DATA[:6]
    log_p, bound = reference.log_likelihood(x), reference.bound(x)
    assert np.all(bound < log_p)
    draws = np.stack([rows.bounds(tiny, jax.random.key(s), x, draws=50) for s in range(20)])
    assert_mean(draws, bound, rounding=1e-4)
    estimate = estimates.log_likelihood(tiny, KEY, x, samples=20_000)
    np.testing.assert_allclose(estimate, log_p, atol=0.05)


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("price", 0.0, "x holds 0 in column 'price', which is positive and takes numbers above 0"),
        ("price", -2.0, "x holds -2 in column 'price'"),
        ("eggs", -1.0, "x holds -1 in column 'eggs', which is count and takes numbers from 0"),
        ("mass", np.inf, r"(?s)x .*(inf|not finite|NaN)"),
        ("mass", 1e30, "values in column 'mass' too far from those at fit"),
    ],
)
def test_numbers_that_a_column_cannot_have_are_refused_unless_missing(
    tiny, column, value, sentence
):
    x = np.array(DATA[:3])
    i = next(i for i, one in enumerate(COLUMNS) if one.name == column)
    x[:, W:], x[1, PLACES[i].start] = 0, value
    x[:, 0] = np.where(x[:, 0] > 0, x[:, 0], 1.0) if column != "price" else [1, value, 1]
    with pytest.raises(UserError, match=sentence):
        cpvae_jax.predict(tiny, x)
    if np.isfinite(value):
        x[1, W + i] = 1
        cpvae_jax.predict(tiny, x)


def test_another_unit_of_a_column_is_warned_of(tiny):
    x = np.array(DATA)
    x[:, PLACES[1].start] *= 1000
    with pytest.warns(UserWarning, match="may have another unit .* half of column 'mass'"):
        cpvae_jax.predict(tiny, x)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([np.nan, np.nan], "'a' has no value in the training rows; drop it"),
        ([0, 1e-38], "change its unit"),
    ],
)
def test_columns_that_nothing_can_be_learned_from_are_refused(values, sentence):
    config = Config(shape=(2,), likelihood="mixed", columns=(Column("a", "real"),))
    gone = np.isnan(values)
    x = np.stack([np.where(gone, 0, values), gone], axis=1)
    with pytest.raises(UserError, match=sentence):
        MIXED.measure(config, x)


def test_it_is_the_default_for_tables():
    assert likelihoods.suiting("table") == "mixed"


def test_times_keep_their_digits():
    """A timestamp of 1.7e9 ± 10 has no digit of its spread in float32."""
    config = Config(shape=(2,), likelihood="mixed", columns=(Column("time", "real"),))
    times = np.random.default_rng(0).normal(1.7e9, 10, 500)
    params = start.init(jax.random.key(0), config, np.stack([times, np.zeros(500)], axis=1))
    likelihood, own = likelihoods.of(config), params.likelihood
    for draw in (
        likelihood.mean,
        lambda c, o, out: likelihood.sample(c, o, jax.random.key(1), out),
    ):
        x = draw(config, own, jnp.zeros((300, 2, 1)))
        found = np.asarray(likelihood.restore(own, x))[:, 0]
        assert abs(found.mean() - times.mean()) < 3
        assert found.std() < 15
    back = likelihood.restore(own, likelihood.prepare(own, np.array([[1.7e9 + 3.25, 0]])))
    assert abs(back[0, 0] - (1.7e9 + 3.25)) < 1e-4
