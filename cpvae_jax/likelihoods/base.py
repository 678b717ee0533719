"""What a likelihood has to offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.types import Tree


class Likelihood(NamedTuple):
    """p(x | output of the decoder) as pure functions. `like` are its own arrays."""

    init: Callable[[Config, np.ndarray | jax.Array | None], Tree]
    """(config, data [N, X] or None) to its own arrays"""
    observe: Callable[[Config, jax.Array, jax.Array], jax.Array]
    """(config, key, data [B, X]) to x [B, X]: what the model explains, drawn where it is drawn"""
    expect: Callable[[Config, jax.Array], jax.Array]
    """(config, data [B, X]) to the mean of `observe`: for encoding without a key"""
    standardise: Callable[[Tree, jax.Array], jax.Array]
    """(like, x [B, X]) to the encoder's input [B, X]"""
    to_input: Callable[[jax.Array], jax.Array]
    """numbers without limits to the range of the encoder's input: for inputs that are learned"""
    from_input: Callable[[jax.Array], jax.Array]
    """the inverse of `to_input`, kept finite"""
    log_prob: Callable[[Config, Tree, jax.Array, jax.Array], jax.Array]
    """(config, like, output [..., X], x [..., X]) to [...], in nats"""
    mean: Callable[[Tree, jax.Array], jax.Array]
    """(like, output [..., X]) to the mean of x, [..., X]"""
    sample: Callable[[Config, Tree, jax.Array, jax.Array], jax.Array]
    """(config, like, key, output [..., X]) to a draw of x, [..., X]"""
