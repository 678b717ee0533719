"""Inverse autoregressive flows: a diagonal Gaussian draw, bent step by step, given x and c.

    z⁰ = μ + σ · noise,   zⁿ = exp(s) · zⁿ⁻¹ + m,   with m_i and s_i functions of zⁿ⁻¹_<i, x and c

exp(s) is a sigmoid, divided by its value at the start. Each step is invertible, and
log |dzⁿ/dzⁿ⁻¹| = Σ_i s_i. Every other step counts the dimensions from the end. Fresh steps are the
identity, so training starts from the diagonal family.

Sources: Kingma et al., "Improved Variational Inference with Inverse Autoregressive Flow", NeurIPS
2016; the masks are those of Germain et al., "MADE", ICML 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.distributions import categorical, gaussian
from cpvae_jax.posteriors import diagonal
from cpvae_jax.posteriors.base import PosteriorFamily, values
from cpvae_jax.types import Tree

STEPS = 4
"""Steps of the flow: two count the dimensions from the start, and two from the end."""

UNITS = 320
"""Hidden units of a step: eight for each of the paper's 40 dimensions."""

OPEN = 2.0
"""Where the gate of a dimension starts, before the sigmoid: a fresh step can shrink a dimension to nothing,
but stretch it by at most 1/sigmoid(2) = 1.14. With factors up to 20 training came apart (docs/research.md)."""

CONTEXT = "context"
"""The head of what the steps need of x and c"""

_glorot = jax.nn.initializers.glorot_uniform()


class Code(NamedTuple):
    """All posteriors of a batch: the Gaussians that draws start from, and what the steps need of x, c."""

    base: gaussian.Spread
    context_x: jax.Array
    """[B, steps * units]"""
    context_c: jax.Array
    """[K, steps * units]"""


class Conditional(NamedTuple):
    """One posterior per example."""

    base: diagonal.Conditional
    context: jax.Array
    """[..., B, steps * units]"""


def masks(D: int, units: int, *, backwards: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which weights of a step exist: from z to the hidden units [D, units], and on to m_i and s_i [units, D].

    A hidden unit of degree d sees the first d dimensions (the last ones, if it counts backwards), and is
    seen by those after them. Those of degree 0 see x and c only.
    """
    degree = np.arange(units) % D
    number = np.arange(D)[::-1] if backwards else np.arange(D)
    return number[:, None] < degree, degree[:, None] <= number


def step(
    weights: Tree, z: jax.Array, context: jax.Array, *, backwards: bool = False
) -> tuple[jax.Array, jax.Array]:
    """z [..., D] and context [..., units] to the next z, and log |dz′/dz| [...]."""
    to_hidden, to_output = masks(*weights["hidden"].shape, backwards=backwards)
    h = jax.nn.elu(z @ (weights["hidden"] * to_hidden) + context)
    m, gate = (
        h @ (weights[name]["kernel"] * to_output) + weights[name]["bias"]
        for name in ("shift", "gate")
    )
    s = jax.nn.log_sigmoid(gate + OPEN) - jax.nn.log_sigmoid(OPEN)
    return jnp.exp(s) * z + m, jnp.sum(s, axis=-1)


def bend(weights: Tree, z: jax.Array, context: jax.Array) -> tuple[jax.Array, jax.Array]:
    """All steps: z⁰ [..., D] to the last z, and log |dz/dz⁰| [...]."""
    log_det = jnp.zeros(z.shape[:-1], z.dtype)
    for n, own in enumerate(weights):
        units = own["hidden"].shape[-1]
        own_context = context[..., n * units : (n + 1) * units]
        z, more = step(own, z, own_context, backwards=n % 2 == 1)
        log_det += more
    return z, log_det


def family(steps: int = STEPS, units: int = UNITS) -> PosteriorFamily:
    """The family with some number of steps; without any it is the diagonal one."""

    def heads(config: Config) -> dict[str, int]:
        """Those of the diagonal family, and the context of every step."""
        context = {CONTEXT: steps * units} if steps else {}
        return {**diagonal.heads(config), **context}

    def init(key: jax.Array, config: Config) -> Tree:
        """Glorot's rule for the hidden units; zeros after them, so that each step is the identity."""
        D = config.latent
        return [
            {
                "hidden": _glorot(k, (D, units), jnp.float32),
                **{name: _zeros(units, D) for name in ("shift", "gate")},
            }
            for k in jax.random.split(key, steps)
        ]

    return PosteriorFamily(heads, init, spread, at, sample, mean, gaussian=lambda c: c.base)


def _zeros(n_in: int, n_out: int) -> Tree:
    return {"kernel": jnp.zeros((n_in, n_out), jnp.float32), "bias": jnp.zeros(n_out, jnp.float32)}


def spread(weights: Tree, of_x: Mapping[str, jax.Array], of_c: Mapping[str, jax.Array]) -> Code:
    """The context is a sum of both parts, like the mean."""
    context_x, context_c = values(of_x, CONTEXT), values(of_c, CONTEXT)
    return Code(diagonal.spread(weights, of_x, of_c), context_x, context_c)


def at(code: Code, category: jax.Array | None) -> Conditional:
    """Base and context for one category per example."""
    context = code.context_x
    if category is not None:
        context = context + categorical.rows(code.context_c, category)
    return Conditional(diagonal.at(code.base, category), context)


def sample(
    weights: Tree, key: jax.Array, conditional: Conditional, num: int | None = None
) -> tuple[jax.Array, jax.Array]:
    """z and log q(z|x, c) there, by the change of variables."""
    z, log_q = diagonal.sample({}, key, conditional.base, num)
    z, log_det = bend(weights, z, conditional.context)
    return z, log_q - log_det


def mean(weights: Tree, conditional: Conditional) -> jax.Array:
    """Where the flow takes the mean of the base Gaussian; it is near the mode, not the mean of z."""
    return bend(weights, diagonal.mean({}, conditional.base), conditional.context)[0]


POSTERIOR = family()
