"""Encoder and decoder networks, one file each, and their look-up.

Examples keep their shape [B, *shape] until a network sees them. A network of your own is a
`Network` record, registered under a name: see docs/extending.md.
"""

from __future__ import annotations

from cpvae_jax.config import Config
from cpvae_jax.networks import layers as layers  # the parts that networks are built from
from cpvae_jax.networks.base import Network
from cpvae_jax.registry import NETWORKS

register = NETWORKS.register
names = NETWORKS.names


def of(config: Config) -> Network:
    """The network that a configuration names."""
    return NETWORKS[config.network]
