"""CP-VAE, the paper's sections 3.1 to 3.3 from top to bottom.

    c ~ p(c), z | c ~ learned Gaussian, x | z, c ~ decoder         (section 3.1)
    q(z, c | x) = q(z | x, c) q(c | x) by the encoder              (section 3.2)
    bound = reconstruction − KL(c) − E KL(z | c)                   (section 3.3)

One category per pass: the heads of z and the decoder always see the same draw of c. With two
levels z is the top code, and the divergence of the lower one is counted in KL(z).
"""

from __future__ import annotations

import dataclasses

import chex
import jax
import jax.numpy as jnp

from cpvae_jax import posteriors
from cpvae_jax.distributions import categorical
from cpvae_jax.models import category as prior_of_c
from cpvae_jax.models import parts
from cpvae_jax.models.base import Category, Model
from cpvae_jax.types import Encoding, Offsets, Params, Terms

CATEGORIES_AT_ONCE = 16
"""Categories decoded side by side in an exact expectation: large products, bounded memory."""

# 3.1 Two-level generative process


def log_prior(params: Params, z: jax.Array, category: Category) -> jax.Array:
    """Eq. (4): log p(z, c) = log p(z|c) + log p(c); z [..., D], c [...] to [...].

    c is uniform in the paper; `models.category` has a learned p(c) too.
    """
    return _log_prior_of_z(params, z, category) + prior_of_c.log_prob(params, category)


def _log_prior_of_z(params: Params, z: jax.Array, category: Category) -> jax.Array:
    """log p(z|c); for weights [..., K] in place of a category, their average of log p(z|c)."""
    assert category is not None, "the networks of this model see the category"
    gaussians = parts.components(params)
    if jnp.issubdtype(category.dtype, jnp.integer):
        return gaussians.log_prob(z, category)
    return jnp.sum(category * gaussians.log_prob_of_each(z), axis=-1)


def generate(params: Params, key: jax.Array, category: jax.Array) -> jax.Array:
    """Eq. (3): p(x) = Σ_c ∫ p(x|z, c) p(z|c) p(c) dz, by ancestral sampling for given c [B].

    z ~ p(z|c), and what p(x|z, c) needs of it: the decoder's output [B, *shape, channels].
    """
    key_z, key_below = jax.random.split(key)
    return decode(params, key_below, parts.components(params).sample(key_z, category), category)


def decode(params: Params, key: jax.Array | None, z: jax.Array, category: jax.Array) -> jax.Array:
    """z [B, D] and c [B] to the decoder's output [B, *shape, channels]."""
    return parts.levels(params.config).generate(params, key, z, category)


# 3.2 Inference model


def infer(params: Params, x: jax.Array, offsets: Offsets | None = None) -> Encoding:
    """Eq. (6): q(z, c|x) = q(z|x, c) q(c|x), for all categories at once; x [B, *shape]."""
    encoding = parts.encode(params, x, params.config.K, offsets)
    logits = prior_of_c.masked(params.config, encoding.logits)
    return dataclasses.replace(encoding, logits=logits)


# 3.3 Optimisation objective


def terms(
    params: Params,
    key: jax.Array,
    x: jax.Array,
    encoding: Encoding,
    estimator: str,
    temperature: jax.Array | float = 1.0,
) -> Terms:
    """Eq. (7): bound(x) = E_q(z,c|x) log p(x|z, c) − KL(q(z, c|x) || p(z, c)) ≤ log p(x).

    The divergences are exact. The expectation is estimated for x [B, *shape] with one draw by

    - "exact": z for every c, weighted by q(c|x). Unbiased, with K decoder passes.
    - "hard": c, then z given c. Unbiased, but q(c|x) gets no gradient.
    - "relaxed": a Gumbel-Softmax c, then z; the paper's. The resulting value is **not a lower
      bound**, because a relaxed c carries more than a category. All parameters get gradients.
    - "straight-through": hard in the forward pass, relaxed in the backward pass; the value is
      that of "hard".

    With one category this is Eq. (15): log p(x|z) − KL(q(z|x) || p(z)) with a learned p(z).
    """
    key_c, key_z = jax.random.split(key)
    if estimator == "exact":
        log_prob, kl_below, at_draw = _expected_over_categories(params, key_z, x, encoding)
    else:
        category = categorical.DRAWS[estimator](key_c, encoding.logits, temperature)
        found = parts.draw(params, key_z, x, encoding, category)
        log_prob, kl_below = found.log_prob, found.kl_below
        at_draw = _kl_z_at_draw(params, found, category)
    kl_c, kl_z = divergences(params, encoding, at_draw)
    chex.assert_equal_shape([log_prob, kl_c, kl_z, kl_below])
    return Terms(log_prob, kl_c, kl_z + kl_below)


def divergences(
    params: Params, encoding: Encoding, kl_z_at_draw: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Eq. (8): KL(q(z, c|x) || p(z, c)) = KL(q(c|x) || p(c)) + E_q(c|x) KL(q(z|x, c) || p(z|c)).

    The two terms, [B] each. The expectation over all K categories is exact where the posterior
    family has a closed form, and otherwise the estimate at the draw of z.
    """
    kl = posteriors.of(params.config).kl
    kl_c = prior_of_c.kl(params, encoding.logits)
    if kl is None:
        return kl_c, kl_z_at_draw
    kl_z = kl(encoding.code, parts.components(params))
    return kl_c, jnp.sum(encoding.probs * kl_z, axis=-1)


def _kl_z_at_draw(params: Params, found: parts.Pass, category: Category) -> jax.Array:
    """log q(z|x, c) − log p(z|c) at a draw of z; computed only where there is no closed form."""
    if posteriors.of(params.config).kl is not None:
        return jnp.zeros_like(found.log_prob)
    return found.log_q - _log_prior_of_z(params, found.z, category)


def _expected_over_categories(
    params: Params, key: jax.Array, x: jax.Array, encoding: Encoding
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Σ_c q(c|x) of log p(x|z, c), the divergence below z and KL(z) at the draw, [B] each."""
    K = params.config.K

    def of_category(k: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        category = jnp.full(len(x), k, jnp.int32)
        found = parts.draw(params, jax.random.fold_in(key, k), x, encoding, category)
        return found.log_prob, found.kl_below, _kl_z_at_draw(params, found, category)

    each = jax.lax.map(
        of_category, jnp.arange(K, dtype=jnp.int32), batch_size=min(K, CATEGORIES_AT_ONCE)
    )
    weights = encoding.probs.T
    log_prob, kl_below, at_draw = (jnp.sum(weights * values, axis=0) for values in each)
    return log_prob, kl_below, at_draw


# Evaluation


def log_weights(
    params: Params, key: jax.Array, x: jax.Array, encoding: Encoding, num: int
) -> jax.Array:
    """log p(x, z, c) − log q(z, c|x) at `num` draws from q(z, c|x) per example, [num, B]."""
    key_c, key_z, key_below = jax.random.split(key, 3)
    category, log_q_c = categorical.sample_many(key_c, encoding.logits, num)
    z, log_ratio = parts.log_ratio(params, (key_z, key_below), x, encoding, category, num)
    return log_ratio + log_prior(params, z, category) - log_q_c


def logits(params: Params, encoding: Encoding) -> jax.Array:
    """Logits of q(c|x), [B, K]."""
    del params
    return encoding.logits


def probs(params: Params, key: jax.Array, encoding: Encoding, draws: int) -> jax.Array:
    """q(c|x), [B, K]: the encoder gives it, so nothing is drawn."""
    del params, key, draws
    return encoding.probs


def reconstruct(params: Params, encoding: Encoding) -> jax.Array:
    """The output at the most probable c and the means of all posteriors."""
    category = jnp.argmax(encoding.logits, axis=-1).astype(jnp.int32)
    return parts.reconstruct(params, encoding, category)


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
    seen=lambda category: category,
)
