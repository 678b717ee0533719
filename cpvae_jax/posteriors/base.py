"""The posterior seam: q(z|x, c) for every category, from heads that are linear in [h, c]."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from cpvae_jax.config import Config
from cpvae_jax.distributions.mixture import Components
from cpvae_jax.types import Tree

Code = Any
"""A family's own record of q(z|x, c) for all x of a batch and all c."""

Conditional = Any
"""A family's own record of q(z|x, c) for one category per example."""


class HeadWidths(Protocol):
    def __call__(self, config: Config) -> dict[str, int]:
        """Names and widths, at least 1, of the heads that the family needs."""


class Init(Protocol):
    def __call__(self, key: jax.Array, config: Config) -> Tree:
        """Fresh weights of the family's own, beside the heads."""


class Spread(Protocol):
    def __call__(
        self, weights: Tree, of_x: Mapping[str, jax.Array], of_c: Mapping[str, jax.Array]
    ) -> Code:
        """The record of all posteriors.

        Args:
          weights: The family's own weights.
          of_x: For each head the part of x, [B, width].
          of_c: For each head the part of c, [K, width]; a head's value is the sum of both.
        """


class At(Protocol):
    def __call__(self, code: Code, category: jax.Array | None) -> Conditional:
        """q(z|x, c) for a category [..., B] (or weights [..., B, K]); None where c is not inferred."""


class Sample(Protocol):
    def __call__(
        self, weights: Tree, key: jax.Array, conditional: Conditional, num: int | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Reparametrised draws z [..., B, D] and log q(z|x, c) there, [..., B].

        With `num`, that many draws for each example lead the axes: z is [num, B, D]. A
        conditional that has an axis of draws already keeps it.
        """


class Mean(Protocol):
    def __call__(self, weights: Tree, conditional: Conditional) -> jax.Array:
        """The point [..., B, D] that stands for the posterior, such as its mean."""


class BaseGaussian(Protocol):
    def __call__(self, conditional: Conditional) -> tuple[jax.Array, jax.Array]:
        """Mean and log-variance of the Gaussian that a draw starts from, [..., B, D] each."""


class LogProb(Protocol):
    def __call__(self, weights: Tree, conditional: Conditional, z: jax.Array) -> jax.Array:
        """log q(z|x, c) of a given z under each of the posteriors, [..., B].

        z is one for all of them, [D], or one for each, [..., B, D], with draws as in `Sample`.
        """


class KLTo(Protocol):
    def __call__(self, conditional: Conditional, mean: jax.Array, log_var: jax.Array) -> jax.Array:
        """KL(q(z|x, c) || N(mean, diag exp(log_var))) in closed form, [..., B]."""


class KL(Protocol):
    def __call__(self, code: Code, components: Components) -> jax.Array:
        """KL(q(z|x, c) || p(z|c)) for all x and all c in closed form, [B, K]."""


class PosteriorFamily(NamedTuple):
    """A family of q(z|x, c); with two levels that of q(z₁|x, z₂, c) too, which has no part of c.

    Without `kl` the bound estimates the divergence of z at its draw, and without `kl` or `kl_to` that
    of z₁. Without `log_prob` there is no decomposition of the divergence
    (`evaluation.decomposition`), and no objective "dreg".
    """

    heads: HeadWidths
    init: Init
    spread: Spread
    at: At
    sample: Sample
    mean: Mean
    gaussian: BaseGaussian
    kl: KL | None = None
    log_prob: LogProb | None = None
    kl_to: KLTo | None = None


def values(heads: Mapping[str, jax.Array], name: str) -> jax.Array:
    """The output of a head, [..., width]; [..., 0] where a family of this size has no such head."""
    if name in heads:
        return heads[name]
    other = next(iter(heads.values()))
    return jnp.zeros((*other.shape[:-1], 0), other.dtype)
