"""K Gaussian components over the code z, which every prior consists of.

`Diagonal` and `Cholesky` hold the components and have the same methods. The functions below turn
either into a mixture, of equal weights unless others are given. Where the components come from (fixed, free, encoded
pseudo-inputs, one per category) is up to `cpvae_jax.priors`.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from flax import struct

from cpvae_jax.distributions import gaussian, noise
from cpvae_jax.distributions.gaussian import Spread
from cpvae_jax.distributions.precision import exact


@struct.dataclass
class Diagonal:
    """N(mean_k, diag exp(log_var_k)) for k in 0..K-1."""

    mean: jax.Array
    """[K, D]"""
    log_var: jax.Array
    """[K, D]"""

    def log_prob(self, z: jax.Array, category: jax.Array) -> jax.Array:
        """Log-density of z [..., D] under the component category [...], to [...]."""
        return gaussian.log_prob(z, self.mean[category], self.log_var[category])

    def log_prob_of_each(self, z: jax.Array) -> jax.Array:
        """Log-density of z [..., D] under every component, [..., K]."""
        return gaussian.log_prob_of_each(z, self.mean, self.log_var)

    def kl_from(self, q: Spread) -> jax.Array:
        """KL(q(z|x, c=k) || component k) for every k, [B, K]."""
        return gaussian.kl_to_each(q, self.mean, self.log_var)

    def sample(self, key: jax.Array, category: jax.Array) -> jax.Array:
        """A draw of z from the component category [...], to [..., D]."""
        return self.place(noise.normal(key, self.mean[category].shape), category)

    def place(self, white: jax.Array, category: jax.Array) -> jax.Array:
        """The draw that standard normals [..., D] stand for."""
        return gaussian.place(self.mean[category], self.log_var[category], white)


@struct.dataclass
class Cholesky:
    """N(mean_k, L_k L_kᵀ) for k in 0..K-1: full covariances by their Cholesky factors."""

    mean: jax.Array
    """[K, D]"""
    factor: jax.Array
    """[K, D, D], L: lower triangles with a positive diagonal"""

    @property
    def _inverse(self) -> jax.Array:
        """L⁻¹, [K, D, D]: K solves, whatever the number of codes."""
        eye = jnp.broadcast_to(jnp.eye(self.mean.shape[-1], dtype=jnp.float32), self.factor.shape)
        return jax.scipy.linalg.solve_triangular(self.factor, eye, lower=True)

    @property
    def _log_det(self) -> jax.Array:
        """log |L_k L_kᵀ|, [K]."""
        return 2 * jnp.sum(jnp.log(jnp.diagonal(self.factor, axis1=-2, axis2=-1)), axis=-1)

    def log_prob(self, z: jax.Array, category: jax.Array) -> jax.Array:
        """As `Diagonal.log_prob`, computed for every component: K is small where this is used."""
        each = self.log_prob_of_each(z)
        return jnp.take_along_axis(each, category[..., None], axis=-1)[..., 0]

    @exact
    def log_prob_of_each(self, z: jax.Array) -> jax.Array:
        """As `Diagonal.log_prob_of_each`: −½ (‖L⁻¹ (z − μ)‖² + log |L Lᵀ| + D log 2π)."""
        white = jnp.einsum("kij,...kj->...ki", self._inverse, z[..., None, :] - self.mean)
        constant = self._log_det + z.shape[-1] * math.log(2 * math.pi)
        return -0.5 * (jnp.sum(jnp.square(white), axis=-1) + constant)

    @exact
    def kl_from(self, q: Spread) -> jax.Array:
        """As `Diagonal.kl_from`: ½ (tr(Σ⁻¹ S) + ‖L⁻¹ (m − μ)‖² − D + log |Σ| − log |S|)."""
        inverse = self._inverse
        precision = jnp.sum(jnp.square(inverse), axis=-2)  # diagonal of Σ⁻¹, [K, D]
        trace = jnp.exp(q.log_var_x) @ (jnp.exp(q.log_var_c) * precision).T
        offset = jnp.einsum("kij,kj->ki", inverse, q.mean_c - self.mean)
        white = jnp.einsum("kij,bj->bki", inverse, q.mean_x) + offset
        of_category = self._log_det - jnp.sum(q.log_var_c + 1.0, axis=-1)
        of_x = jnp.sum(q.log_var_x, axis=-1)
        quadratic = jnp.sum(jnp.square(white), axis=-1)
        return 0.5 * (trace + quadratic + of_category[None, :] - of_x[:, None])

    def sample(self, key: jax.Array, category: jax.Array) -> jax.Array:
        """As `Diagonal.sample`."""
        return self.place(noise.normal(key, self.mean[category].shape), category)

    @exact
    def place(self, white: jax.Array, category: jax.Array) -> jax.Array:
        """As `Diagonal.place`: μ + L · white."""
        spread = jnp.einsum("...ij,...j->...i", self.factor[category], white)
        return self.mean[category] + spread


Components = Diagonal | Cholesky


def size(components: Components) -> int:
    """K, the number of components."""
    return components.mean.shape[0]


def log_prob(
    components: Components, z: jax.Array, log_weights: jax.Array | None = None
) -> jax.Array:
    """log Σ_k w_k N(z | component k), z [..., D] to [...]; w_k = 1/K without log_weights [K].

    >>> pair = Diagonal(jnp.array([[-1.0], [1.0]]), jnp.zeros((2, 1)))
    >>> round(float(log_prob(pair, jnp.zeros(1))), 4)
    -1.4189
    """
    each = components.log_prob_of_each(z)
    if log_weights is not None:
        return jax.nn.logsumexp(each + log_weights, axis=-1)
    return jax.nn.logsumexp(each, axis=-1) - math.log(size(components))


def log_responsibilities(
    components: Components, z: jax.Array, log_weights: jax.Array | None = None
) -> jax.Array:
    """log p(c=k|z) under the mixture, z [..., D] to [..., K]; weights as in `log_prob`.

    >>> pair = Diagonal(jnp.array([[-1.0], [1.0]]), jnp.zeros((2, 1)))
    >>> jnp.exp(log_responsibilities(pair, jnp.zeros(1))).tolist()
    [0.5, 0.5]
    """
    each = components.log_prob_of_each(z)
    return jax.nn.log_softmax(each if log_weights is None else each + log_weights, axis=-1)
