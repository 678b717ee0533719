"""CP-VAE in JAX: a variational autoencoder that samples from any one mode of its data.

    import cpvae_jax, jax
    params = cpvae_jax.load("runs/mnist-K10-seed0")
    images = cpvae_jax.sample(params, jax.random.key(0), category=3, num=64)

To read it beside the paper, begin with `models/cpvae.py`, `train.py` and `interface.py`.
"""

from cpvae_jax.checkpoint import load, save
from cpvae_jax.config import Config
from cpvae_jax.errors import UserError
from cpvae_jax.estimate import aggregated_posterior, bound_terms, decomposition, log_likelihood
from cpvae_jax.interface import bound, decode, encode, initialise, predict, reconstruct, sample
from cpvae_jax.train import Fit, Training, fit
from cpvae_jax.types import Params, Posterior, Terms

__all__ = [
    "Config",
    "Fit",
    "Params",
    "Posterior",
    "Terms",
    "Training",
    "UserError",
    "aggregated_posterior",
    "bound",
    "bound_terms",
    "decode",
    "decomposition",
    "encode",
    "fit",
    "initialise",
    "load",
    "log_likelihood",
    "predict",
    "reconstruct",
    "sample",
    "save",
]
__version__ = "0.1.0"
