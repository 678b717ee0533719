"""Pixels given the pixels before them: causality, enumeration, draws, and a model that learns."""

from itertools import product

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

import cpvae_jax
from cpvae_jax import Config, Training, UserError
from cpvae_jax.likelihoods import autoregressive, bernoulli
from cpvae_jax.networks import convolutions

KEY = jax.random.key(0)
C = autoregressive.CHANNELS


def config_of(shape, **changes):
    return Config(shape, **{"K": 2, "latent": 2, "likelihood": "autoregressive", **changes})


def shaken(config, seed=0):
    """The likelihood's arrays with weights that matter, biases too."""
    own = autoregressive.init(KEY, config, None)
    rng = np.random.default_rng(seed)
    weights = jax.tree.map(
        lambda a: jnp.asarray(rng.normal(0, 0.5, a.shape), jnp.float32), own.weights
    )
    return own._replace(weights=weights)


def random(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def images(height, width):
    """All black and white images, [2^X, height, width]."""
    return np.array(list(product((0, 1), repeat=height * width)), np.float32).reshape(
        -1, height, width
    )


# The density


@pytest.mark.parametrize("shape", [(1, 6), (5, 1), (4, 7), (7, 5, 1)])
def test_a_logit_depends_on_the_pixels_before_it_alone(shape):
    config = config_of(shape)
    own, output, x = shaken(config), random((*shape, C)), random(shape, 1)
    slopes = jax.jacobian(lambda x: autoregressive.logits(config, own, output, x))(x)
    slopes = np.asarray(slopes).reshape(config.size, config.size)
    width = shape[1]
    for i, j in product(range(config.size), repeat=2):
        (row, column), (above, beside) = divmod(i, width), divmod(j, width)
        up, side = row - above, abs(column - beside)
        near = up <= autoregressive.FIELD and side <= autoregressive.FIELD
        if j >= i or not near:
            assert slopes[i, j] == 0
        elif side <= autoregressive.REACH and up <= autoregressive.REACH:
            assert slopes[i, j] != 0
    # The whole field is used, but for the blind spot to the right.
    if shape == (4, 7):
        last = slopes.reshape(4, 7, 4, 7)[3, 4]
        assert np.all(last[:3, :5] != 0)
        assert np.all(last[3, :4] != 0)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (1, 5)])
def test_the_probabilities_of_all_images_sum_to_one(shape, seed):
    config = config_of(shape)
    own, x = shaken(config, seed), images(*shape)
    output = random((3, 1, *shape, C), seed)  # three codes, each with all images
    output = jnp.broadcast_to(output, (3, len(x), *shape, C))
    log_prob = autoregressive.log_prob(config, own, output, jnp.asarray(x))
    chex.assert_shape(log_prob, (3, len(x)))
    np.testing.assert_allclose(np.exp(np.float64(log_prob)).sum(axis=1), 1, rtol=1e-5)
    assert np.std(log_prob, axis=1).min() > 0.1


def test_leading_axes_are_those_of_the_output(monkeypatch):
    """Also where the work is cut into pieces."""
    config = config_of((3, 4))
    own, output = shaken(config), random((5, 2, 3, 4, C))
    x = jnp.asarray(np.random.default_rng(0).integers(0, 2, (2, 3, 4)), jnp.float32)
    found = autoregressive.log_prob(config, own, output, x)
    for s, b in np.ndindex(5, 2):
        alone = autoregressive.log_prob(config, own, output[s, b], x[b])
        np.testing.assert_allclose(found[s, b], alone, rtol=1e-5)
    monkeypatch.setattr(convolutions, "AT_ONCE", 3 * 3 * 4)
    pieces = autoregressive.log_prob(config, own, output, x)
    np.testing.assert_allclose(pieces, found, rtol=1e-5)


def test_the_features_of_a_pixel_change_how_its_neighbours_count():
    config = config_of((3, 3))
    own, x = shaken(config), random((3, 3), 1)
    slopes = jax.jacobian(lambda o: autoregressive.logits(config, own, o, x))(random((3, 3, C)))
    assert np.all(np.asarray(slopes)[np.arange(3), np.arange(3), np.arange(3), np.arange(3)] != 0)


# Draws


def test_samples_have_the_enumerated_probabilities():
    config, num = config_of((2, 3)), 40_000
    own, x = shaken(config), images(2, 3)
    output = random((2, 3, C))
    every = jnp.broadcast_to(output, (len(x), 2, 3, C))
    probs = np.exp(np.float64(autoregressive.log_prob(config, own, every, jnp.asarray(x))))
    drawn = autoregressive.sample(config, own, KEY, jnp.broadcast_to(output, (num, 2, 3, C)))
    assert set(np.unique(drawn)) == {0, 1}
    numbers = np.asarray(drawn).reshape(num, 6) @ (2 ** np.arange(6)[::-1])
    found = np.bincount(numbers.astype(int), minlength=64) / num
    allowed = 6 * np.sqrt(probs * (1 - probs) / num) + 1e-6
    assert np.all(np.abs(found - probs) < allowed)


def test_the_mean_holds_the_probabilities_along_a_draw():
    """A draw that the mean's own probabilities and fixed uniform numbers give."""
    config = config_of((4, 5))
    own, output = shaken(config), random((3, 2, 4, 5, C))
    mean = autoregressive.mean(config, own, output)
    uniform = np.random.default_rng(autoregressive.SHOWN).random(20, np.float32)
    x = (uniform.reshape(4, 5) < mean).astype(jnp.float32)
    expected = expit(np.float64(autoregressive.logits(config, own, output, x)))
    np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-6)
    alone = autoregressive.mean(config, own, output[1, 1])
    np.testing.assert_allclose(alone, mean[1, 1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1)])
def test_without_masked_convolutions_it_is_the_bernoulli_likelihood(shape):
    config = config_of(shape)
    own = autoregressive.init(KEY, config, None)
    nothing = own._replace(weights=jax.tree.map(jnp.zeros_like, own.weights))
    output, x = random((6, *shape, C)), jnp.round(expit(random((6, *shape), 1)))
    for function in ("log_prob", "mean"):
        rest = (x,) if function == "log_prob" else ()
        plain = getattr(bernoulli, function)(config, own, output, *rest)
        np.testing.assert_allclose(
            getattr(autoregressive, function)(config, nothing, output, *rest), plain, rtol=1e-5
        )
    plain = bernoulli.sample(config, own, KEY, output)
    np.testing.assert_array_equal(autoregressive.sample(config, nothing, KEY, output), plain)


def test_it_starts_near_the_bernoulli_likelihood_and_every_weight_has_a_gradient():
    config = config_of((4, 5))
    own, output = autoregressive.init(KEY, config, None), random((6, 4, 5, C))
    x = jnp.round(expit(random((6, 4, 5), 1)))
    moved = autoregressive.logits(config, own, output, x) - output[..., 0]
    assert 0 < np.abs(moved).max() < 0.5

    def total(weights):
        return jnp.sum(autoregressive.log_prob(config, own._replace(weights=weights), output, x))

    for path, slope in jax.tree.leaves_with_path(jax.grad(total)(own.weights)):
        assert np.all(np.any(slope != 0, axis=-1)), jax.tree_util.keystr(path)


# What it takes


@pytest.mark.parametrize("shape", [(7,), (4, 4, 3), (2, 2, 2, 2)])
def test_what_is_no_black_and_white_image_is_refused(shape):
    config, x = config_of(shape), np.zeros((4, *shape))
    sentence = "the likelihood 'autoregressive' takes black and white images"
    with pytest.raises(UserError, match=sentence):
        cpvae_jax.initialise(KEY, config)
    with pytest.raises(UserError, match=sentence):
        cpvae_jax.fit(KEY, config, x)


def test_grey_levels_out_of_range_are_refused():
    with pytest.raises(UserError, match="x ranges from 0 to 2"):
        autoregressive.check(config_of((2, 2)), np.array([[[0.0, 2.0], [1.0, 0.0]]]), "x")


def test_units_and_black_and_white_are_those_of_the_bernoulli_likelihood():
    same = ("observe", "expect", "prepare", "restore", "measure", "compare", "limits", "options")
    for name in same:
        assert getattr(autoregressive.LIKELIHOOD, name) is getattr(bernoulli.LIKELIHOOD, name)


# A model


@pytest.fixture(scope="module")
def stripes():
    """Images of rows or of columns that alternate, with a phase at random: no pixel is typical."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 2, 400)
    lines = (np.arange(6) + rng.integers(0, 2, (400, 1))) % 2
    rows = np.broadcast_to(lines[:, :, None], (400, 6, 6))
    return np.where(kinds[:, None, None] == 0, rows, rows.swapaxes(1, 2)).astype(np.float32), kinds


@pytest.fixture(scope="module")
def trained(stripes):
    x, kinds = stripes
    config = config_of((6, 6), hidden=(16,))
    settings = Training(
        learning_rate=1e-2,
        batch_size=20,
        warmup=2,
        epochs=12,
        estimator="exact",
        regularisers=(("anchor", 10.0),),
    )
    return cpvae_jax.fit(
        KEY, config, x[:300], x[300:], recipe=settings, categories=kinds[:300]
    ).params


def agreement(x):
    """How often a pixel equals its neighbour in the row, and in the column."""
    return np.mean(x[:, :, 1:] == x[:, :, :-1]), np.mean(x[:, 1:] == x[:, :-1])


def test_samples_of_a_category_have_its_pattern(trained, stripes):
    for category in range(2):
        own = np.asarray(cpvae_jax.predict(trained, stripes[0]))[:, category] > 0.5
        expected = agreement(stripes[0][own])
        drawn = np.asarray(cpvae_jax.sample(trained, KEY, category=category, num=200, draw=True))
        assert set(np.unique(drawn)) == {0, 1}
        np.testing.assert_allclose(agreement(drawn), expected, atol=0.25)
        shown = np.asarray(cpvae_jax.sample(trained, KEY, category=category, num=50))
        np.testing.assert_allclose(agreement(shown > 0.5), expected, atol=0.25)
        assert 0.3 < drawn.mean() < 0.7, "no phase is left out"


def test_it_explains_more_than_independent_pixels_could(trained, stripes):
    x = stripes[0][300:]
    bound = cpvae_jax.bound_terms(trained, KEY, x, samples=10)["bound"].mean()
    likelihood = cpvae_jax.log_likelihood(trained, KEY, x, samples=100).mean()
    assert bound < likelihood + 0.1
    assert likelihood > -36 * np.log(2) / 2
    assert likelihood < np.log(0.25) + 0.5, "four images are equally likely"


def test_a_saved_model_is_the_same_one(trained, stripes, tmp_path):
    cpvae_jax.save(tmp_path / "model", trained)
    loaded = cpvae_jax.load(tmp_path / "model")
    chex.assert_trees_all_equal(loaded.weights, trained.weights)
    found, expected = (cpvae_jax.reconstruct(p, stripes[0][:5]) for p in (loaded, trained))
    np.testing.assert_array_equal(found, expected)


def test_onnx_refuses_its_decoder_in_one_sentence_and_stablehlo_serves_it(
    trained, stripes, tmp_path
):
    pytest.importorskip("onnx")
    with pytest.raises(UserError, match="choose the format 'stablehlo'"):
        cpvae_jax.export(tmp_path / "onnx", trained, format="onnx")
    assert not (tmp_path / "onnx").exists()
    cpvae_jax.export(tmp_path / "b", trained, format="stablehlo")
    content = bytearray((tmp_path / "b/decoder.stablehlo").read_bytes())
    z, category = np.zeros((3, 2), np.float32), np.array([0, 1, 1], np.int32)
    decoded = jax.export.deserialize(content).call(z, category)
    np.testing.assert_allclose(
        decoded, cpvae_jax.decode(trained, z, category), rtol=1e-4, atol=1e-5
    )
