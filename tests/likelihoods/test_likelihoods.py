"""Likelihoods: densities against scipy, draws against their moments, and a contract for all."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import bernoulli, norm

import cpvae_jax
from cpvae_jax import Config, Rows, UserError, likelihoods, models
from cpvae_jax.data import rows
from cpvae_jax.distributions import gaussian
from cpvae_jax.likelihoods import gaussian as gaussian_likelihood
from cpvae_jax.likelihoods.base import Likelihood
from cpvae_jax.registry import LIKELIHOODS
from cpvae_jax.types import Own
from tests import tables

KEY = jax.random.key(0)
NOTHING = Own({}, {})


def compiled(like):
    """A likelihood with its functions under jit; the configuration is static."""
    by_config = ("observe", "expect", "log_prob", "mean", "sample")
    return like._replace(
        standardise=jax.jit(like.standardise),
        **{name: jax.jit(getattr(like, name), static_argnums=0) for name in by_config},
    )


def measured(like, config, data):
    """The likelihood's arrays as a model has them that saw these data."""
    own = like.init(KEY, config, data)
    return own._replace(stats={**own.stats, **like.measure(config, data)})


BERNOULLI, GAUSSIAN = compiled(LIKELIHOODS["bernoulli"]), compiled(LIKELIHOODS["gaussian"])
TABLE = np.random.default_rng(0).normal([5.0, -300.0], [0.1, 40.0], (500, 2)).astype(np.float32)
"""Two columns of different units."""


def pixels_of(X, **options):
    return Config(shape=(X,), **options)


def table(X=2, **options):
    return Config(shape=(X,), likelihood="gaussian", **options)


def with_log_var(own, value):
    return own._replace(weights={"log_var": jnp.array(value)})


def one_channel(output):
    return jnp.asarray(output, jnp.float32)[..., None]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match="'poisson'; choose one of bernoulli, gaussian"):
        Config(shape=(3,), likelihood="poisson")


def test_every_kind_of_data_has_its_default():
    assert {kind: likelihoods.suiting(kind) for kind in ("grey", "real")} == {
        "grey": "bernoulli",
        "real": "gaussian",
    }


# Bernoulli


def test_the_bernoulli_density_equals_scipy():
    rng = np.random.default_rng(0)
    output, x = rng.normal(0, 3, (6, 4, 5)), rng.integers(0, 2, (6, 4, 5))
    got = BERNOULLI.log_prob(pixels_of(5), NOTHING, one_channel(output), jnp.float32(x))
    expected = bernoulli.logpmf(x, expit(output)).sum(axis=-1)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_the_bernoulli_density_of_an_image_sums_over_all_its_axes():
    rng = np.random.default_rng(0)
    output, x = rng.normal(0, 3, (6, 4, 2, 3)), rng.integers(0, 2, (4, 2, 3))
    got = BERNOULLI.log_prob(Config(shape=(2, 3)), NOTHING, one_channel(output), jnp.float32(x))
    expected = bernoulli.logpmf(x, expit(output)).sum(axis=(-2, -1))
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_the_bernoulli_density_is_right_where_the_probability_rounds_to_0_or_1():
    output = one_channel([[1e4], [1e4], [-1e4], [-1e4], [60.0]])
    x = jnp.array([[1.0], [0.0], [1.0], [0.0], [0.0]])
    got = BERNOULLI.log_prob(pixels_of(1), NOTHING, output, x)
    np.testing.assert_allclose(got, [0, -1e4, -1e4, 0, -60])


def test_the_gradient_of_the_bernoulli_density_is_x_minus_its_mean():
    output = jnp.array([[-1e4, -30.0, -1.0, 0.0, 2.0, 30.0, 1e4]])
    for x in (jnp.zeros((1, 7)), jnp.ones((1, 7))):

        def total(output, x=x):
            return BERNOULLI.log_prob(pixels_of(7), NOTHING, output[..., None], x).sum()

        expected = x - expit(np.float64(output))
        np.testing.assert_allclose(jax.grad(total)(output), expected, rtol=1e-6, atol=1e-7)


def test_dynamic_binarisation_is_white_with_the_probability_of_the_grey_level():
    num, levels = 20_000, np.arange(256)
    grey = np.broadcast_to(levels.astype(np.uint8), (num, 256))
    config = pixels_of(256, binarise="dynamic")
    probs = levels / 255
    allowed = 6 * np.sqrt(probs * (1 - probs) / num) + 2e-5  # 16 bits are right to 2e-5
    for data in (jnp.asarray(grey), jnp.asarray(grey, jnp.float32) / 255):
        x = BERNOULLI.observe(config, KEY, data)
        assert x.dtype == jnp.float32
        assert set(np.unique(x)) == {0, 1}
        share = np.asarray(x).mean(axis=0)
        assert np.all(np.abs(share - probs) <= allowed)
        assert (share[0], share[255]) == (0, 1)


def test_grey_0_and_255_are_certain():
    """A million draws each: an error in one of 65,536 would show."""
    config, key = pixels_of(1, binarise="dynamic"), jax.random.key(1)
    for level in (0, 255):
        x = BERNOULLI.observe(config, key, jnp.full((1_000_000, 1), level, jnp.uint8))
        assert np.all(x == level // 255)


def test_threshold_and_none_are_deterministic():
    grey = jnp.array([[0, 127, 128, 255]], jnp.uint8)
    levels = {"threshold": [[0, 0, 1, 1]], "none": np.asarray(grey) / 255}
    for binarise, expected in levels.items():
        config = pixels_of(4, binarise=binarise)
        for data in (grey, grey / 255):
            observed = BERNOULLI.observe(config, KEY, data)
            np.testing.assert_allclose(observed, expected, rtol=1e-6)
            np.testing.assert_array_equal(observed, BERNOULLI.expect(config, data))
    dynamic = BERNOULLI.expect(pixels_of(4, binarise="dynamic"), grey)
    np.testing.assert_allclose(dynamic, np.asarray(grey) / 255, rtol=1e-6)


def test_bernoulli_draws_have_their_mean(assert_mean):
    output = one_channel([-2.0, 0.0, 3.0])
    config = pixels_of(3)
    draws = BERNOULLI.sample(config, NOTHING, KEY, jnp.tile(output, (20_000, 1, 1)))
    mean = BERNOULLI.mean(config, NOTHING, output)
    np.testing.assert_allclose(mean, expit(np.asarray(output[:, 0])), rtol=1e-6)
    assert_mean(draws, mean)


# Gaussian


def test_the_gaussian_density_equals_scipy_in_the_units_of_the_data():
    own = with_log_var(measured(GAUSSIAN, table(), TABLE), -1.2)
    rng = np.random.default_rng(1)
    output, x = rng.normal(size=(500, 2)).astype(np.float32), TABLE
    mean = TABLE.mean(axis=0, dtype=np.float64) + TABLE.std(axis=0, dtype=np.float64) * output
    sigma = np.exp(0.5 * 10 * np.tanh(-0.12)) * TABLE.std(axis=0, dtype=np.float64)
    output = one_channel(output)
    found = GAUSSIAN.restore(own, GAUSSIAN.mean(table(), own, output))
    np.testing.assert_allclose(found, mean, rtol=1e-5)
    got = GAUSSIAN.log_prob(table(), own, output, GAUSSIAN.prepare(own, x))
    np.testing.assert_allclose(got, norm.logpdf(x, mean, sigma).sum(axis=1), rtol=1e-4)


def test_another_unit_shifts_the_density_by_the_logarithm_of_its_size():
    output = jnp.zeros((500, 2, 1))

    def density(data):
        own = measured(GAUSSIAN, table(), data)
        return GAUSSIAN.log_prob(table(), own, output, GAUSSIAN.prepare(own, data))

    ours = density(TABLE)
    for unit in (1e-30, 1e-20, 1000, 1e19, 1e30):
        scaled = density(unit * np.float64(TABLE))
        np.testing.assert_allclose(ours - scaled, 2 * np.log(unit), rtol=1e-3)


def test_a_fixed_scale_is_a_standard_deviation_in_the_units_of_the_data():
    config = table(scale=2.5)
    own = with_log_var(measured(GAUSSIAN, config, TABLE), 3.0)
    output, x = jnp.zeros((500, 2, 1)), GAUSSIAN.prepare(own, TABLE)
    expected = norm.logpdf(TABLE, TABLE.mean(axis=0, dtype=np.float64), 2.5).sum(axis=1)
    np.testing.assert_allclose(GAUSSIAN.log_prob(config, own, output, x), expected, rtol=1e-4)


def test_columns_are_scaled_one_by_one_and_images_as_a_whole():
    columns = measured(GAUSSIAN, table(), TABLE)
    x = np.asarray(GAUSSIAN.prepare(columns, TABLE), np.float64)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-4)
    config = Config(shape=(1, 2), likelihood="gaussian")
    image = measured(GAUSSIAN, config, TABLE.reshape(-1, 1, 2)).stats
    for name, value in (("shift", TABLE.mean(dtype=float)), ("scale", TABLE.std(dtype=float))):
        np.testing.assert_allclose(image[name], [[value, value]], rtol=1e-5)


@pytest.mark.parametrize("streamed", [False, True])
def test_columns_like_pixels_share_a_scale_and_others_do_not(streamed):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 17, (200, 6)).astype(np.float64)
    pixels[:, 0] = generator.random(200) < 0.02  # a corner that is hardly ever inked
    pixels[:, 1] = 3.0  # and one that never changes
    config = Config(shape=(6,), likelihood="gaussian")

    def own(data):
        data = Rows([data[:70], data[70:]]) if streamed else data
        return measured(GAUSSIAN, config, data)

    def scales(data):
        return np.asarray(own(data).stats["scale"])

    std = pixels.std(axis=0)
    together = np.sqrt(np.mean(np.delete(std, 1) ** 2))
    np.testing.assert_allclose(scales(pixels), [together, 1, *[together] * 4], rtol=1e-6)
    noise = np.exp(0.5 * np.asarray(gaussian_likelihood._log_var(config, own(pixels))))
    np.testing.assert_allclose(noise * scales(pixels), np.where(std > 0, std, 1), rtol=1e-5)
    units = pixels * [1, 1, 1, 10, 100, 1000]
    np.testing.assert_allclose(scales(units)[2:], units.std(axis=0)[2:], rtol=1e-6)
    alike = pixels[:, [2, 3, 4, 5, 2, 3]] + [0, 0, 0, 0, 1, 2]
    np.testing.assert_allclose(scales(alike), alike.std(axis=0), rtol=1e-6)


def test_a_constant_column_and_no_data_leave_the_scale_at_one():
    constant = measured(GAUSSIAN, table(), np.array([[1.0, 7.0], [3.0, 7.0]])).stats
    np.testing.assert_allclose(constant["scale"], [1, 1])
    np.testing.assert_allclose(constant["shift"], [2, 7])
    none = GAUSSIAN.init(KEY, table(), None).stats
    np.testing.assert_allclose([none["shift"], none["scale"]], [[0, 0], [1, 1]])


def test_gaussian_draws_have_the_moments_of_their_density(assert_mean):
    config = table(scale=0.5)
    own = measured(GAUSSIAN, config, TABLE)
    output = one_channel(jnp.tile(jnp.array([1.0, -2.0]), (50_000, 1)))
    x = GAUSSIAN.restore(own, GAUSSIAN.sample(config, own, KEY, output))
    mean = GAUSSIAN.restore(own, GAUSSIAN.mean(config, own, output))
    assert_mean(x, mean[0])
    assert_mean((x - mean) ** 2, np.array([0.25, 0.25]), rounding=1e-3)


def test_the_noise_is_trained_and_the_constants_of_the_data_are_not():
    own = measured(GAUSSIAN, table(), TABLE)
    assert set(own.weights) == {"log_var"}
    assert set(own.stats) == {"shift", "shift_low", "scale", "noise", "reach"}
    x = GAUSSIAN.prepare(own, TABLE)

    @jax.jit
    @jax.grad
    def gradient(weights):
        output = jnp.ones((500, 2, 1))
        return jnp.sum(GAUSSIAN.log_prob(table(), own._replace(weights=weights), output, x))

    assert gradient(own.weights)["log_var"] != 0


FINE = np.random.default_rng(3).normal(size=(500, 1))


@pytest.mark.parametrize(
    ("centre", "width"),
    [(1.7e9, 10.0), (45_000.0, 1e-4), (-1e12, 1e-3), (2e18, 1e6), (0.1, 1e-14), (1e-20, 1e-28)],
)
def test_values_that_float32_cannot_tell_apart_are_standardised_in_float64(centre, width):
    data = centre + width * FINE
    own = measured(GAUSSIAN, table(1), data)
    x = GAUSSIAN.prepare(own, data)
    assert x.dtype == np.float32
    expected = (data - data.mean()) / data.std()
    np.testing.assert_allclose(x, expected, atol=2e-6 + 4 * np.spacing(abs(centre)) / width)
    back = GAUSSIAN.restore(own, jnp.asarray(x))
    assert (type(back), back.dtype) == (np.ndarray, np.float64)
    np.testing.assert_allclose(back, data, rtol=0, atol=1e-5 * width + 4 * np.spacing(abs(centre)))
    assert jax.jit(lambda x: GAUSSIAN.restore(own, x))(x).dtype == jnp.float32


@pytest.mark.parametrize(
    ("values", "constant"),
    [
        (np.full(500, 0.1), True),
        (np.float64([0.1 + 0.2, 0.3] * 250), True),
        (np.float32([1e9, 1e9 + 64] * 250), True),
        (np.full(500, 2**62), True),
        (np.float64([0.1, 0.1 + 1e-14] * 250), False),
        (np.float32([1e3, 1e3 + 1] * 250), False),
        (np.int64([2**52, 2**52 + 8] * 250), False),
        (np.float16([1, 1.25] * 250), False),
    ],
)
def test_a_column_of_rounding_errors_is_constant(values, constant):
    data = values[:, None]
    own = measured(GAUSSIAN, table(1), data)
    assert bool(own.stats["reach"][0] == 0) == constant
    assert np.abs(GAUSSIAN.prepare(own, data)).max() <= (0.51 if constant else 1.1)
    if constant:
        assert own.stats["scale"][0] >= 1
    of_rows = measured(GAUSSIAN, table(1), Rows([data[:3], data[3:]])).stats
    chex.assert_trees_all_equal(of_rows, own.stats)


def test_rows_and_arrays_have_the_same_constants(monkeypatch):
    monkeypatch.setattr(rows, "BLOCK", 700)
    data = np.random.default_rng(0).normal([1.7e9, 0, 1e-20], [1, 3, 1e-21], (997, 3))
    one = measured(GAUSSIAN, table(3), data).stats
    other = measured(GAUSSIAN, table(3), Rows([data[:10], data[10:800], data[800:]])).stats
    chex.assert_trees_all_close(one, other, rtol=1e-6)
    mean = np.float64(one["shift"]) + np.float64(one["shift_low"])
    np.testing.assert_allclose(mean, data.mean(axis=0), rtol=1e-14, atol=1e-12)
    np.testing.assert_allclose(one["scale"], data.std(axis=0), rtol=1e-6)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([1e39, 3e39], r"column 1 .* from 1e\+39 to 3e\+39, .* multiplying by 1e-39"),
        ([0, 1e-40], r"from 0 to 1e-40, .* multiplying by 1e40"),
        ([-1e308, 1e308], "multiplying by 1e-300"),
        ([1e39, 1e39], "multiplying by 1e-39"),
        ([0, 1e-310], "multiplying by 1e300"),
    ],
)
def test_a_unit_that_float32_cannot_hold_is_an_error_that_names_the_column(column, words):
    data = np.array([[1.0, column[0]], [2.0, column[1]]])
    for given in (data, Rows([data])):
        with pytest.raises(UserError, match=words):
            GAUSSIAN.measure(table(), given)


@pytest.mark.parametrize(("unit", "scale"), [(1e-20, 1e-21), (1e19, 1e18), (1.0, 1e-5), (1.0, 1e5)])
def test_a_fixed_noise_in_any_unit_has_finite_densities_and_gradients(unit, scale):
    config, data = table(scale=scale), unit * np.random.default_rng(0).normal(size=(50, 2))
    own = measured(GAUSSIAN, config, data)
    x = GAUSSIAN.prepare(own, data)

    def total(output):
        return jnp.sum(GAUSSIAN.log_prob(config, own, output, x))

    for output in (jnp.zeros((50, 2, 1)), jnp.full((50, 2, 1), 1e4)):
        chex.assert_tree_all_finite((total(output), jax.grad(total)(output)))


@pytest.mark.parametrize(("unit", "scale"), [(1.0, 1e-8), (1e19, 1.0), (1e-20, 1.0)])
def test_a_fixed_noise_that_the_unit_of_the_data_makes_useless_is_an_error(unit, scale):
    data = unit * np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(UserError, match=r"scale is .*, but column 0 .* has a standard deviation"):
        GAUSSIAN.measure(table(scale=scale), data)


OTHER = "may have another unit than the training data"


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: 100 * x,
        lambda x: x / 100,
        lambda x: x * [1, 1000],
        lambda x: 9 / 5 * x + 10_000,
        lambda x: np.round(x * 255),
    ],
)
@pytest.mark.parametrize("shape", [(2,), (1, 2)])
def test_real_numbers_in_another_unit_are_a_warning(convert, shape):
    config = Config(shape=shape, likelihood="gaussian")
    data = np.random.default_rng(0).normal([5, -6], [1, 2], (200, 2))
    own = measured(GAUSSIAN, config, data.reshape(-1, *shape))
    for few in (data[:100], data[:10], data[:1]):
        GAUSSIAN.compare(config, own, few.reshape(-1, *shape), "x")
    with pytest.warns(UserWarning, match=OTHER):
        GAUSSIAN.compare(config, own, convert(data[:100]).reshape(-1, *shape), "x")
    with pytest.raises(UserError, match=r"x holds 1e\+30, .* standard deviations from the mean"):
        GAUSSIAN.compare(config, own, np.full((3, *shape), 1e30), "x")
    GAUSSIAN.compare(config, GAUSSIAN.init(KEY, config, None), data.reshape(-1, *shape), "x")


@pytest.mark.parametrize(
    ("trained", "same", "other"),
    [
        (np.arange(256, dtype=np.uint8), np.uint8([200, 90]), np.uint8([16, 3])),
        (np.arange(256, dtype=np.uint8), np.float64([0.9, 0.1]), np.float32([0.01, 0.02])),
        (np.linspace(0, 1, 50), np.int64([255, 0]), np.int32([16, 0])),
        (np.linspace(0, 1, 50), np.array([True, False]), np.uint8([0, 1])),
        (np.uint8([0, 1]), np.int64([0, 1]), np.float64([0.1, 0.01])),
    ],
)
def test_grey_levels_in_another_unit_are_a_warning(trained, same, other):
    config = pixels_of(1)
    own = measured(BERNOULLI, config, trained[:, None])
    for given in (same, other[:1], 0 * other):
        BERNOULLI.compare(config, own, given[:, None], "x")
    with pytest.warns(UserWarning, match=OTHER):
        BERNOULLI.compare(config, own, other[:, None], "x")
    BERNOULLI.compare(config, BERNOULLI.init(KEY, config, None), other[:, None], "x")


def test_integers_0_and_1_are_black_and_white_if_the_training_data_were():
    config = pixels_of(1)
    own = measured(BERNOULLI, config, np.array([[0], [1]]))
    for kind in (np.uint8, np.int64, np.uint64):
        found = BERNOULLI.prepare(own, np.array([[0], [1]], kind))
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, [[0], [255]])
    with pytest.raises(UserError, match="integers up to 7, but the model was trained on"):
        BERNOULLI.compare(config, own, np.array([[0], [7]]), "x")
    grey = measured(BERNOULLI, config, np.array([[0], [200]]))
    np.testing.assert_array_equal(BERNOULLI.prepare(grey, np.array([[0], [1]])), [[0], [1]])


@pytest.mark.parametrize("dim", [np.uint8([0, 16]), np.int64([1, 9]), np.float32([0, 16 / 255])])
def test_training_data_that_never_come_near_white_are_a_warning(dim):
    with pytest.warns(UserWarning, match="so all pixels are dark"):
        BERNOULLI.measure(pixels_of(1), dim[:, None])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.uint8([0, 255]), np.uint8),
        (np.int64([-5, 2**31 - 1]), np.int32),
        (np.int64([0, 3_000_000_000]), np.float32),
        (np.uint64([0, 2**63]), np.float32),
        (np.float64([0, 1e38]), np.float32),
    ],
)
def test_by_default_numbers_keep_their_values_in_32_bits(given, expected, hetero):
    like = LIKELIHOODS[hetero]
    found = like.prepare(NOTHING, given[:, None])
    assert found.dtype == expected
    np.testing.assert_allclose(np.float64(found[:, 0]), np.float64(given), rtol=1e-7)
    with pytest.raises(UserError, match=r"x ranges from 0 to 1e\+39, beyond float32"):
        like.compare(pixels_of(1), NOTHING, np.array([[0.0], [1e39]]), "x")


# Two channels per number, in a likelihood of one's own


def _init(key, config, data):
    del key, config, data
    return Own({}, {})


def _parameters(config, output):
    mean, log_var = output[..., 0], gaussian.soft_limit(output[..., 1])
    flat = (*mean.shape[: mean.ndim - len(config.shape)], config.size)
    return mean.reshape(flat), log_var.reshape(flat)


def _log_prob(config, own, output, x):
    del own
    mean, log_var = _parameters(config, output)
    return gaussian.log_prob(x.reshape(*x.shape[: x.ndim - len(config.shape)], -1), mean, log_var)


def _sample(config, own, key, output):
    del own
    return gaussian.sample(key, *_parameters(config, output)).reshape(output.shape[:-1])


HETERO = Likelihood(
    _init, _log_prob, lambda config, own, output: output[..., 0], _sample, channels=2
)
"""N(x | μ, diag σ²) with both from the decoder: every pixel has its own variance."""


@pytest.fixture
def hetero():
    """The name under which `HETERO` is registered during a test."""
    likelihoods.register("hetero", HETERO)
    yield "hetero"
    LIKELIHOODS.forget("hetero")


def test_a_density_with_two_channels_integrates_to_one_and_has_its_moments(hetero, assert_mean):
    config = Config(shape=(1,), likelihood=hetero)
    x, step = np.linspace(-40, 40, 8001, retstep=True)
    for output in ([0.3, -1.0], [-2.0, 2.5], [1.0, 0.0]):
        output = jnp.array([output])  # [1 pixel, 2 channels]
        log_prob = jax.vmap(lambda x, o=output: HETERO.log_prob(config, NOTHING, o, x))
        density = np.exp(np.float64(log_prob(jnp.float32(x)[:, None])))
        assert density.sum() * step == pytest.approx(1, rel=1e-5)
        mean = np.sum(x * density) * step
        draws = HETERO.sample(config, NOTHING, KEY, jnp.tile(output, (20_000, 1, 1)))
        assert_mean(draws[:, 0], mean)
        assert_mean((draws[:, 0] - mean) ** 2, np.sum((x - mean) ** 2 * density) * step)
        assert HETERO.mean(config, NOTHING, output) == pytest.approx(mean, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("prior", ["cp", "vp"])
def test_a_likelihood_with_two_channels_works_in_every_part_of_a_model(levels, prior, hetero):
    shape, B = (2, 3), 4
    config = Config(
        shape, K=3, latent=2, hidden=(6, 5), likelihood=hetero, prior=prior, levels=levels
    )
    data = np.random.default_rng(0).normal(5, 3, (40, *shape)).astype(np.float32)
    params, model = cpvae_jax.initialise(KEY, config, data), models.of(config)

    @partial(jax.jit, static_argnames="estimator")
    def terms(params, estimator):
        x = jnp.asarray(data[:B])
        found = model.terms(params, KEY, x, model.infer(params, x), estimator, 0.5)
        output = model.generate(params, KEY, jnp.arange(B) % 3)
        return found, output

    for estimator in ("exact", "relaxed", "hard"):
        found, output = terms(params, estimator)
        chex.assert_shape(output, (B, *shape, 2))
        chex.assert_shape(list(found.named().values()), (B,))
        chex.assert_tree_all_finite(found)
    chex.assert_shape(cpvae_jax.reconstruct(params, data), (40, *shape))
    for draw in (True, False):
        images = cpvae_jax.sample(params, KEY, category=1, num=5, draw=draw)
        chex.assert_shape(images, (5, *shape))
        chex.assert_tree_all_finite(images)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the categories carry almost nothing:RuntimeWarning")
@pytest.mark.parametrize("levels", [1, 2])
def test_training_fits_both_channels(levels, hetero):
    """Two columns with standard deviations 0.1 and 3: only a variance of its own fits each."""
    config = Config((2,), K=2, latent=1, hidden=(8,), likelihood=hetero, levels=levels)
    data = np.random.default_rng(0).normal([1, -2], [0.1, 3], (600, 2)).astype(np.float32)
    settings = cpvae_jax.Training(
        learning_rate=2e-2, batch_size=50, warmup=1, epochs=12, estimator="exact"
    )
    params = cpvae_jax.fit(KEY, config, data[:500], data[500:], recipe=settings).params
    draws = np.asarray(cpvae_jax.sample(params, KEY, num=2000, draw=True))
    assert 0.05 < draws[:, 0].std() < 0.3
    assert 2 < draws[:, 1].std() < 4.5
    likelihood = cpvae_jax.log_likelihood(params, KEY, data[500:], samples=100).mean()
    single = norm.logpdf(data[500:], data[:500].mean(), data[:500].std()).sum(axis=1).mean()
    assert likelihood > single + 1


# The contract


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (name, shape)
        for name in likelihoods.names()
        for shape in ((3,), (2, 3))
        if name != "autoregressive" or len(shape) == 2
    ],
)
def test_the_contract_of_every_likelihood(name, shape):
    """Shapes, finite gradients, and the same numbers under jit and vmap."""
    B = 4
    like, columns = compiled(LIKELIHOODS[name]), None
    data = np.random.default_rng(0).random((B, *shape)).astype(np.float32)
    if like.coded:
        columns, shape = tables.COLUMNS, tables.CONFIG.shape
        data = tables.rows(B).astype(np.float32)
    config = Config(shape=shape, likelihood=name, columns=columns)
    own = measured(like, config, data)
    output = jnp.broadcast_to(one_channel(data) - 0.5, (B, *shape, like.channels))
    prepared = like.prepare(own, data)
    assert isinstance(prepared, np.ndarray)
    traced = jax.jit(like.prepare)(own, data)
    np.testing.assert_allclose(traced, prepared, rtol=1e-5, atol=1e-5)
    like.compare(config, own, data, "x")  # without a warning
    x = like.observe(config, KEY, jnp.asarray(prepared))
    inputs = like.standardise(own, x)
    chex.assert_shape([x, like.expect(config, jnp.asarray(prepared)), inputs], (B, *shape))
    np.testing.assert_allclose(like.restore(own, jnp.asarray(prepared)), data, atol=1e-6)
    mean, drawn = like.mean(config, own, output), like.sample(config, own, KEY, output)
    chex.assert_shape([mean, drawn, like.restore(own, mean)], (B, *shape))
    free = like.from_input(inputs)
    chex.assert_shape([free, like.to_input(free)], (B, *shape))
    chex.assert_tree_all_finite(free)
    like.check(config, data, "x")
    assert like.description

    def log_prob(own, output, x):
        return like.log_prob(config, own, output, x)

    value = log_prob(own, output, x)
    chex.assert_shape(value, (B,))
    several = jnp.zeros((5, B, *shape, like.channels))
    chex.assert_shape(jax.eval_shape(log_prob, own, several, x), (5, B))
    each = jax.jit(jax.vmap(log_prob, (None, 0, 0)))(own, output, x)
    np.testing.assert_allclose(each, value, rtol=1e-5)
    template = jax.eval_shape(lambda: like.init(KEY, config, None))
    chex.assert_trees_all_equal_shapes_and_dtypes(template, own)

    @jax.jit
    @partial(jax.grad, argnums=(0, 1))
    def gradient(weights, output):
        return jnp.sum(log_prob(own._replace(weights=weights), output, x))

    for at in (output, jnp.full_like(output, 1e4), jnp.full_like(output, -1e4)):
        chex.assert_tree_all_finite(gradient(own.weights, at))
