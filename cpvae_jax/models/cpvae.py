"""CP-VAE, the paper's sections 3.1 to 3.3 from top to bottom.

    c ~ uniform, z | c ~ learned Gaussian, x | z, c ~ decoder      (section 3.1)
    q(z, c | x) = q(z | x, c) q(c | x) by the encoder              (section 3.2)
    bound = reconstruction − KL(c) − E KL(z | c)                   (section 3.3)

One category per pass: the heads of z and the decoder always see the same draw of c.
"""

from __future__ import annotations

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import categorical, gaussian, likelihoods, nets
from cpvae_jax.config import Config
from cpvae_jax.models.base import Model
from cpvae_jax.priors import conditional
from cpvae_jax.types import Heads, Params, Terms

CATEGORIES_AT_ONCE = 16
"""Categories decoded side by side in an exact expectation: large products, bounded memory."""


def init(key: jax.Array, config: Config, data: np.ndarray | jax.Array | None = None) -> Params:
    """Fresh parameters; `data` [N, X] is only asked for the scale of real-valued data."""
    key_trunk, key_c, key_mean, key_log_var, key_decoder, key_output = jax.random.split(key, 6)
    K, D, widths = config.K, config.latent, config.hidden
    encoder = {
        "trunk": nets.init_trunk(key_trunk, config.size, widths),
        "logits": nets.init_linear(key_c, widths[-1], K),
        "mean": nets.init_linear(key_mean, widths[-1], D, categories=K),
        "log_var": nets.init_linear(key_log_var, widths[-1], D, categories=K),
    }
    decoder = {
        "trunk": nets.init_trunk(key_decoder, D, widths[::-1], categories=K),
        "output": nets.init_linear(key_output, widths[0], config.size),
    }
    return Params(
        encoder=encoder,
        prior=conditional.init(K, D),
        decoder=decoder,
        likelihood=likelihoods.of(config).init(config, data),
        aggregate=jnp.full(K, 1 / K, jnp.float32),
        config=config,
    )


def decode(params: Params, z: jax.Array, category: jax.Array) -> jax.Array:
    """The decoder of Eq. (3), p(x) = Σ_c ∫ p(x|z, c) p(z|c) p(c) dz: what p(x|z, c) needs of z, c.

    z [..., D] and a category [...] or [..., K] to the likelihood's output [..., X].
    """
    h = nets.trunk(params.decoder["trunk"], z, category)
    return nets.linear(params.decoder["output"], h)


def log_prior(params: Params, z: jax.Array, category: jax.Array) -> jax.Array:
    """Eq. (4): log p(z, c) = log p(z|c) + log p(c) with c uniform; z [..., D], c [...] to [...]."""
    mean, log_var = conditional.components(params.prior)
    log_prob_z = gaussian.log_prob(z, mean[category], log_var[category])
    return log_prob_z - math.log(params.config.K)


def infer(params: Params, x: jax.Array) -> Heads:
    """Eq. (6): q(z, c|x) = q(z|x, c) q(c|x), for all categories at once; x [B, X]."""
    chex.assert_shape(x, (None, params.config.size))
    encoder = params.encoder
    h = nets.trunk(
        encoder["trunk"], likelihoods.of(params.config).standardise(params.likelihood, x)
    )
    return Heads(
        logits=nets.linear(encoder["logits"], h),
        mean_x=nets.linear(encoder["mean"], h),
        mean_c=encoder["mean"]["category"],
        log_var_x=gaussian.soft_limit(nets.linear(encoder["log_var"], h)),
        log_var_c=gaussian.soft_limit(encoder["log_var"]["category"]),
    )


def conditional_posterior(heads: Heads, category: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and log-variance of q(z|x, c) for a category of each example: [B, D] each."""
    mean = heads.mean_x + categorical.rows(heads.mean_c, category)
    log_var = heads.log_var_x + categorical.rows(heads.log_var_c, category)
    return mean, log_var


def divergences(params: Params, heads: Heads) -> tuple[jax.Array, jax.Array]:
    """Eq. (8): KL(q(z, c|x) || p(z, c)) = KL(q(c|x) || p(c)) + E_q(c|x) KL(q(z|x, c) || p(z|c)).

    The two terms, [B] each; the expectation is exact, over all K categories.
    """
    kl_of_each = gaussian.kl_to_each(
        heads.mean_x,
        heads.log_var_x,
        heads.mean_c,
        heads.log_var_c,
        *conditional.components(params.prior),
    )
    kl_z = jnp.sum(jax.nn.softmax(heads.logits) * kl_of_each, axis=-1)
    return categorical.kl_to_uniform(heads.logits), kl_z


def _reconstruction(
    params: Params, key: jax.Array, x: jax.Array, heads: Heads, category: jax.Array
) -> jax.Array:
    """log p(x|z, c) at a reparametrised draw of z for one category of each example, [B]."""
    z = gaussian.sample(key, *conditional_posterior(heads, category))
    likelihood = likelihoods.of(params.config)
    return likelihood.log_prob(params.config, params.likelihood, decode(params, z, category), x)


def _expected_reconstruction(
    params: Params, key: jax.Array, x: jax.Array, heads: Heads
) -> jax.Array:
    """Σ_c q(c|x) log p(x|z, c) with a draw of z for every category, [B]."""
    K = params.config.K

    def of_category(k: jax.Array) -> jax.Array:
        category = jnp.full(x.shape[0], k)
        return _reconstruction(params, jax.random.fold_in(key, k), x, heads, category)

    each = jax.lax.map(of_category, jnp.arange(K), batch_size=min(K, CATEGORIES_AT_ONCE))
    return jnp.sum(jax.nn.softmax(heads.logits).T * each, axis=0)


def terms(
    params: Params,
    key: jax.Array,
    x: jax.Array,
    estimator: str,
    temperature: jax.Array | float = 1.0,
) -> Terms:
    """Eq. (7): bound(x) = E_q(z,c|x) log p(x|z, c) − KL(q(z, c|x) || p(z, c)) ≤ log p(x).

    The divergences are exact. The expectation is estimated, for x [B, X], by one draw of

    - "exact": z for every c, summed with the weights q(c|x); unbiased, K decoder passes.
    - "hard": c, then z given c; unbiased for the bound, but q(c|x) gets no gradient.
    - "relaxed": a Gumbel-Softmax c, then z (the paper's). **No bound**, for a relaxed c
      carries more than a category; it has gradients for all parameters.
    - "straight-through": hard forward, relaxed backward; the value is that of "hard".

    With one category, Eq. (15): log p(x|z) − KL(q(z|x) || p(z)) with a learned p(z), all of
    them are the same but for the draw of z.
    """
    heads = infer(params, x)
    key_c, key_z = jax.random.split(key)
    if estimator == "exact":
        reconstruction = _expected_reconstruction(params, key_z, x, heads)
    else:
        category = categorical.DRAWS[estimator](key_c, heads.logits, temperature)
        reconstruction = _reconstruction(params, key_z, x, heads, category)
    kl_c, kl_z = divergences(params, heads)
    chex.assert_equal_shape([reconstruction, kl_c, kl_z])
    return Terms(reconstruction, kl_c, kl_z)


def log_weights(params: Params, key: jax.Array, x: jax.Array, heads: Heads, num: int) -> jax.Array:
    """log p(x, z, c) − log q(z, c|x) at `num` draws from q(z, c|x) for each example, [num, B]."""
    key_c, key_z = jax.random.split(key)
    category, log_q_c = categorical.sample_many(key_c, heads.logits, num)
    mean, log_var = conditional_posterior(heads, category)
    z = gaussian.sample(key_z, mean, log_var)
    log_likelihood = likelihoods.of(params.config).log_prob(
        params.config, params.likelihood, decode(params, z, category), x
    )
    return (
        log_likelihood
        + log_prior(params, z, category)
        - gaussian.log_prob(z, mean, log_var)
        - log_q_c
    )


def sample_latents(params: Params, key: jax.Array, category: jax.Array) -> jax.Array:
    """z ~ p(z|c) for given categories [B], [B, D]."""
    mean, log_var = conditional.components(params.prior)
    return gaussian.sample(key, mean[category], log_var[category])


MODEL = Model(
    init=init,
    infer=infer,
    conditional_posterior=conditional_posterior,
    log_prior=log_prior,
    decode=decode,
    terms=terms,
    log_weights=log_weights,
    sample_latents=sample_latents,
)
