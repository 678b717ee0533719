"""The records that pass between modules, and the legend of axes.

Legend, used in every shape of this package:

====  =====================================================================
B     examples of a batch
K     categories, the values of c
D     dimensions of the continuous code z
X     numbers in one example, its shape flattened: 784 for 28 x 28 pixels
S     samples drawn for each example
R     seeds trained side by side in one program
====  =====================================================================

Every log-density, divergence and bound is in nats.
"""

from __future__ import annotations

from typing import Any

import jax
from flax import struct

from cpvae_jax.config import Config

Tree = Any
"""Nested dictionaries of arrays."""


@struct.dataclass
class Params:
    """All that a trained model is: arrays, and the configuration that gives them meaning.

    `jax.grad`, optax and Orbax see the arrays; the configuration is static. Nothing
    else is needed to encode, to score or to sample.
    """

    encoder: Tree
    prior: Tree
    decoder: Tree
    likelihood: Tree
    aggregate: jax.Array
    """[K], q(c) over the training data; set by `fit`, uniform before."""
    config: Config = struct.field(pytree_node=False)


@struct.dataclass
class Posterior:
    """q(c|x) = Cat(softmax(logits)) and q(z|x, c) = N(mean, diag exp(log_var))."""

    logits: jax.Array
    """[B, K]"""
    mean: jax.Array
    """[B, K, D]"""
    log_var: jax.Array
    """[B, K, D]"""

    @property
    def probs(self) -> jax.Array:
        """[B, K], q(c|x)."""
        return jax.nn.softmax(self.logits)


@struct.dataclass
class Heads:
    """The posterior before categories are spread out: every category shares two [B, D] arrays.

    The heads of z are linear in [h, c], so the mean of category k is the sum of a part
    of x and a row of a table, and so is the log-variance. Sums over all K categories
    then need no array of shape [B, K, D]. Where c is not inferred there is one category, K = 1,
    whose tables are zero.
    """

    logits: jax.Array
    """[B, K]"""
    mean_x: jax.Array
    """[B, D]"""
    mean_c: jax.Array
    """[K, D]"""
    log_var_x: jax.Array
    """[B, D]"""
    log_var_c: jax.Array
    """[K, D]"""
    below: Any = None
    """What the posterior of a code below z needs of x; None if there is no such code"""


@struct.dataclass
class Terms:
    """The bound of each example, term by term, in nats."""

    reconstruction: jax.Array
    """[B], log p(x|z, c), or its expectation"""
    kl_c: jax.Array
    """[B], KL(q(c|x) || p(c))"""
    kl_z: jax.Array
    """[B], the expectation over q(c|x) of KL(q(z|x, c) || p(z|c)); of two levels, the sum of both"""

    @property
    def bound(self) -> jax.Array:
        """[B], the sum of the terms with their signs; higher is better."""
        return self.reconstruction - self.kl_c - self.kl_z

    def named(self) -> dict[str, jax.Array]:
        """The bound and its terms by name, [B] each."""
        return {
            "bound": self.bound,
            "reconstruction": self.reconstruction,
            "kl_c": self.kl_c,
            "kl_z": self.kl_z,
        }
