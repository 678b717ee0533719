"""What a decoder of one or more levels has to offer to the bound, the likelihood, the sampler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from cpvae_jax.config import Config
from cpvae_jax.types import Params, Tree

Category = jax.Array | None
"""Whole numbers [...], weights [..., K], or None where the networks know nothing of c."""


class Explanation(NamedTuple):
    """How a code z at the top explains x, all of what lies between drawn."""

    output: jax.Array
    """[..., X], what the likelihood needs of the codes"""
    kl: jax.Array | float
    """[...], divergence of the codes below z from their prior given z; 0 if there are none"""
    log_ratio: jax.Array | float
    """[...], log p(codes below|z) − log q(codes below|x, z) at the draw; 0 if there are none"""


class Levels(NamedTuple):
    """What lies between the top code (z, c) and x, as pure functions."""

    init: Callable[[jax.Array, Config, int], tuple[Tree, Tree]]
    """(key, config, categories that the networks see) to arrays of encoder and decoder"""
    features: Callable[[Params, jax.Array], Any]
    """(params, encoder input [B, X]) to what the posteriors below the top need of x"""
    explain: Callable[[Params, jax.Array | None, Any, jax.Array, Category], Explanation]
    """(params, key, features, z [..., B, D], category) to an explanation of x; codes below are
    drawn from their posterior, or are at its mean where the key is None"""
    generate: Callable[[Params, jax.Array | None, jax.Array, Category], jax.Array]
    """(params, key, z [..., D], category) to the output [..., X]; codes below are drawn from
    their prior given z, or are at its mean where the key is None"""
