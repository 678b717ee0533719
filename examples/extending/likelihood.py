"""The likelihood "negative-binomial": counts, each with a mean m and a dispersion r of its own."""

import jax
import jax.numpy as jnp
from jax.lax import lgamma

from cpvae_jax import UserError, likelihoods
from cpvae_jax.likelihoods.base import flat
from cpvae_jax.types import Own


def check(config, array, name):
    if array.min() < 0 or (array % 1).any():
        raise UserError(f"{name} holds numbers that are not counts; choose another likelihood.")


def logs(output):  # log m and log r, held within ±7; the variance of x is m + m² / r
    return jnp.moveaxis(7 * jnp.tanh(output / 7), -1, 0)


def log_prob(config, own, output, x):
    log_m, log_r = logs(output)
    r, log_sum = jnp.exp(log_r), jnp.logaddexp(log_m, log_r)
    each = lgamma(x + r) - lgamma(r) - lgamma(x + 1)
    return flat(config, each + r * (log_r - log_sum) + x * (log_m - log_sum)).sum(axis=-1)


def mean(config, own, output):
    return jnp.exp(logs(output)[0])


def sample(config, own, key, output):  # Poisson counts, whose rates come from a gamma distribution
    key_rate, key_x = jax.random.split(key)
    m, r = jnp.exp(logs(output))
    return jax.random.poisson(key_x, jax.random.gamma(key_rate, r) * m / r).astype(jnp.float32)


COUNTS = likelihoods.Likelihood(lambda *_: Own({}, {}), log_prob, mean, sample, channels=2)
COUNTS = COUNTS._replace(check=check, standardise=lambda own, x: jnp.log1p(x), limits=(0, jnp.inf))
likelihoods.register("negative-binomial", COUNTS)
