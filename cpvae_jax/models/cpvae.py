"""CP-VAE, the paper's sections 3.1 to 3.3 from top to bottom, and its baselines with it.

    c ~ uniform, z | c ~ learned Gaussian, x | z, c ~ decoder      (section 3.1)
    q(z, c | x) = q(z | x, c) q(c | x) by the encoder              (section 3.2)
    bound = reconstruction − KL(c) − E KL(z | c)                   (section 3.3)

One category per pass: the heads of z and the decoder always see the same draw of c.

The models that the paper compares are this program with another prior (`priors`) and one or
two levels (`one_level`, `two_level`). Where the prior's category is not inferred, it is summed
out: the networks see none, KL(c) is 0, and KL(z) is that to the mixture, estimated at the draw
of z. z is the code at the top; of two levels, the lower one lies within the reconstruction's
side of every formula below, its divergence counted in KL(z).
"""

from __future__ import annotations

import math
from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import categorical, gaussian, likelihoods, mixture, nets, priors
from cpvae_jax.config import Config
from cpvae_jax.models import one_level, two_level
from cpvae_jax.models.base import Category, Levels
from cpvae_jax.types import Heads, Params, Terms

CATEGORIES_AT_ONCE = 16
"""Categories decoded side by side in an exact expectation: large products, bounded memory."""


def levels(config: Config) -> Levels:
    """What lies below the top code."""
    return two_level.LEVELS if priors.levels(config) == 2 else one_level.LEVELS


def init(key: jax.Array, config: Config, data: np.ndarray | jax.Array | None = None) -> Params:
    """Fresh parameters; `data` [N, X] set the scale of real-valued data, and pseudo-inputs."""
    prior, likelihood = priors.of(config), likelihoods.of(config)
    key_trunk, key_c, key_mean, key_log_var, key_below, key_prior = jax.random.split(key, 6)
    D, widths = config.latent, config.hidden
    seen = config.K if prior.inferred else 0
    below, decoder = levels(config).init(key_below, config, seen)
    encoder = {
        "trunk": nets.init_trunk(key_trunk, config.size, widths),
        "mean": nets.init_linear(key_mean, widths[-1], D, categories=seen),
        "log_var": nets.init_linear(key_log_var, widths[-1], D, categories=seen),
        **below,
    }
    if prior.inferred:
        encoder["logits"] = nets.init_linear(key_c, widths[-1], config.K)
    like = likelihood.init(config, data)

    def examples(key: jax.Array, num: int) -> jax.Array:
        flat = jnp.asarray(data).reshape(-1, config.size)
        chosen = flat[jax.random.randint(key, (num,), 0, len(flat))]
        return likelihood.standardise(like, likelihood.expect(config, chosen))

    return Params(
        encoder=encoder,
        prior=prior.init(key_prior, config, None if data is None else examples),
        decoder=decoder,
        likelihood=like,
        aggregate=jnp.full(config.K, 1 / config.K, jnp.float32),
        config=config,
    )


def components(params: Params) -> mixture.Components:
    """The prior's K Gaussians over z."""

    def encode(inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        h = nets.trunk(params.encoder["trunk"], inputs)
        heads = _heads(params, h)
        return heads.mean_x, heads.log_var_x

    return priors.of(params.config).components(params.prior, params.config, encode)


def log_prior(params: Params, z: jax.Array, category: Category) -> jax.Array:
    """Eq. (4): log p(z, c) = log p(z|c) + log p(c) with c uniform; z [..., D], c [...] to [...].

    Without a category, log p(z) = log Σ_c p(z, c).
    """
    if category is None:
        return mixture.log_prob(components(params), z)
    return components(params).log_prob(z, category) - math.log(params.config.K)


def infer(params: Params, x: jax.Array) -> Heads:
    """Eq. (6): q(z, c|x) = q(z|x, c) q(c|x), for all categories at once; x [B, X]."""
    chex.assert_shape(x, (None, params.config.size))
    inputs = likelihoods.of(params.config).standardise(params.likelihood, x)
    heads = _heads(params, nets.trunk(params.encoder["trunk"], inputs))
    return replace(heads, below=levels(params.config).features(params, inputs))


def _heads(params: Params, h: jax.Array) -> Heads:
    """The heads of q(c|x) and q(z|x, c) on the trunk's output; one empty category if none."""
    encoder = params.encoder
    mean_x = nets.linear(encoder["mean"], h)
    log_var_x = gaussian.soft_limit(nets.linear(encoder["log_var"], h))
    if not priors.of(params.config).inferred:
        zero = jnp.zeros((1, params.config.latent))
        return Heads(jnp.zeros((len(h), 1)), mean_x, zero, log_var_x, zero)
    return Heads(
        logits=nets.linear(encoder["logits"], h),
        mean_x=mean_x,
        mean_c=encoder["mean"]["category"],
        log_var_x=log_var_x,
        log_var_c=gaussian.soft_limit(encoder["log_var"]["category"]),
    )


def conditional_posterior(heads: Heads, category: Category) -> tuple[jax.Array, jax.Array]:
    """Mean and log-variance of q(z|x, c) for a category of each example: [B, D] each."""
    if category is None:
        return heads.mean_x, heads.log_var_x
    mean = heads.mean_x + categorical.rows(heads.mean_c, category)
    log_var = heads.log_var_x + categorical.rows(heads.log_var_c, category)
    return mean, log_var


def category_logits(params: Params, heads: Heads) -> jax.Array:
    """Logits of the categories of x, [B, K]: q(c|x) where it is inferred.

    Where c is summed out, the responsibilities p(c|z) at the mean of q(z|x).
    """
    if priors.of(params.config).inferred:
        return heads.logits
    return mixture.log_responsibilities(components(params), heads.mean_x)


def divergences(params: Params, heads: Heads, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Eq. (8): KL(q(z, c|x) || p(z, c)) = KL(q(c|x) || p(c)) + E_q(c|x) KL(q(z|x, c) || p(z|c)).

    The two terms, [B] each; the expectation is exact, over all K categories. To a mixture
    whose category is summed out there is no closed form: log q(z|x) − log p(z) at z [B, D].
    """
    prior = components(params)
    if priors.of(params.config).inferred or mixture.size(prior) == 1:
        kl_z = jnp.sum(jax.nn.softmax(heads.logits) * prior.kl_from(heads), axis=-1)
    else:
        kl_z = gaussian.log_prob(z, heads.mean_x, heads.log_var_x) - mixture.log_prob(prior, z)
    return categorical.kl_to_uniform(heads.logits), kl_z


def _explained(
    params: Params, key: jax.Array, x: jax.Array, heads: Heads, category: Category
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """z for one category of each example; log p(x|z, c) and the divergence below z, [B]."""
    key_z, key_below = jax.random.split(key)
    z = gaussian.sample(key_z, *conditional_posterior(heads, category))
    found = levels(params.config).explain(params, key_below, heads.below, z, category)
    likelihood = likelihoods.of(params.config)
    log_prob = likelihood.log_prob(params.config, params.likelihood, found.output, x)
    return z, log_prob, jnp.broadcast_to(found.kl, log_prob.shape)


def _explained_by_each(
    params: Params, key: jax.Array, x: jax.Array, heads: Heads
) -> tuple[jax.Array, jax.Array]:
    """Σ_c q(c|x) of both figures of `_explained`, with a draw of z for every category, [B]."""
    K = params.config.K

    def of_category(k: jax.Array) -> tuple[jax.Array, jax.Array]:
        category = jnp.full(x.shape[0], k)
        return _explained(params, jax.random.fold_in(key, k), x, heads, category)[1:]

    each = jax.lax.map(of_category, jnp.arange(K), batch_size=min(K, CATEGORIES_AT_ONCE))
    weights = jax.nn.softmax(heads.logits).T
    log_prob, kl_below = (jnp.sum(weights * values, axis=0) for values in each)
    return log_prob, kl_below


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
    them are the same but for the draw of z; and so they are where c is summed out.
    """
    heads = infer(params, x)
    key_c, key_z = jax.random.split(key)
    z = heads.mean_x  # read only where c is summed out, and drawn there
    if not priors.of(params.config).inferred:
        z, log_prob, kl_below = _explained(params, key_z, x, heads, None)
    elif estimator == "exact":
        log_prob, kl_below = _explained_by_each(params, key_z, x, heads)
    else:
        category = categorical.DRAWS[estimator](key_c, heads.logits, temperature)
        z, log_prob, kl_below = _explained(params, key_z, x, heads, category)
    kl_c, kl_z = divergences(params, heads, z)
    chex.assert_equal_shape([log_prob, kl_c, kl_z, kl_below])
    return Terms(log_prob, kl_c, kl_z + kl_below)


def log_weights(params: Params, key: jax.Array, x: jax.Array, heads: Heads, num: int) -> jax.Array:
    """log p(x, z, c) − log q(z, c|x) at `num` draws from q(z, c|x) for each example, [num, B].

    Where c is summed out, log p(x, z) − log q(z|x); codes below z join both sides.
    """
    key_c, key_z, key_below = jax.random.split(key, 3)
    if priors.of(params.config).inferred:
        category, log_q_c = categorical.sample_many(key_c, heads.logits, num)
    else:
        category, log_q_c = None, jnp.zeros(())
    mean, log_var = conditional_posterior(heads, category)
    mean, log_var = (jnp.broadcast_to(a, (num, *a.shape[-2:])) for a in (mean, log_var))
    z = gaussian.sample(key_z, mean, log_var)
    found = levels(params.config).explain(params, key_below, heads.below, z, category)
    likelihood = likelihoods.of(params.config)
    return (
        likelihood.log_prob(params.config, params.likelihood, found.output, x)
        + found.log_ratio
        + log_prior(params, z, category)
        - gaussian.log_prob(z, mean, log_var)
        - log_q_c
    )


def networks_see(params: Params, category: jax.Array) -> Category:
    """A category as the networks take it: None where they know nothing of c."""
    return category if priors.of(params.config).inferred else None


def decode(params: Params, key: jax.Array | None, z: jax.Array, category: jax.Array) -> jax.Array:
    """z [B, D] and c [B] to the likelihood's output [B, X]; of two levels, the lower one is drawn
    from its prior, or at its mean where the key is None."""
    return levels(params.config).generate(params, key, z, networks_see(params, category))


def generate(params: Params, key: jax.Array, category: jax.Array) -> jax.Array:
    """z ~ p(z|c) for given categories [B], and what lies below, to the output [B, X]."""
    key_z, key_below = jax.random.split(key)
    return decode(params, key_below, components(params).sample(key_z, category), category)


def reconstruct(params: Params, x: jax.Array) -> jax.Array:
    """The output [B, X] at the most probable c and at the means of all posteriors."""
    heads = infer(params, x)
    category = networks_see(params, jnp.argmax(heads.logits, axis=-1))
    z, _ = conditional_posterior(heads, category)
    return levels(params.config).explain(params, None, heads.below, z, category).output
