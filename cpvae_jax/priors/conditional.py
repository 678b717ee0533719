"""The prior that the paper is about: a learned Gaussian for each category."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from cpvae_jax import gaussian
from cpvae_jax.types import Tree


def init(K: int, D: int) -> Tree:
    """Every category starts at N(0, I); training moves them apart.

    The categories already differ in their rows of the encoder's and the decoder's tables,
    so equal priors are no point of symmetry.
    """
    return {"mean": jnp.zeros((K, D)), "log_var": jnp.zeros((K, D))}


def components(prior: Tree) -> tuple[jax.Array, jax.Array]:
    """Eq. (5): p(z|c_k) = Π_i N(z_i | μ_ik, σ²_ik), as the table of μ and of log σ², both [K, D].

    The one place where the arrays get their meaning: the bound, the likelihood and the
    sampler all read this.
    """
    return prior["mean"], gaussian.soft_limit(prior["log_var"])
