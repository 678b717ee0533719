"""The posterior "planar": a Gaussian draw e, bent to z = e + u tanh(w·e + b).

Source: Rezende and Mohamed, "Variational Inference with Normalizing Flows", ICML 2015.
"""

import jax
import jax.numpy as jnp

from cpvae_jax import posteriors
from cpvae_jax.posteriors import diagonal


def init(key, config):
    """The flow starts close to the identity."""
    w, u = 0.1 * jax.random.normal(key, (2, config.latent))
    return {"w": w, "u": u, "b": jnp.zeros(())}


def bend(weights, e):
    """z [..., D] for e [..., D], and the logarithm of |dz/de|, [...]."""
    w, u = weights["w"], weights["u"]
    u += (jax.nn.softplus(w @ u) - 1 - w @ u) * w / (w @ w + 1e-6)  # w·u > -1: invertible
    h = jnp.tanh(e @ w + weights["b"])
    return e + h[..., None] * u, jnp.log1p((1 - h**2) * (w @ u))


def sample(weights, key, conditional, num=None):
    """z and log q(z|x, c) there, by the change of variables."""
    e, log_q = diagonal.sample({}, key, conditional, num)
    z, log_det = bend(weights, e)
    return z, log_q - log_det


def mean(weights, conditional):
    return bend(weights, diagonal.mean({}, conditional))[0]


PLANAR = diagonal.POSTERIOR._replace(init=init, sample=sample, mean=mean, kl=None, log_prob=None)
posteriors.register("planar", PLANAR)
