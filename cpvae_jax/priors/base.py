"""What a prior has to offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax

from cpvae_jax.config import Config
from cpvae_jax.mixture import Components
from cpvae_jax.types import Tree

Examples = Callable[[jax.Array, int], jax.Array]
"""(key, num) to random training examples as the encoder sees them, [num, X]"""

Encode = Callable[[jax.Array], tuple[jax.Array, jax.Array]]
"""Encoder inputs [N, X] to the mean and the log-variance of q(z|x), [N, D] each"""


class Prior(NamedTuple):
    """A prior of the code z: K Gaussians, and what the category c is to the model."""

    init: Callable[[jax.Array, Config, Examples | None], Tree]
    """(key, config, examples if there are data) to its own arrays"""
    components: Callable[[Tree, Config, Encode], Components]
    """(its arrays, config, the model's encoder) to the components: the bound, the likelihood
    and the sampler all read this, so that the arrays have one meaning"""
    inferred: bool
    """True: the encoder infers c and the networks see it, as in CP-VAE. False: the networks
    know nothing of c, and the prior is the equally weighted mixture, c summed out exactly."""
    single: bool = False
    """True: there is one component, and no category to ask for."""
