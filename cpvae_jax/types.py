"""The records that pass between modules, and the legend of axes.

Legend, used in every shape of this package:

| axis | |
|------|---|
| B | examples of a batch |
| K | categories, the values of c; in a merged model its components |
| G | categories of a merged model, groups of components; K in any other |
| D | dimensions of the continuous code z |
| X | numbers in one example, its shape flattened: 784 for 28 x 28 pixels |
| S | samples drawn per example |
| R | seeds trained in one program |

Every log-density, divergence and bound is in nats.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from cpvae_jax.config import Config

Tree = Any
"""Nested dictionaries and lists of arrays."""


class Own(NamedTuple):
    """The arrays of one part of a model."""

    weights: Tree
    """Arrays that the optimiser trains"""
    stats: Tree
    """Constants of the data, which no optimiser sees"""


@struct.dataclass
class Params:
    """A model: its arrays, and the configuration that gives them meaning.

    Nothing else is needed to encode, to score or to sample.

    Attributes:
      weights: What the optimiser trains, as a dictionary with the keys "encoder", "heads",
        "posterior", "prior", "decoder", "below" and "likelihood"; and "category", the logits of
        p(c) [K], where it is learned.
      stats: Constants of the data, which no optimiser may move: "aggregate", q(c) over the
        training data [K], and "likelihood", such as the scale of real-valued data.
      config: The configuration; static under `jax.jit`.
    """

    weights: Tree
    stats: Tree
    config: Config = struct.field(pytree_node=False)

    @property
    def aggregate(self) -> jax.Array:
        """q(c) over the training data, [K]: set by `fit`, uniform before."""
        return self.stats["aggregate"]

    @property
    def shares(self) -> jax.Array:
        """q(c) over the training data by category, [G]: components that were merged count together."""
        return self.by_category(self.aggregate)

    def by_category(self, values: jax.typing.ArrayLike) -> jax.Array:
        """Sums over the components of each category, [..., K] to [..., G]; G is `config.categories`.

        Nothing changes unless `merge` or `prune` made the model.
        """
        array = jnp.asarray(values)
        if self.config.groups is None:
            return array
        index = jnp.asarray(self.config.groups, jnp.int32)
        G = self.config.categories
        index = jnp.where(index < 0, G, index)  # pruned: summed apart, and dropped
        sums = jax.ops.segment_sum(jnp.moveaxis(array, -1, 0), index, G + 1)
        return jnp.moveaxis(sums[:G], 0, -1)

    @property
    def likelihood(self) -> Own:
        """The arrays of the likelihood."""
        return Own(self.weights["likelihood"], self.stats["likelihood"])

    def with_weights(self, weights: Tree) -> Params:
        """The same model with other weights."""
        return dataclasses.replace(self, weights=weights)

    def with_stats(self, **changed: Tree) -> Params:
        """The same model with some other constants of the data."""
        return dataclasses.replace(self, stats={**self.stats, **changed})

    def __repr__(self) -> str:
        c = self.config
        count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(self.weights))
        seen = "" if c.groups is None else f", {c.categories} categories"
        return f"Params({c.model}, K={c.K}{seen}, shape={c.shape}, {count:,} weights)"


@struct.dataclass
class Posterior:
    """q(c|x) = Cat(softmax(logits)) and, for the diagonal family, q(z|x, c) = N(mean, diag exp(log_var)).

    Attributes:
      logits: [B, K]
      mean: [B, K, D]
      log_var: [B, K, D]
    """

    logits: jax.Array
    mean: jax.Array
    log_var: jax.Array

    @property
    def probs(self) -> jax.Array:
        """q(c|x), [B, K]."""
        return jax.nn.softmax(self.logits)

    def __repr__(self) -> str:
        return f"Posterior({_axes('BKD', self.mean)})"


Offsets = Mapping[str, jax.Array]
"""Numbers to add to the outputs of the encoder's heads, by the head's name: [B, width] each."""


@struct.dataclass
class Encoding:
    """What the encoder says of a batch: q(z, c|x) before it is spread out over categories.

    Attributes:
      logits: Logits of q(c|x), [B, K]; a single zero per example where c is not inferred.
      code: What the posterior family needs to give q(z|x, c) for any category.
      below: What the posterior of a code below z needs of x; None with one level.
    """

    logits: jax.Array
    code: Any
    below: Any = None

    @property
    def probs(self) -> jax.Array:
        """q(c|x), [B, K]."""
        return jax.nn.softmax(self.logits)


@struct.dataclass
class Terms:
    """The bound of each example, term by term, in nats.

    Attributes:
      reconstruction: log p(x|z, c) or its expectation, [B].
      kl_c: KL(q(c|x) || p(c)), [B].
      kl_z: The expectation over q(c|x) of KL(q(z|x, c) || p(z|c)), [B]; with two levels, the
        sum of both.
    """

    reconstruction: jax.Array
    kl_c: jax.Array
    kl_z: jax.Array

    @property
    def bound(self) -> jax.Array:
        """reconstruction − kl_c − kl_z, [B]; higher is better."""
        return self.reconstruction - self.kl_c - self.kl_z

    def named(self) -> dict[str, jax.Array]:
        """The bound and its terms by name, [B] each."""
        return {
            "bound": self.bound,
            "reconstruction": self.reconstruction,
            "kl_c": self.kl_c,
            "kl_z": self.kl_z,
        }

    def __repr__(self) -> str:
        return f"Terms({_axes('B', self.reconstruction)}: bound, reconstruction, kl_c, kl_z)"


def _axes(names: str, array: Any) -> str:
    shape = getattr(array, "shape", None)
    if shape is None or len(shape) != len(names):
        return f"shape={shape}"
    return ", ".join(f"{name}={size}" for name, size in zip(names, shape, strict=True))
