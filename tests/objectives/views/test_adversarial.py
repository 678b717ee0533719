"""Adversarial views: their radius, and the divergence that they cause."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import log_softmax, softmax

from cpvae_jax import Config, Rows, Training, likelihoods, models
from cpvae_jax.objectives.base import Source
from cpvae_jax.objectives.views import adversarial

KEY = jax.random.key(0)
TRAINING = Training()


def radius(params, x, training=TRAINING):
    """The radii of examples in the user's unit."""
    prepare = likelihoods.of(params.config).prepare
    if isinstance(x, Rows):
        data = x.mapped(lambda part: prepare(params.likelihood, part))
    else:
        data = jnp.asarray(prepare(params.likelihood, x))
    return np.asarray(adversarial.measure(training, params, data)["radius"])


def brute_force(points, k=10):
    """0.4 times the distance to the k-th nearest other example."""
    points = np.float64(points).reshape(len(points), -1)
    return 0.4 * np.sort(cdist(points, points), axis=1)[:, k]


@pytest.mark.parametrize("shape", [(3,), (20,), (4, 5)])
def test_the_radius_is_a_share_of_the_distance_to_the_tenth_neighbour(shape, shaken):
    x = np.random.default_rng(0).normal(5, 3, (50, *shape))
    params = shaken(Config(shape, 2, 2, (4,), likelihood="gaussian"), data=x)
    scaled = (x - x.mean(0)) / (x.std(0) if len(shape) == 1 else x.std())
    if len(shape) == 2:
        scaled = likelihoods.of(params.config).prepare(params.likelihood, x)
    np.testing.assert_allclose(radius(params, x), brute_force(scaled), rtol=1e-5)
    wide = Training(view_radius=0.8)
    np.testing.assert_allclose(radius(params, x, wide), 2 * brute_force(scaled), rtol=1e-5)


@pytest.mark.parametrize("binarise", ["dynamic", "none"])
def test_grey_levels_count_as_they_are(binarise, shaken):
    x = np.random.default_rng(0).integers(0, 256, (40, 4, 4), dtype=np.uint8)
    params = shaken(Config((4, 4), 2, 2, (4,), binarise=binarise))
    np.testing.assert_allclose(radius(params, x), brute_force(x / 255), rtol=1e-5)


def test_of_few_examples_the_farthest_neighbour_counts_and_equal_ones_are_at_no_distance(shaken):
    params = shaken(Config((6,), 2, 2, (4,), likelihood="gaussian"))
    x = np.random.default_rng(0).normal(size=(5, 6))
    np.testing.assert_allclose(radius(params, x), brute_force(x, k=4), rtol=1e-5)
    np.testing.assert_array_equal(radius(params, np.repeat(x[:1], 30, axis=0)), 0)
    np.testing.assert_array_equal(radius(params, x[:1]), [0])


def test_streamed_examples_share_the_median_radius(shaken, monkeypatch):
    params = shaken(Config((5,), 2, 2, (4,), likelihood="gaussian"))
    x = np.random.default_rng(0).normal(size=(600, 5))
    found = radius(params, Rows([x[:100], x[100:]]))
    assert found.shape == ()
    np.testing.assert_allclose(found, np.median(brute_force(x)), rtol=1e-5)
    monkeypatch.setattr(adversarial, "SAMPLE", 200)
    assert found == pytest.approx(radius(params, Rows([x])), rel=0.1)


def adversary(params, x, radii):
    probs = models.of(params.config).infer(params, x).probs
    source = Source(jnp.arange(len(x)), None, {"radius": jnp.asarray(radii, jnp.float32)})
    return np.asarray(jax.jit(adversarial.apply)(params, KEY, x, probs, source))


def logits(params, x):
    return np.float64(models.of(params.config).infer(params, jnp.asarray(x, jnp.float32)).logits)


def divergence(params, x, other):
    """KL(q(c|x) || q(c|other)), [B]."""
    p, log_q = softmax(logits(params, x), axis=-1), log_softmax(logits(params, other), axis=-1)
    return np.sum(p * (np.log(p) - log_q), axis=-1)


def test_the_view_lies_at_its_radius_and_moves_q_more_than_random_changes_do(shaken):
    params = shaken(Config((12,), 3, 2, (8,), likelihood="gaussian"))
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(40, 12)), jnp.float32)
    radii = rng.uniform(0.1, 0.5, 40)
    other = adversary(params, x, radii)
    np.testing.assert_allclose(np.linalg.norm(other - x, axis=1), radii, rtol=1e-4)
    caused = divergence(params, x, other)
    random = []
    for _ in range(50):
        d = rng.normal(size=x.shape)
        d *= radii[:, None] / np.linalg.norm(d, axis=1, keepdims=True)
        random.append(divergence(params, x, np.asarray(x) + d))
    beaten = np.mean(caused > np.stack(random), axis=0)
    assert np.median(beaten) == 1
    assert beaten.mean() > 0.9


def test_black_and_white_pixels_change_within_their_range(shaken):
    """By the whole radius: the part of the gradient that would leave the range is left out first."""
    params = shaken(Config((30,), 3, 2, (8,)))
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(0, 2, (20, 30)), jnp.float32)
    other = adversary(params, x, np.full(20, 0.5))
    assert other.min() >= 0
    assert other.max() <= 1
    np.testing.assert_allclose(np.linalg.norm(other - x, axis=1), 0.5, rtol=1e-4)
    random = np.abs(rng.normal(size=(50, 20, 30)))
    random *= 0.5 / np.linalg.norm(random, axis=2, keepdims=True) * (1 - 2 * np.asarray(x))
    caused = divergence(params, x, other)
    assert np.mean([caused > divergence(params, x, x + d) for d in random]) > 0.9


def test_no_radius_and_no_gradient_leave_x_as_it_is(shaken):
    params = shaken(Config((5,), 3, 2, (8,), likelihood="gaussian"))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)), jnp.float32)
    np.testing.assert_array_equal(adversary(params, x, np.zeros(6)), x)
    single = shaken(Config((5,), 1, 2, (8,), likelihood="gaussian"))
    np.testing.assert_array_equal(adversary(single, x, np.ones(6)), x)


def test_tiny_gradients_still_have_a_direction():
    v = jnp.array([[3e-30, 4e-30], [0.0, 0.0], [3e30, -4e30]])
    found = jax.jit(adversarial._unit)(v)  # the compiler may join two divisions
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [0.6, -0.8]], rtol=1e-5)
