"""What the paper's model and its baselines share: the encoder's heads, the prior, one pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from cpvae_jax import likelihoods, networks, posteriors, priors
from cpvae_jax.config import Config
from cpvae_jax.distributions.mixture import Components
from cpvae_jax.models import hierarchy, one_level
from cpvae_jax.models.base import Category, Explanation, Levels
from cpvae_jax.networks import layers
from cpvae_jax.posteriors import heads
from cpvae_jax.priors.base import Encode
from cpvae_jax.types import Encoding, Offsets, Params


def levels(config: Config) -> Levels:
    """What lies below the top code."""
    return hierarchy.LEVELS if config.levels == 2 else one_level.LEVELS


LOGITS, BELOW = "logits", "features below"
"""The names, among offsets, of the logits of q(c|x) and of the features below the top code."""


def encode(params: Params, x: jax.Array, seen: int, offsets: Offsets | None = None) -> Encoding:
    """The network's features h of x [B, *shape], and the heads on [h, c].

    Where the networks see no category (`seen` is 0) there is a single one: a logit of 0, and a
    part of c that is 0.
    """
    config = params.config
    chex.assert_shape(x, (None, *config.shape))
    inputs = likelihoods.of(config).standardise(params.likelihood, x)
    logits, of_x, of_c = _heads(params, inputs, seen)
    below = levels(config).features(params, inputs)
    if offsets is not None:
        logits = logits + offsets[LOGITS]
        of_x = {name: values + offsets[name] for name, values in of_x.items()}
        below = None if below is None else below + offsets[BELOW]
    code = posteriors.of(config).spread(params.weights["posterior"], of_x, of_c)
    return Encoding(logits, code, below)


def no_offsets(params: Params, encoding: Encoding) -> dict[str, jax.Array]:
    """Zeros for the outputs of all heads of a batch, which leave its posterior as it is."""
    B, widths = len(encoding.logits), posteriors.of(params.config).heads(params.config)
    zeros = {name: jnp.zeros((B, width), jnp.float32) for name, width in widths.items()}
    zeros[LOGITS] = jnp.zeros_like(encoding.logits)
    return zeros if encoding.below is None else {**zeros, BELOW: jnp.zeros_like(encoding.below)}


def _heads(
    params: Params, inputs: jax.Array, seen: int
) -> tuple[jax.Array, dict[str, jax.Array], dict[str, jax.Array]]:
    config, weights = params.config, params.weights["heads"]
    h = networks.of(config).encode(config, params.weights["encoder"], inputs)
    widths: Mapping[str, int] = posteriors.of(config).heads(config)
    of_x = heads.of_features(weights, widths, h)
    if not seen:
        return jnp.zeros((len(h), 1), jnp.float32), of_x, heads.of_no_category(widths)
    of_c = {name: weights[name]["category"] for name in widths}
    return layers.linear(weights["logits"], h), of_x, of_c


def gaussian(params: Params) -> Encode:
    """The encoder as priors may use it: inputs [N, *shape] to the Gaussian of q(z|x) without c."""
    family = posteriors.of(params.config)

    def encode(inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        _, of_x, of_c = _heads(params, inputs, 0)
        code = family.spread(params.weights["posterior"], of_x, of_c)
        return family.gaussian(family.at(code, None))

    return encode


def components(params: Params) -> Components:
    """The prior's K Gaussians over z."""
    config = params.config
    return priors.of(config).components(config, params.weights["prior"], gaussian(params))


class Pass(NamedTuple):
    """One draw of z for one category per example.

    Attributes:
      z: [B, D]
      log_q: log q(z|x, c), [B].
      log_prob: log p(x|z, c), [B].
      kl_below: Divergence of the codes below z, [B].
    """

    z: jax.Array
    log_q: jax.Array
    log_prob: jax.Array
    kl_below: jax.Array


def draw(
    params: Params, key: jax.Array, x: jax.Array, encoding: Encoding, category: Category
) -> Pass:
    """z ~ q(z|x, c) for one category per example, and how well it explains x [B, *shape]."""
    family = posteriors.of(params.config)
    key_z, key_below = jax.random.split(key)
    z, log_q = family.sample(params.weights["posterior"], key_z, family.at(encoding.code, category))
    log_prob, found = explain(params, key_below, x, encoding, category, z)
    return Pass(z, log_q, log_prob, jnp.broadcast_to(found.kl, log_prob.shape))


def explain(
    params: Params,
    key: jax.Array,
    x: jax.Array,
    encoding: Encoding,
    category: Category,
    z: jax.Array,
) -> tuple[jax.Array, Explanation]:
    """How codes z [..., B, D] explain x [B, *shape]: log p(x|z, c), [..., B], and the codes below z."""
    config = params.config
    found = levels(config).explain(params, key, encoding.below, z, category)
    return likelihoods.of(config).log_prob(config, params.likelihood, found.output, x), found


def log_ratio(
    params: Params,
    keys: tuple[jax.Array, jax.Array],
    x: jax.Array,
    encoding: Encoding,
    category: Category,
    num: int,
) -> tuple[jax.Array, jax.Array]:
    """`num` draws z ~ q(z|x, c) per example, [num, B, D], and log p(x|z, c) / q(z|x, c), [num, B].

    The two keys draw z and the codes below it, which join both sides of the ratio.
    """
    family = posteriors.of(params.config)
    key_z, key_below = keys
    conditional = family.at(encoding.code, category)
    z, log_q = family.sample(params.weights["posterior"], key_z, conditional, num)
    log_prob, found = explain(params, key_below, x, encoding, category, z)
    return z, log_prob + found.log_ratio - log_q


def reconstruct(params: Params, encoding: Encoding, category: Category) -> jax.Array:
    """The output [B, *shape, channels] at the means of all posteriors given c."""
    family = posteriors.of(params.config)
    z = family.mean(params.weights["posterior"], family.at(encoding.code, category))
    return levels(params.config).explain(params, None, encoding.below, z, category).output
