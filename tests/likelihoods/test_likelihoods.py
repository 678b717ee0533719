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
from cpvae_jax import Config, UserError, likelihoods, models
from cpvae_jax.distributions import gaussian
from cpvae_jax.likelihoods.base import Likelihood
from cpvae_jax.registry import LIKELIHOODS
from cpvae_jax.types import Own

KEY = jax.random.key(0)
NOTHING = Own({}, {})


def compiled(like):
    """A likelihood with its functions under jit; the configuration is static."""
    by_config = ("observe", "expect", "log_prob", "mean", "sample")
    return like._replace(
        standardise=jax.jit(like.standardise),
        **{name: jax.jit(getattr(like, name), static_argnums=0) for name in by_config},
    )


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
    own = with_log_var(GAUSSIAN.init(KEY, table(), TABLE), -1.2)
    rng = np.random.default_rng(1)
    output, x = rng.normal(size=(500, 2)).astype(np.float32), TABLE
    mean = TABLE.mean(axis=0, dtype=np.float64) + TABLE.std(axis=0, dtype=np.float64) * output
    sigma = np.exp(0.5 * 10 * np.tanh(-0.12)) * TABLE.std(axis=0, dtype=np.float64)
    output = one_channel(output)
    np.testing.assert_allclose(GAUSSIAN.mean(table(), own, output), mean, rtol=1e-5)
    got = GAUSSIAN.log_prob(table(), own, output, x)
    np.testing.assert_allclose(got, norm.logpdf(x, mean, sigma).sum(axis=1), rtol=1e-4)


def test_another_unit_shifts_the_density_by_the_logarithm_of_its_size():
    output = jnp.zeros((500, 2, 1))
    ours, scaled = (
        GAUSSIAN.log_prob(table(), GAUSSIAN.init(KEY, table(), data), output, data)
        for data in (TABLE, 1000 * TABLE)
    )
    np.testing.assert_allclose(ours - scaled, 2 * np.log(1000), rtol=1e-3)


def test_a_fixed_scale_is_a_standard_deviation_in_the_units_of_the_data():
    config = table(scale=2.5)
    own = with_log_var(GAUSSIAN.init(KEY, config, TABLE), 3.0)
    output = jnp.zeros((500, 2, 1))
    expected = norm.logpdf(TABLE, TABLE.mean(axis=0, dtype=np.float64), 2.5).sum(axis=1)
    np.testing.assert_allclose(GAUSSIAN.log_prob(config, own, output, TABLE), expected, rtol=1e-4)


def test_columns_are_scaled_one_by_one_and_images_as_a_whole():
    columns = GAUSSIAN.init(KEY, table(), TABLE)
    x = np.asarray(GAUSSIAN.standardise(columns, TABLE), np.float64)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-4)
    config = Config(shape=(1, 2), likelihood="gaussian")
    image = GAUSSIAN.init(KEY, config, TABLE.reshape(-1, 1, 2)).stats
    for name, value in (("shift", TABLE.mean(dtype=float)), ("scale", TABLE.std(dtype=float))):
        np.testing.assert_allclose(image[name], [[value, value]], rtol=1e-5)


def test_a_constant_column_and_no_data_leave_the_scale_at_one():
    constant = GAUSSIAN.init(KEY, table(), np.array([[1.0, 7.0], [3.0, 7.0]])).stats
    np.testing.assert_allclose(constant["scale"], [1, 1])
    np.testing.assert_allclose(constant["shift"], [2, 7])
    none = GAUSSIAN.init(KEY, table(), None).stats
    np.testing.assert_allclose([none["shift"], none["scale"]], [[0, 0], [1, 1]])


def test_gaussian_draws_have_the_moments_of_their_density(assert_mean):
    config = table(scale=0.5)
    own = GAUSSIAN.init(KEY, config, TABLE)
    output = one_channel(jnp.tile(jnp.array([1.0, -2.0]), (50_000, 1)))
    x, mean = GAUSSIAN.sample(config, own, KEY, output), GAUSSIAN.mean(config, own, output)
    assert_mean(x, mean[0])
    assert_mean((x - mean) ** 2, np.array([0.25, 0.25]), rounding=1e-3)


def test_the_noise_is_trained_and_the_constants_of_the_data_are_not():
    own = GAUSSIAN.init(KEY, table(), TABLE)
    assert set(own.weights) == {"log_var"}
    assert set(own.stats) == {"shift", "scale"}

    @jax.jit
    @jax.grad
    def gradient(weights):
        output = jnp.ones((500, 2, 1))
        return jnp.sum(GAUSSIAN.log_prob(table(), own._replace(weights=weights), output, TABLE))

    assert gradient(own.weights)["log_var"] != 0


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


@pytest.mark.parametrize("name", likelihoods.names())
@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_the_contract_of_every_likelihood(name, shape):
    """Shapes, finite gradients, and the same numbers under jit and vmap."""
    B = 4
    config, like = Config(shape=shape, likelihood=name), compiled(LIKELIHOODS[name])
    data = np.random.default_rng(0).random((B, *shape)).astype(np.float32)
    own = like.init(KEY, config, data)
    output = jnp.broadcast_to(one_channel(data) - 0.5, (B, *shape, like.channels))
    x = like.observe(config, KEY, jnp.asarray(data))
    inputs = like.standardise(own, x)
    chex.assert_shape([x, like.expect(config, jnp.asarray(data)), inputs], (B, *shape))
    mean, drawn = like.mean(config, own, output), like.sample(config, own, KEY, output)
    chex.assert_shape([mean, drawn], (B, *shape))
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
