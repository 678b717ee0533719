from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import bernoulli, norm

from cpvae_jax import Config, UserError, likelihoods
from cpvae_jax.likelihoods import LIKELIHOODS


def compiled(like):
    """A likelihood with its functions under jit; the configuration is static."""
    by_config = {name: getattr(like, name) for name in ("observe", "expect", "log_prob", "sample")}
    return like._replace(
        mean=jax.jit(like.mean),
        standardise=jax.jit(like.standardise),
        **{name: jax.jit(fn, static_argnums=0) for name, fn in by_config.items()},
    )


BERNOULLI, GAUSSIAN = compiled(LIKELIHOODS["bernoulli"]), compiled(LIKELIHOODS["gaussian"])
TABLE = np.random.default_rng(0).normal([5.0, -300.0], [0.1, 40.0], (500, 2)).astype(np.float32)
"""Two columns of different units."""


def pixels(X, **options):
    return Config(shape=(X,), **options)


def table(X=2, **options):
    return Config(shape=(X,), likelihood="gaussian", **options)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(UserError, match="'poisson'; choose one of bernoulli, gaussian"):
        likelihoods.of(Config(shape=(3,), likelihood="poisson"))


def test_bernoulli_density_is_scipys():
    rng = np.random.default_rng(0)
    output, x = rng.normal(0, 3, (6, 4, 5)), rng.integers(0, 2, (6, 4, 5))
    got = BERNOULLI.log_prob(pixels(5), {}, jnp.float32(output), jnp.float32(x))
    expected = bernoulli.logpmf(x, expit(output)).sum(axis=-1)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_bernoulli_density_is_right_where_the_probability_rounds_to_0_or_1():
    output = jnp.array([[1e4], [1e4], [-1e4], [-1e4], [60.0]])
    x = jnp.array([[1.0], [0.0], [1.0], [0.0], [0.0]])
    got = BERNOULLI.log_prob(pixels(1), {}, output, x)
    np.testing.assert_allclose(got, [0, -1e4, -1e4, 0, -60])


def test_the_gradient_of_the_bernoulli_density_is_the_error_of_its_mean():
    output = jnp.array([[-1e4, -30.0, -1.0, 0.0, 2.0, 30.0, 1e4]])
    for x in (jnp.zeros((1, 7)), jnp.ones((1, 7))):
        grad = jax.grad(lambda o, x=x: BERNOULLI.log_prob(pixels(7), {}, o, x).sum())(output)
        np.testing.assert_allclose(grad, x - expit(np.float64(output)), rtol=1e-6, atol=1e-7)


def test_dynamic_binarisation_is_white_as_often_as_the_pixel_is_bright():
    num, levels = 20_000, np.arange(256)
    grey = np.broadcast_to(levels.astype(np.uint8), (num, 256))
    config, key = pixels(256, binarise="dynamic"), jax.random.key(0)
    probs = levels / 255
    allowed = 6 * np.sqrt(probs * (1 - probs) / num) + 2e-5  # 16 bits are right to 2e-5
    for data in (jnp.asarray(grey), jnp.asarray(grey, jnp.float32) / 255):
        x = BERNOULLI.observe(config, key, data)
        assert x.dtype == jnp.float32
        assert set(np.unique(x)) == {0, 1}
        share = np.asarray(x).mean(axis=0)
        assert np.all(np.abs(share - probs) <= allowed)
        assert (share[0], share[255]) == (0, 1)


def test_grey_0_and_255_are_certain():
    """A million draws each: one wrong in 65,536 would show."""
    config, key = pixels(1, binarise="dynamic"), jax.random.key(1)
    for level in (0, 255):
        x = BERNOULLI.observe(config, key, jnp.full((1_000_000, 1), level, jnp.uint8))
        assert np.all(x == level // 255)


def test_threshold_and_none_need_no_chance():
    grey = jnp.array([[0, 127, 128, 255]], jnp.uint8)
    levels = {"threshold": [[0, 0, 1, 1]], "none": np.asarray(grey) / 255}
    for binarise, expected in levels.items():
        config = pixels(4, binarise=binarise)
        for data in (grey, grey / 255):
            observed = BERNOULLI.observe(config, jax.random.key(0), data)
            np.testing.assert_allclose(observed, expected, rtol=1e-6)
            np.testing.assert_array_equal(observed, BERNOULLI.expect(config, data))
    dynamic = BERNOULLI.expect(pixels(4, binarise="dynamic"), grey)
    np.testing.assert_allclose(dynamic, np.asarray(grey) / 255, rtol=1e-6)


def test_bernoulli_draws_have_their_mean(assert_mean):
    output = jnp.array([-2.0, 0.0, 3.0])
    draws = BERNOULLI.sample(pixels(3), {}, jax.random.key(0), jnp.tile(output, (20_000, 1)))
    np.testing.assert_allclose(BERNOULLI.mean({}, output), expit(np.asarray(output)), rtol=1e-6)
    assert_mean(draws, BERNOULLI.mean({}, output))


def test_gaussian_density_is_scipys_in_the_units_of_the_data():
    like = GAUSSIAN.init(table(), TABLE) | {"log_var": jnp.array(-1.2)}
    rng = np.random.default_rng(1)
    output, x = rng.normal(size=(500, 2)).astype(np.float32), TABLE
    mean = TABLE.mean(axis=0, dtype=np.float64) + TABLE.std(axis=0, dtype=np.float64) * output
    sigma = np.exp(0.5 * 10 * np.tanh(-0.12)) * TABLE.std(axis=0, dtype=np.float64)
    np.testing.assert_allclose(GAUSSIAN.mean(like, output), mean, rtol=1e-5)
    got = GAUSSIAN.log_prob(table(), like, output, x)
    np.testing.assert_allclose(got, norm.logpdf(x, mean, sigma).sum(axis=1), rtol=1e-4)


def test_another_unit_shifts_the_density_by_the_logarithm_of_its_size():
    output = jnp.zeros((500, 2))
    ours, scaled = (
        GAUSSIAN.log_prob(table(), GAUSSIAN.init(table(), data), output, data)
        for data in (TABLE, 1000 * TABLE)
    )
    np.testing.assert_allclose(ours - scaled, 2 * np.log(1000), rtol=1e-3)


def test_a_fixed_scale_is_a_standard_deviation_in_the_units_of_the_data():
    config = table(scale=2.5)
    like = GAUSSIAN.init(config, TABLE) | {"log_var": jnp.array(3.0)}
    output = jnp.zeros((500, 2))
    expected = norm.logpdf(TABLE, TABLE.mean(axis=0, dtype=np.float64), 2.5).sum(axis=1)
    np.testing.assert_allclose(GAUSSIAN.log_prob(config, like, output, TABLE), expected, rtol=1e-4)


def test_columns_are_scaled_one_by_one_and_images_as_one():
    columns = GAUSSIAN.init(table(), TABLE)
    x = np.asarray(GAUSSIAN.standardise(columns, TABLE), np.float64)
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-4)
    image = GAUSSIAN.init(Config(shape=(1, 2), likelihood="gaussian"), TABLE)
    for name, value in (("shift", TABLE.mean(dtype=float)), ("scale", TABLE.std(dtype=float))):
        np.testing.assert_allclose(image[name], [value, value], rtol=1e-5)


def test_a_constant_column_and_no_data_leave_the_scale_at_one():
    constant = GAUSSIAN.init(table(), np.array([[1.0, 7.0], [3.0, 7.0]]))
    np.testing.assert_allclose(constant["scale"], [1, 1])
    np.testing.assert_allclose(constant["shift"], [2, 7])
    none = GAUSSIAN.init(table(), None)
    np.testing.assert_allclose([none["shift"], none["scale"]], [[0, 0], [1, 1]])


def test_gaussian_draws_have_the_moments_of_their_density(assert_mean):
    config = table(scale=0.5)
    like = GAUSSIAN.init(config, TABLE)
    output = jnp.tile(jnp.array([1.0, -2.0]), (50_000, 1))
    x, mean = GAUSSIAN.sample(config, like, jax.random.key(0), output), GAUSSIAN.mean(like, output)
    assert_mean(x, mean[0])
    assert_mean((x - mean) ** 2, np.array([0.25, 0.25]), rounding=1e-3)


def test_training_moves_the_noise_and_leaves_the_constants_of_the_data():
    like = GAUSSIAN.init(table(), TABLE)

    @jax.jit
    @jax.grad
    def gradient(like):
        return jnp.sum(GAUSSIAN.log_prob(table(), like, jnp.ones((500, 2)), TABLE))

    gradient = gradient(like)
    assert gradient["log_var"] != 0
    np.testing.assert_array_equal([gradient["shift"], gradient["scale"]], np.zeros((2, 2)))


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_contract_of_every_likelihood(name):
    """Shapes, finite gradients, and the same under jit and vmap."""
    B, X = 4, 3
    config, like = Config(shape=(X,), likelihood=name), compiled(LIKELIHOODS[name])
    data = np.random.default_rng(0).random((B, X)).astype(np.float32)
    own, output, key = like.init(config, data), jnp.float32(data) - 0.5, jax.random.key(0)
    x = like.observe(config, key, jnp.asarray(data))
    chex.assert_shape([x, like.expect(config, jnp.asarray(data)), like.standardise(own, x)], (B, X))
    chex.assert_shape([like.mean(own, output), like.sample(config, own, key, output)], (B, X))

    def log_prob(own, output, x):
        return like.log_prob(config, own, output, x)

    value = log_prob(own, output, x)
    chex.assert_shape(value, (B,))
    chex.assert_shape(jax.eval_shape(log_prob, own, jnp.zeros((5, B, X)), x), (5, B))
    each = jax.jit(jax.vmap(log_prob, (None, 0, 0)))(own, output, x)
    np.testing.assert_allclose(each, value, rtol=1e-5)

    @jax.jit
    @partial(jax.grad, argnums=(0, 1))
    def gradient(own, output):
        return jnp.sum(log_prob(own, output, x))

    for at in (output, jnp.full((B, X), 1e4), jnp.full((B, X), -1e4)):
        chex.assert_tree_all_finite(gradient(own, at))
