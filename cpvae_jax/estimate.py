"""Estimates over a whole data set: the true bound, log-likelihood, q(c), the decomposition.

Data go through in batches of a fixed size; the last one is filled up and its surplus cut
off, so that every example counts once and one program is compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from cpvae_jax import categorical, checks, devices, gaussian, likelihoods, stream
from cpvae_jax.interface import bound
from cpvae_jax.models import cpvae
from cpvae_jax.precision import exact
from cpvae_jax.rows import Rows
from cpvae_jax.types import Params, Tree

BATCH = 500
"""Examples at once where memory does not depend on a number of samples."""

CHUNK = 50
"""Importance samples drawn at once for an example; its encoding is shared by them."""


def in_batches(
    fn: Callable[[jax.Array, jax.Array], Tree],
    key: jax.Array,
    data: jax.Array | Rows,
    batch: int,
    mesh: Mesh | None = None,
) -> Tree:
    """`fn(key, batch of data)` over all of the data [N, X]; its outputs, joined along axis 0.

    On a mesh `fn` is given arrays that lie there, and has to return them whole.
    """
    count = len(data)
    batch = min(batch, count)
    outputs = []
    for number, start in enumerate(range(0, count, batch)):
        index = np.minimum(np.arange(start, start + batch), count - 1)
        key_batch = devices.everywhere(jax.random.fold_in(key, number), mesh)
        output = fn(key_batch, devices.everywhere(jnp.asarray(data[index]), mesh))
        outputs.append(jax.tree.map(lambda a, n=count - start: np.asarray(a)[:n], output))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *outputs)


def bound_terms(
    params: Params,
    key: jax.Array,
    data: jax.typing.ArrayLike,
    *,
    estimator: str = "exact",
    temperature: float = 0.5,
    samples: int = 1,
    mesh: Mesh | None = None,
) -> dict[str, np.ndarray]:
    """The bound and its terms for each example of a data set, [N] each, in nats.

    Averaged over `samples` draws, of the binarisation too. "exact" gives the true bound for
    any K; see `cpvae_jax.bound` for the estimators. `mesh` spreads the examples over devices.
    """
    checks.at_least("samples", samples, 1)
    flat = checks.data(params.config, data, "data")
    key = checks.key(key)
    placed = devices.everywhere(params, mesh)

    def once(key: jax.Array, batch: jax.Array) -> dict[str, jax.Array]:
        terms = bound(placed, key, batch, estimator=estimator, temperature=temperature, mesh=mesh)
        return terms.named()

    draws = [in_batches(once, k, flat, BATCH, mesh) for k in jax.random.split(key, samples)]
    return jax.tree.map(lambda *values: np.mean(values, axis=0), *draws)


def aggregated_posterior(
    params: Params,
    key: jax.Array,
    data: jax.typing.ArrayLike | Rows,
    *,
    mesh: Mesh | None = None,
) -> np.ndarray:
    """Eq. (14): q(c) = (1/n) Σ_i q(c|x_i) over a data set, [K]; it may be `Rows`."""
    readable = stream.readable(params.config, data, "data")
    return mean_probs(params, checks.key(key), readable, mesh)


def mean_probs(
    params: Params, key: jax.Array, data: jax.Array | Rows, mesh: Mesh | None
) -> np.ndarray:
    """`aggregated_posterior` of data that have been looked at, which takes long for `Rows`."""
    one_batch = partial(_probs_of_draw, devices.everywhere(params, mesh), mesh=mesh)
    probs = in_batches(one_batch, key, data, BATCH, mesh)
    return np.asarray(np.mean(probs, axis=0, dtype=np.float64), np.float32)


@jax.jit
@exact
def _heads_of_draw(params: Params, key: jax.Array, data: jax.Array) -> Any:
    x = likelihoods.of(params.config).observe(params.config, key, data)
    return cpvae.infer(params, x)


@partial(jax.jit, static_argnames="mesh")
@exact
def _probs_of_draw(
    params: Params, key: jax.Array, data: jax.Array, *, mesh: Mesh | None
) -> jax.Array:
    flat = data.reshape(len(data), params.config.size)
    heads = _heads_of_draw(params, key, devices.rows(flat, mesh))
    return devices.cut(jax.nn.softmax(cpvae.category_logits(params, heads)), mesh)


def log_likelihood(
    params: Params,
    key: jax.Array,
    x: jax.typing.ArrayLike,
    *,
    samples: int = 5000,
    memory: int = 64 * 2**20,
    progress: Callable[[int, int], None] | None = None,
    mesh: Mesh | None = None,
) -> np.ndarray:
    """log p(x) of each example by importance sampling, [N], in nats.

    log (1/S) Σ_s p(x, z_s, c_s) / q(z_s, c_s|x) with draws from q(z, c|x): in the mean a lower
    bound on log p(x) that rises to it with S (Burda, Grosse, Salakhutdinov, ICLR 2016).
    `memory` is the working space in bytes, whatever K, S and the number of examples: the work
    is cut into pieces that fit. `progress` is told examples done and their number; `mesh` spreads
    the examples of a piece over devices.

    >>> import jax, cpvae_jax
    >>> config = cpvae_jax.Config(shape=(8, 8), K=5)
    >>> params = cpvae_jax.initialise(jax.random.key(0), config)
    >>> log_likelihood(params, jax.random.key(1), np.zeros((2, 8, 8)), samples=100).shape
    (2,)
    """
    checks.at_least("samples", samples, 1)
    checks.at_least("memory", memory, 1)
    config = params.config
    flat = checks.data(config, x)
    # Outputs, their softplus and its sum; values, gates and products of the widest layer; z.
    row = 4 * (4 * config.size + 4 * max(config.hidden) + 6 * config.latent)
    rows = max(1, memory // row)
    chunk = min(samples, CHUNK, rows)
    batch = max(1, min(len(flat), rows // chunk, memory // (16 * config.K)))
    placed = devices.everywhere(params, mesh)
    done = 0

    def piece(key: jax.Array, data: jax.Array) -> jax.Array:
        nonlocal done
        value = _log_likelihood(placed, key, data, samples=samples, chunk=chunk, mesh=mesh)
        if progress is not None:
            value.block_until_ready()
            done = min(done + batch, len(flat))
            progress(done, len(flat))
        return value

    return in_batches(piece, checks.key(key), flat, batch, mesh)


@partial(jax.jit, static_argnames=("samples", "chunk", "mesh"))
@exact
def _log_likelihood(
    params: Params,
    key: jax.Array,
    data: jax.Array,
    *,
    samples: int,
    chunk: int,
    mesh: Mesh | None,
) -> jax.Array:
    config = params.config
    key_x, key_weights = jax.random.split(key)
    x = devices.rows(likelihoods.of(config).observe(config, key_x, data), mesh)
    heads = cpvae.infer(params, x)

    def more(total: jax.Array, number: jax.Array) -> tuple[jax.Array, None]:
        log_weights = cpvae.log_weights(
            params, jax.random.fold_in(key_weights, number), x, heads, chunk
        )
        within = number * chunk + jnp.arange(chunk) < samples
        log_weights = jnp.where(within[:, None], log_weights, -jnp.inf)
        return jnp.logaddexp(total, jax.nn.logsumexp(log_weights, axis=0)), None

    start = jnp.full(x.shape[0], -jnp.inf)
    total, _ = jax.lax.scan(more, start, jnp.arange(-(-samples // chunk)))
    return devices.cut(total - math.log(samples), mesh)


def decomposition(
    params: Params, key: jax.Array, data: jax.typing.ArrayLike, *, draws: int = 1000
) -> dict[str, float]:
    """Eq. (13): E KL = I_q((z, c), x) + E_q(c) KL(q(z|c) || p(z|c)) − H(q(c)) + log K.

    Of the code at the top, if there are two levels; where c is summed out, log K and all of c
    are 0. p(x) is the empirical distribution of the data given, N examples, so that the mutual
    information is at most log N. The entropies of c are exact; what needs log q(z|c), the
    mixture of all N posteriors of category c, is averaged over `draws` of (x, c, z).

    Returns, in nats: mutual_information and its two parts, mutual_information_c (of c and x)
    and mutual_information_z (of z and x given c); prior_match; entropy_c; log_K; kl, the sum of
    the right-hand side; and standard_error, of that sum.
    """
    checks.at_least("draws", draws, 1)
    flat = checks.data(params.config, data, "data")
    return jax.tree.map(float, _decomposition(params, checks.key(key), flat, draws=draws))


@partial(jax.jit, static_argnames="draws")
@exact
def _decomposition(
    params: Params, key: jax.Array, data: jax.Array, *, draws: int
) -> dict[str, jax.Array]:
    key_x, key_i, key_c, key_z = jax.random.split(key, 4)
    heads = _heads_of_draw(params, key_x, data)
    K = heads.logits.shape[-1]
    log_probs = jax.nn.log_softmax(heads.logits)
    log_aggregate = jax.nn.logsumexp(log_probs, axis=0) - math.log(len(data))
    entropy_c = categorical.entropy(log_aggregate)
    mutual_c = entropy_c - jnp.mean(categorical.entropy(heads.logits))

    def draw(at: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """log q(z|x, c) − log q(z|c) and log q(z|c) − log p(z|c) at one draw of x, c, z."""
        i, key_c, key_z = at
        c = jax.random.categorical(key_c, heads.logits[i])
        mean, log_var = cpvae.conditional_posterior(heads, jnp.full(len(data), c))
        z = gaussian.sample(key_z, mean[i], log_var[i])
        of_each = gaussian.log_prob(z, mean, log_var)
        log_q = jax.nn.logsumexp(log_probs[:, c] + of_each) - log_aggregate[c] - math.log(len(data))
        log_p = cpvae.log_prior(params, z, cpvae.networks_see(params, c)) + math.log(K)
        return of_each[i] - log_q, log_q - log_p

    i = jax.random.randint(key_i, (draws,), 0, len(data))
    keys_c, keys_z = jax.random.split(key_c, draws), jax.random.split(key_z, draws)
    mutual_z, match = jax.lax.map(draw, (i, keys_c, keys_z))
    result = {
        "mutual_information": mutual_c + jnp.mean(mutual_z),
        "mutual_information_c": mutual_c,
        "mutual_information_z": jnp.mean(mutual_z),
        "prior_match": jnp.mean(match),
        "entropy_c": entropy_c,
        "log_K": jnp.log(K),
    }
    kl = result["mutual_information"] + result["prior_match"] - entropy_c + math.log(K)
    return {**result, "kl": kl, "standard_error": jnp.std(mutual_z + match) / math.sqrt(draws)}
