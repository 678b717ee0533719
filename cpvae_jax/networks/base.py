"""The network seam: how x becomes features h, and how a code becomes the parameters of p(x|z, c)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from cpvae_jax.config import Config
from cpvae_jax.types import Tree

Category = jax.Array | None
"""Integers [...], weights [..., K], or None where the networks do not see c."""

Gaussian = tuple[jax.Array, jax.Array]
"""Mean and log-variance, [..., D] each."""


class InitEncoder(Protocol):
    def __call__(self, key: jax.Array, config: Config) -> Tree:
        """Fresh encoder weights."""


class Encode(Protocol):
    def __call__(self, config: Config, weights: Tree, x: jax.Array) -> jax.Array:
        """Features h [B, H] of inputs x [B, *shape], for any H. The library adds linear heads."""


class InitDecoder(Protocol):
    def __call__(
        self, key: jax.Array, config: Config, inputs: int, categories: int, channels: int
    ) -> Tree:
        """Fresh decoder weights.

        Args:
          key: A random key.
          config: The configuration of the model.
          inputs: Length of the code that `decode` takes: D, or more with two levels.
          categories: K, or 0 where the decoder does not see c.
          channels: Numbers that the likelihood needs for each number of x.
        """


class Decode(Protocol):
    def __call__(
        self, config: Config, weights: Tree, z: jax.Array, category: Category
    ) -> jax.Array:
        """Codes z [..., inputs] and a category to the output [..., *shape, channels]."""


class Check(Protocol):
    def __call__(self, config: Config) -> None:
        """Raise `UserError` for a configuration that the network cannot serve."""


def _any(config: Config) -> None:
    """Accept every configuration."""
    del config


class InitLower(Protocol):
    def __call__(
        self, key: jax.Array, config: Config, categories: int, channels: int
    ) -> tuple[Tree, Tree]:
        """Fresh weights for q(z₁|x, z₂, c), and of p(z₁|z₂, c) with p(x|z₁, z₂, c).

        Take keys from `lower_keys`, which leaves out those of the library's heads.
        """


class LowerFeatures(Protocol):
    def __call__(self, config: Config, below: Tree, x: jax.Array) -> jax.Array:
        """What q(z₁|x, z₂, c) needs of x [B, *shape], once for all draws of z₂: [B, H]."""


class LowerPosterior(Protocol):
    def __call__(
        self, below: Tree, features: jax.Array, z: jax.Array, category: Category
    ) -> jax.Array:
        """Features of x, z₂ and c [..., H] for top codes z [..., D], for any H.

        The library adds the heads of q(z₁|x, z₂, c), which are linear in them.
        """


class LowerPrior(Protocol):
    def __call__(self, decoder: Tree, z: jax.Array, category: Category) -> Gaussian:
        """p(z₁|z₂, c) for top codes z [..., D]."""


class LowerDecode(Protocol):
    def __call__(
        self, config: Config, decoder: Tree, z1: jax.Array, z: jax.Array, category: Category
    ) -> jax.Array:
        """Both codes [..., D] to the output [..., *shape, channels]."""


class Lower(NamedTuple):
    """The networks of a code z₁ below the top code z₂."""

    init: InitLower
    features: LowerFeatures
    posterior: LowerPosterior
    prior: LowerPrior
    decode: LowerDecode


class Network(NamedTuple):
    """An encoder and a decoder.

    Without `lower`, two-level models put gated layers around the network's own encoder and
    decoder (`networks.lower`).
    """

    init_encoder: InitEncoder
    encode: Encode
    init_decoder: InitDecoder
    decode: Decode
    check: Check = _any
    lower: Lower | None = None


def lower_keys(key: jax.Array) -> tuple[Iterator[jax.Array], list[jax.Array]]:
    """Nine keys for the layers of two levels, and the keys of the heads for mean and log-variance.

    The order is that of the first version, so that a seed still gives the same fresh weights.
    """
    keys = list(jax.random.split(key, 11))
    return iter(keys[:3] + keys[5:]), keys[3:5]


def num_features(network: Network, config: Config) -> int:
    """H, the number of features that a network's `encode` gives; only shapes are computed."""

    def features(key: jax.Array) -> jax.Array:
        weights = network.init_encoder(key, config)
        return network.encode(config, weights, jnp.zeros((1, *config.shape), jnp.float32))

    return jax.eval_shape(features, jax.random.key(0)).shape[-1]
