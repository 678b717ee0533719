"""How far categories overlap, and which of them are one.

A category of a mixture is not always a cluster: several may share one. Those that the model itself
mixes up are merged, one pair after another. Source: Hennig, "Methods for merging Gaussian mixture
components", Advances in Data Analysis and Classification 2010, the method DEMP.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import likelihoods, models, values
from cpvae_jax.config import Config
from cpvae_jax.distributions.precision import exact
from cpvae_jax.types import Params

SAMPLES = 2000
"""Samples of each component: a share of 0.05 has a standard error of at most 0.005."""

TINY = 1e-12
"""The weight of a component without data, which then counts as itself."""

AT_ONCE = 500
"""Samples in memory at once."""

MIXED_UP = 0.25
"""Categories of a table are merged from this share of mixed-up samples on: half of 1/2, which is that of
categories that do not differ at all. Two Gaussians of one width have a single mode together if their
centres are at most 2 standard deviations apart, and then mix up Φ(−1) = 0.159. Rough fits of five
clusters at a distance of 4 had up to 0.2."""

OF_IMAGES = 0.023
"""And categories of images from this share on: Φ(−2), that of two Gaussians of one width whose centres are
4 standard deviations apart. Images always gain bound by more categories, which then divide a mode among
them and border on several others (docs/research.md)."""


class Merge(NamedTuple):
    """Two categories that became one.

    Attributes:
      first: The components of one.
      second: The components of the other.
      mixed_up: Of the samples of one that the model assigns to either, the share that it assigns to
        the other; the larger of both directions.
    """

    first: tuple[int, ...]
    second: tuple[int, ...]
    mixed_up: float


def threshold(config: Config) -> float:
    """The share of mixed-up samples from which categories of such data are one.

    >>> threshold(Config(shape=(28, 28))), threshold(Config(shape=(5,)))
    (0.023, 0.25)
    """
    return OF_IMAGES if values.of_images(config.shape) else MIXED_UP


def mixed_up(params: Params, key: jax.Array, num: int = SAMPLES) -> np.ndarray:
    """The share of the samples of component a that the model assigns to b: E_p(x|a) q(b|x), [K, K].

    Rows sum to 1. Draws of x are those of p(x|z, c), not its mean.

    Args:
      params: The model.
      key: A random key.
      num: Samples of each component.

    >>> import cpvae_jax
    >>> config = cpvae_jax.Config(shape=(2,), K=3, latent=2, hidden=(8,))
    >>> found = mixed_up(cpvae_jax.initialise(jax.random.key(0), config), jax.random.key(1), 50)
    >>> found.shape, found.sum(axis=1).round(5).tolist()
    ((3, 3), [1.0, 1.0, 1.0])
    """
    found = []
    for component in range(params.config.K):
        own = jax.random.fold_in(key, component)
        sizes = [min(AT_ONCE, num - start) for start in range(0, num, AT_ONCE)]
        parts = [
            np.asarray(_assigned(params, jax.random.fold_in(own, i), component, size=size))
            for i, size in enumerate(sizes)
        ]
        found.append(np.concatenate(parts).mean(axis=0, dtype=np.float64))
    return np.stack(found)


@partial(jax.jit, static_argnames="size")
@exact
def _assigned(params: Params, key: jax.Array, component: jax.Array, *, size: int) -> jax.Array:
    """q(c|x) of samples of a component, [size, K]."""
    config, model = params.config, models.of(params.config)
    key_z, key_x, key_c = jax.random.split(key, 3)
    output = model.generate(params, key_z, jnp.full(size, component, jnp.int32))
    x = likelihoods.of(config).sample(config, params.likelihood, key_x, output)
    return model.probs(params, key_c, model.infer(params, x), 1)


def merges(
    mixed: np.ndarray, weights: np.ndarray, least: float = MIXED_UP
) -> tuple[tuple[int, ...], list[Merge]]:
    """Merges the two categories that are mixed up most, until none reach `least`.

    A sample of a merged category is one of a component of it, in proportion to the weights.

    Args:
      mixed: What `mixed_up` returns, [K, K].
      weights: q(c) of the components, [K].
      least: The share of mixed-up samples from which two categories are one.

    Returns:
      The category of each component, as `merge` takes it, and the merges in their order.

    >>> mixed = np.array([[0.7, 0.3, 0.0], [0.2, 0.79, 0.01], [0.0, 0.02, 0.98]])
    >>> groups, order = merges(mixed, np.full(3, 1 / 3))
    >>> groups, order[0].mixed_up
    ((0, 0, 1), 0.3)
    """
    members: list[tuple[int, ...]] = [(k,) for k in range(len(mixed))]
    share = np.maximum(np.asarray(weights, np.float64), TINY)
    joint = share[:, None] * np.asarray(mixed, np.float64)
    order: list[Merge] = []
    while len(members) > 1:
        either = joint + np.diag(joint)[:, None]
        rates = np.divide(joint, either, out=np.zeros_like(joint), where=either > 0)
        both = np.maximum(rates, rates.T)
        np.fill_diagonal(both, -1.0)
        a, b = sorted(map(int, np.unravel_index(np.argmax(both), both.shape)))
        if both[a, b] < least:
            break
        order.append(Merge(members[a], members[b], float(both[a, b])))
        members[a] = tuple(sorted(members[a] + members.pop(b)))
        joint[a] += joint[b]
        joint[:, a] += joint[:, b]
        joint = np.delete(np.delete(joint, b, axis=0), b, axis=1)
    groups = np.empty(len(mixed), int)
    for number, group in enumerate(members):
        groups[list(group)] = number
    return tuple(groups.tolist()), order
