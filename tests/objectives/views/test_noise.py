"""Noisy views: the size of the noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cpvae_jax import Config, Rows, Training
from cpvae_jax.objectives.base import Source
from cpvae_jax.objectives.views import noise


@pytest.mark.parametrize("wrap", [jnp.asarray, lambda x: Rows([x])])
def test_the_noise_is_a_share_of_the_standard_deviation_of_the_data(wrap, shaken):
    """Column by column: means that differ are no spread."""
    x = np.random.default_rng(0).normal([0, 0, 100], 2, (2000, 3)).astype(np.float32)
    params = shaken(Config((3,), 2, 2, (4,), likelihood="gaussian"))
    measured = noise.measure(Training(view_noise=0.5), params, wrap(x))
    assert measured["scale"] == pytest.approx(0.5 * 2, rel=0.05)
    probs = jnp.full((2000, 2), 0.5)
    source = Source(None, None, measured)
    found = noise.apply(params, jax.random.key(0), jnp.asarray(x), probs, source)
    np.testing.assert_allclose(np.std(found - x, axis=0), 1, rtol=0.1)
    np.testing.assert_allclose(np.mean(found - x, axis=0), 0, atol=6 / 2000**0.5)


def test_pixels_become_grey_within_their_range(shaken):
    grey = np.random.default_rng(0).integers(0, 256, (2000, 3), dtype=np.uint8)
    params = shaken(Config((3,), 2, 2, (4,)))
    measured = noise.measure(Training(view_noise=0.2), params, jnp.asarray(grey))
    assert measured["scale"] == pytest.approx(0.2 / 12**0.5, rel=0.03)
    x = jnp.asarray(grey > 127, jnp.float32)
    source = Source(None, None, measured)
    found = np.asarray(noise.apply(params, jax.random.key(0), x, jnp.ones((2000, 1)), source))
    assert found.min() == 0
    assert found.max() == 1
    assert np.mean(found != x) == pytest.approx(0.5, abs=0.03)
