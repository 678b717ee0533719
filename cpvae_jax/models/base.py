"""What a model offers to objectives, estimates and the sampler, and what lies between z and x."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import jax

from cpvae_jax.config import Config
from cpvae_jax.networks.base import Category
from cpvae_jax.types import Encoding, Offsets, Params, Terms, Tree


class Explanation(NamedTuple):
    """What p(x|z, c) needs of a code z at the top, with all codes below z drawn.

    Attributes:
      output: The decoder's output, [..., *shape, channels].
      kl: Divergence of the codes below z from their prior given z, [...]; 0 without any, and where
        these codes are not drawn.
      log_ratio: log p(codes below|z) − log q(codes below|x, z) at the draw, [...]; 0 without any.
    """

    output: jax.Array
    kl: jax.Array | float
    log_ratio: jax.Array | float


class InitLevels(Protocol):
    def __call__(
        self, key: jax.Array, config: Config, categories: int, channels: int
    ) -> tuple[Tree, Tree]:
        """Fresh weights of the encoder below the top, and of the decoder.

        `categories` is how many the networks see: K, or 0.
        """


class Features(Protocol):
    def __call__(self, params: Params, x: jax.Array) -> jax.Array | None:
        """What the posteriors below the top need of encoder inputs x [B, *shape]."""


class Explain(Protocol):
    def __call__(
        self,
        params: Params,
        key: jax.Array | None,
        below: jax.Array | None,
        z: jax.Array,
        category: Category,
    ) -> Explanation:
        """Explain x by z [..., B, D]. Codes below come from their posterior given `below`.

        Without a key they are at the posterior's mean.
        """


class Generate(Protocol):
    def __call__(
        self,
        params: Params,
        key: jax.Array | None,
        z: jax.Array,
        category: Category,
        white: jax.Array | None = None,
    ) -> jax.Array:
        """The decoder's output for z [..., D]. Codes below come from their prior given z.

        Without a key they are those that standard normals `white` [..., D] stand for, or the
        prior's mean.
        """


class Levels(NamedTuple):
    """What lies between the top code (z, c) and x."""

    init: InitLevels
    features: Features
    explain: Explain
    generate: Generate


class Infer(Protocol):
    def __call__(self, params: Params, x: jax.Array, offsets: Offsets | None = None) -> Encoding:
        """The posterior of x [B, *shape], with each example's own offsets of the heads if given."""


class GiveTerms(Protocol):
    def __call__(
        self,
        params: Params,
        key: jax.Array,
        x: jax.Array,
        encoding: Encoding,
        estimator: str,
        temperature: jax.Array | float = 1.0,
    ) -> Terms:
        """The terms of the bound for x [B, *shape], estimated with one draw."""


class LogWeights(Protocol):
    def __call__(
        self, params: Params, key: jax.Array, x: jax.Array, encoding: Encoding, num: int
    ) -> jax.Array:
        """Log importance weights of `num` draws from the posterior per example, [num, B]."""


class Logits(Protocol):
    def __call__(self, params: Params, encoding: Encoding) -> jax.Array:
        """Logits of the categories of x, [B, K], without chance: the same in every call."""


class Probs(Protocol):
    def __call__(self, params: Params, key: jax.Array, encoding: Encoding, draws: int) -> jax.Array:
        """q(c|x) without bias, [B, K]: exact where c is inferred, else from draws of z per example."""


class LogPrior(Protocol):
    def __call__(self, params: Params, z: jax.Array, category: Category) -> jax.Array:
        """Log-density of the prior at z [..., D] and, where it is inferred, c; [...]."""


class Decode(Protocol):
    def __call__(
        self, params: Params, key: jax.Array | None, z: jax.Array, category: jax.Array
    ) -> jax.Array:
        """z [B, D] and c [B] to the decoder's output [B, *shape, channels].

        With two levels, the lower code is drawn from its prior, or at its mean without a key.
        """


class Draw(Protocol):
    def __call__(self, params: Params, key: jax.Array, category: jax.Array) -> jax.Array:
        """z from the prior of given categories [B], to the output [B, *shape, channels]."""


class Reconstruct(Protocol):
    def __call__(self, params: Params, encoding: Encoding) -> jax.Array:
        """The output at the most probable c and the means of all posteriors."""


class Seen(Protocol):
    def __call__(self, category: jax.Array) -> Category:
        """A category as the networks take it: None if they do not see c."""


class Model(NamedTuple):
    """A generative model with its inference model."""

    infer: Infer
    terms: GiveTerms
    log_weights: LogWeights
    logits: Logits
    probs: Probs
    log_prior: LogPrior
    decode: Decode
    generate: Draw
    reconstruct: Reconstruct
    seen: Seen
