"""The convolutional network: images of every size, and how its parts see them."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, UserError
from cpvae_jax.models import start
from cpvae_jax.networks import conv
from cpvae_jax.networks.base import num_features

KEY = jax.random.key(0)
K = 3


def config_of(shape, **changes):
    return Config(shape, **{"K": K, "latent": 2, "hidden": (6, 5), "network": "conv", **changes})


@pytest.mark.parametrize("shape", [(8, 8), (28, 28), (1, 1), (5, 9), (7, 6, 3), (13, 2, 1)])
def test_the_shapes_for_images_of_any_size(shape):
    def everything(key, x, z):
        config = config_of(shape)
        encoder = conv.init_encoder(key, config)
        decoder = conv.init_decoder(key, config, 2, K, 3)
        category = jnp.zeros(z.shape[:-1], jnp.int32)
        return conv.encode(config, encoder, x), conv.decode(config, decoder, z, category)

    features, output = jax.eval_shape(everything, KEY, jnp.zeros((4, *shape)), jnp.zeros((6, 4, 2)))
    chex.assert_shape(features, (4, 5))
    chex.assert_shape(output, (6, 4, *shape, 3))
    assert num_features(conv.NETWORK, config_of(shape)) == 5


@pytest.mark.slow
@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("shape", [(8, 8), (5, 7, 2)])
def test_images_go_through_the_public_functions(shape, levels):
    params = cpvae_jax.initialise(KEY, config_of(shape, levels=levels))
    x = np.random.default_rng(0).random((4, *shape))
    assert cpvae_jax.reconstruct(params, x).shape == x.shape
    assert cpvae_jax.sample(params, KEY, category=2, num=5).shape == (5, *shape)
    assert np.all(np.isfinite(cpvae_jax.bound(params, KEY, x).bound))


@pytest.mark.parametrize("shape", [(7,), (2, 3, 4, 5)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(UserError, match=r"shape is \(.*\), but the network 'conv' takes images"):
        config_of(shape)


def test_the_features_of_a_shifted_image_are_shifted_ones():
    """Before the linear layer: a shift by the two strides of 2 moves the map by one."""
    config = config_of((32, 32))
    weights = conv.init_encoder(KEY, config)
    image = np.zeros((1, 32, 32), np.float32)
    image[0, 8:20, 8:20] = np.random.default_rng(0).random((12, 12))
    width = 8 * 8 * conv.LAST
    # A linear layer that hands on what it gets: value the identity, and a gate of one half.
    through = {"kernel": np.hstack([np.eye(width), np.zeros((width, width))]), "bias": 0.0}
    weights = {**weights, "features": jax.tree.map(jnp.float32, through)}
    h, moved = (
        np.asarray(conv.encode(config, weights, jnp.asarray(x))).reshape(8, 8, conv.LAST)
        for x in (image, np.roll(image, 4, axis=2))
    )
    np.testing.assert_allclose(moved[:, 2:7], h[:, 1:6], atol=1e-6)
    assert np.abs(h[:, 1:6]).max() > 1e-3


def test_every_pixel_and_every_channel_depends_on_the_code_and_the_category():
    config = config_of((5, 7, 2))
    weights = conv.init_decoder(KEY, config, 2, K, 3)

    def output(z, category):
        return conv.decode(config, weights, z, category)

    z = jnp.array([0.5, -1.0])
    slopes = jax.jacobian(output)(z, jnp.array(1))
    assert slopes.shape == (5, 7, 2, 3, 2)
    assert np.all(slopes != 0)
    assert np.all(output(z, jnp.array(1)) != output(z, jnp.array(2)))


def test_two_levels_are_gated_layers_around_the_network():
    template = start.template(config_of((8, 8), levels=2))
    assert set(template.weights["below"]["x"]) == {"first", "second", "last", "features"}
    assert set(template.weights["decoder"]["network"]) == {"map", "half", "full", "output"}
    assert "category" not in template.weights["decoder"]["network"]["map"]
    assert template.weights["decoder"]["top"]["category"].shape[0] == K
