"""The paper's baselines: z has a mixture prior whose category is summed out, or a single Gaussian.

    p(x) = ∫ p(x|z) p(z) dz with p(z) = Σ_k p(c=k) N(z | component k)

The networks do not see c, and p(c) is uniform in the paper. This is the VAE (one fixed component), MG (K learned components) and
VampPrior (K encoded pseudo-inputs).
"""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp

from cpvae_jax import posteriors
from cpvae_jax.distributions import mixture
from cpvae_jax.models import category as prior_of_c
from cpvae_jax.models import parts
from cpvae_jax.models.base import Category, Model
from cpvae_jax.types import Encoding, Offsets, Params, Terms

CODES_AT_ONCE = 500
"""Draws of z over a batch whose responsibilities are computed side by side: bounded memory."""


def log_prior(params: Params, z: jax.Array, category: Category = None) -> jax.Array:
    """log p(z) = log Σ_k p(c=k) N(z | component k); z [..., D] to [...]."""
    del category
    return mixture.log_prob(parts.components(params), z, _log_weights(params))


def _log_weights(params: Params) -> jax.Array | None:
    """log p(c), [K]; None where the weights of the mixture are equal."""
    return None if prior_of_c.is_uniform(params.config) else prior_of_c.log_probs(params)


def generate(params: Params, key: jax.Array, category: jax.Array) -> jax.Array:
    """Eq. (1): p(x) = ∫ p(x|z) p(z) dz, by ancestral sampling from given components [B] of p(z)."""
    key_z, key_below = jax.random.split(key)
    return decode(params, key_below, parts.components(params).sample(key_z, category), category)


def decode(params: Params, key: jax.Array | None, z: jax.Array, category: jax.Array) -> jax.Array:
    """z [B, D] to the decoder's output [B, *shape, channels]; the category has no effect."""
    del category
    return parts.levels(params.config).generate(params, key, z, None)


def infer(params: Params, x: jax.Array, offsets: Offsets | None = None) -> Encoding:
    """q(z|x) of x [B, *shape], with a single category."""
    return parts.encode(params, x, 0, offsets)


def terms(
    params: Params,
    key: jax.Array,
    x: jax.Array,
    encoding: Encoding,
    estimator: str,
    temperature: jax.Array | float = 1.0,
) -> Terms:
    """Eq. (2): bound(x) = E_q(z|x) log p(x|z) − KL(q(z|x) || p(z)) ≤ log p(x), with one draw of z.

    The divergence from a single component is exact. A mixture has no closed form, so it is
    log q(z|x) − log p(z) at the draw. All estimators are the same here, and KL(c) is 0.
    """
    del estimator, temperature
    _, key_z = jax.random.split(key)
    found = parts.draw(params, key_z, x, encoding, None)
    prior = parts.components(params)
    kl = posteriors.of(params.config).kl
    if kl is not None and mixture.size(prior) == 1:
        kl_z = kl(encoding.code, prior)[:, 0]
    else:
        kl_z = found.log_q - log_prior(params, found.z)
    chex.assert_equal_shape([found.log_prob, kl_z, found.kl_below])
    return Terms(found.log_prob, jnp.zeros_like(kl_z), kl_z + found.kl_below)


def log_weights(
    params: Params, key: jax.Array, x: jax.Array, encoding: Encoding, num: int
) -> jax.Array:
    """log p(x, z) − log q(z|x) at `num` draws from q(z|x) per example, [num, B]."""
    _, key_z, key_below = jax.random.split(key, 3)
    z, log_ratio = parts.log_ratio(params, (key_z, key_below), x, encoding, None, num)
    return log_ratio + log_prior(params, z)


def logits(params: Params, encoding: Encoding) -> jax.Array:
    """log p(c|z) at the mean of q(z|x), [B, K].

    It stands for log q(c|x) where the answer must not depend on chance. `probs` averages over z.
    """
    family = posteriors.of(params.config)
    z = family.mean(params.weights["posterior"], family.at(encoding.code, None))
    return mixture.log_responsibilities(parts.components(params), z, _log_weights(params))


def probs(params: Params, key: jax.Array, encoding: Encoding, draws: int) -> jax.Array:
    """q(c|x) = E_q(z|x) p(c|z), [B, K], averaged over at least `draws` of z per example."""
    family, prior = posteriors.of(params.config), parts.components(params)
    conditional = family.at(encoding.code, None)
    B, K = len(encoding.logits), mixture.size(prior)
    if K == 1:
        return jnp.ones((B, 1), jnp.float32)
    weights, chunk = _log_weights(params), min(draws, max(1, CODES_AT_ONCE // B))

    def more(total: jax.Array, number: jax.Array) -> tuple[jax.Array, None]:
        key_z = jax.random.fold_in(key, number)
        z, _ = family.sample(params.weights["posterior"], key_z, conditional, chunk)
        found = jnp.exp(mixture.log_responsibilities(prior, z, weights))
        return total + jnp.sum(found, axis=0), None

    none = jnp.zeros((B, K), jnp.float32)
    total, _ = jax.lax.scan(more, none, jnp.arange(-(-draws // chunk), dtype=jnp.int32))
    return total / jnp.sum(total, axis=-1, keepdims=True)


def reconstruct(params: Params, encoding: Encoding) -> jax.Array:
    """The output at the means of all posteriors."""
    return parts.reconstruct(params, encoding, None)


MODEL = Model(
    infer,
    terms,
    log_weights,
    logits,
    probs,
    log_prior,
    decode,
    generate,
    reconstruct,
    seen=lambda category: None,
)
