"""The network "strided": strided convolutions for images, [H, W] or [H, W, C] of any size."""

import jax
from flax.linen import Conv, ConvTranspose, Sequential, gelu

from cpvae_jax import UserError, networks

DOWN = Sequential([Conv(32, (4, 4), 2), gelu, Conv(64, (4, 4), 2), gelu])
UP = Sequential([ConvTranspose(64, (4, 4), (2, 2)), gelu, ConvTranspose(32, (4, 4), (2, 2)), gelu])


def grid(config):
    if len(config.shape) not in (2, 3):
        raise UserError(f"the network 'strided' takes images, but the shape is {config.shape}.")
    return -(-config.shape[0] // 4), -(-config.shape[1] // 4), 64  # after two strides of 2


def init_encoder(key, config):
    return DOWN.init(key, jax.numpy.zeros((1, *(*config.shape, 1)[:3])))


def encode(config, weights, x):
    return DOWN.apply(weights, x.reshape(*x.shape[:3], -1)).reshape(len(x), -1)


def init_decoder(key, config, inputs, categories, channels):
    keys = jax.random.split(key, 3)
    small = jax.numpy.zeros((1, *grid(config)))
    first = networks.layers.init_linear(keys[0], inputs, small.size, categories=categories)
    last = networks.layers.init_linear(keys[1], 32, channels * (*config.shape, 1)[2])
    return {"first": first, "up": UP.init(keys[2], small), "last": last}


def decode(config, weights, z, category):
    h = gelu(networks.layers.linear(weights["first"], z, category)).reshape(-1, *grid(config))
    y = networks.layers.linear(weights["last"], UP.apply(weights["up"], h))
    return y[:, : config.shape[0], : config.shape[1]].reshape(*z.shape[:-1], *config.shape, -1)


networks.register("strided", networks.Network(init_encoder, encode, init_decoder, decode, grid))
