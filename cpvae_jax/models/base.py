"""What a model has to offer to training, evaluation and sampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.types import Params, Terms


class Model(NamedTuple):
    """A latent-variable model as pure functions. x is [B, X], as `Likelihood.observe` gives it.

    `heads` is what the encoder found out about x in the model's own compact form; its
    `logits` [B, K] are those of q(c|x).
    """

    init: Callable[[jax.Array, Config, np.ndarray | jax.Array | None], Params]
    """(key, config, data [N, X] or None) to parameters"""
    infer: Callable[[Params, jax.Array], Any]
    """(params, x) to heads"""
    conditional_posterior: Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]
    """(heads, category [B]) to mean and log-variance of q(z|x, c), [B, D] each"""
    log_prior: Callable[[Params, jax.Array, jax.Array], jax.Array]
    """(params, z [..., D], category [...]) to log p(z, c), [...]"""
    decode: Callable[[Params, jax.Array, jax.Array], jax.Array]
    """(params, z [..., D], category) to the likelihood's output [..., X]"""
    terms: Callable[[Params, jax.Array, jax.Array, str, jax.Array | float], Terms]
    """(params, key, x, estimator, temperature) to the bound's terms"""
    log_weights: Callable[[Params, jax.Array, jax.Array, Any, int], jax.Array]
    """(params, key, x, heads, num) to log p(x, latents) − log q(latents|x), [num, B]"""
    sample_latents: Callable[[Params, jax.Array, jax.Array], jax.Array]
    """(params, key, category [B]) to z from the prior, [B, D]"""
