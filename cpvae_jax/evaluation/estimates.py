"""Estimates over a data set: the true bound and the log-likelihood.

Data go through in batches of a fixed size. The last batch is filled up and its surplus dropped, so
that every example counts once and one program is compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from cpvae_jax import checks, devices, likelihoods, models
from cpvae_jax.data.rows import Rows
from cpvae_jax.distributions.precision import exact
from cpvae_jax.errors import UserError
from cpvae_jax.evaluation.memory import working_space
from cpvae_jax.types import Encoding, Params, Terms, Tree

ESTIMATORS = ("exact", "hard", "relaxed", "straight-through")

BATCH = 500
"""Examples at once where memory does not depend on a number of samples."""

CHUNK = 50
"""Importance samples drawn at once per example; they share its encoding."""


def in_batches(
    fn: Callable[[jax.Array, jax.Array], Tree],
    key: jax.Array,
    data: jax.Array | Rows,
    batch: int,
    mesh: Mesh | None = None,
) -> Tree:
    """The outputs of `fn(key, batch of data)` over data [N, *shape], joined along axis 0.

    On a mesh, `fn` gets arrays that lie there and must return them whole.
    """
    count = len(data)
    batch = min(batch, count)
    outputs = []
    for number, start in enumerate(range(0, count, batch)):
        index = np.minimum(np.arange(start, start + batch), count - 1)
        key_batch = devices.everywhere(jax.random.fold_in(key, number), mesh)
        part = jnp.asarray(data[index]) if isinstance(data, Rows) else _picked(data, index)
        output = fn(key_batch, devices.everywhere(part, mesh))
        outputs.append(jax.tree.map(lambda a, n=count - start: np.asarray(a)[:n], output))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *outputs)


@jax.jit
@exact
def _picked(data: jax.Array, index: np.ndarray) -> jax.Array:
    """Examples of `data` by number; compiled, because indexing takes JAX longer than the device."""
    return data[index]


def bound(
    params: Params,
    key: jax.Array,
    x: jax.typing.ArrayLike,
    *,
    estimator: str = "exact",
    temperature: float = 0.5,
    mesh: Mesh | None = None,
) -> Terms:
    """The terms of the bound on log p(x) for each example.

    Args:
      params: The model.
      key: A random key. Grey levels are first drawn black or white where the model says so.
      x: Examples [B, *shape].
      estimator: "exact" sums over all categories and gives the true bound; "hard" draws one.
        "relaxed" and "straight-through" are those of training; "relaxed" is not a lower bound.
      temperature: Of the relaxed category; only "relaxed" and "straight-through" read it.
      mesh: Devices to spread the examples over; see `cpvae_jax.devices.mesh`.

    Returns:
      `Terms`, [B] each, in nats.

    Raises:
      UserError: The data do not suit the model, or an option is invalid.

    >>> import jax, cpvae_jax
    >>> params = cpvae_jax.initialise(jax.random.key(0), cpvae_jax.Config(shape=(8, 8), K=5))
    >>> terms = bound(params, jax.random.key(1), np.zeros((2, 8, 8)))
    >>> terms.bound.shape, bool((terms.kl_z >= 0).all())
    ((2,), True)
    """
    _check(estimator, temperature)
    devices.check(mesh)
    data = checks.data(params, x)
    return _bound(params, checks.key(key), data, temperature, estimator=estimator, mesh=mesh)


def _check(estimator: str, temperature: float) -> None:
    """Raise `UserError` for options of the bound that do not exist."""
    if estimator not in ESTIMATORS:
        raise UserError(f"estimator is {estimator!r}; choose one of {', '.join(ESTIMATORS)}.")
    checks.temperature(temperature)


@partial(jax.jit, static_argnames=("estimator", "mesh"))
@exact
def _bound(
    params: Params,
    key: jax.Array,
    data: jax.Array,
    temperature: float,
    *,
    estimator: str,
    mesh: Mesh | None,
) -> Terms:
    model = models.of(params.config)
    key_x, key_terms = jax.random.split(key)
    x = likelihoods.of(params.config).observe(params.config, key_x, data)
    x = devices.rows(x, mesh)
    encoding = model.infer(params, x)
    relaxation = jnp.asarray(temperature, jnp.float32)
    found = model.terms(params, key_terms, x, encoding, estimator, relaxation)
    return devices.cut(found, mesh)


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
    """The bound and its terms for each example of a data set, whatever its size.

    Args:
      params: The model.
      key: A random key.
      data: Examples [N, *shape].
      estimator: See `bound`; "exact" gives the true bound for any K.
      temperature: See `bound`.
      samples: Draws per example to average over, of the binarisation too.
      mesh: Devices to spread the examples over.

    Returns:
      "bound", "reconstruction", "kl_c" and "kl_z", [N] each, in nats.

    Raises:
      UserError: As `bound`.
    """
    _check(estimator, temperature)
    devices.check(mesh)
    checks.at_least("samples", samples, 1)
    examples = checks.data(params, data, "data")
    key = checks.key(key)
    placed = devices.everywhere(params, mesh)

    def once(key: jax.Array, batch: jax.Array) -> dict[str, jax.Array]:
        return _bound(placed, key, batch, temperature, estimator=estimator, mesh=mesh).named()

    draws = [in_batches(once, k, examples, BATCH, mesh) for k in jax.random.split(key, samples)]
    return jax.tree.map(lambda *values: np.mean(values, axis=0), *draws)


@jax.jit
@exact
def encoding_of_draw(params: Params, key: jax.Array, data: jax.Array) -> Encoding:
    """The posterior of data [B, *shape], drawn black or white where the model says so."""
    x = likelihoods.of(params.config).observe(params.config, key, data)
    return models.of(params.config).infer(params, x)


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
    """log p(x) of each example by importance sampling.

    log (1/S) Σ_s p(x, z_s, c_s) / q(z_s, c_s|x) with draws from q(z, c|x). Its mean is a lower
    bound on log p(x) that rises to it with S. Source: Burda, Grosse, Salakhutdinov, ICLR 2016.

    Args:
      params: The model.
      key: A random key.
      x: Examples [N, *shape].
      samples: S, draws per example.
      memory: Working space in bytes, whatever the model, S and N are; the work is cut into pieces.
      progress: `progress(done, total)` is called after each piece, in examples.
      mesh: Devices to spread the examples of a piece over.

    Returns:
      [N], in nats.

    Raises:
      UserError: The data do not suit the model, or an option is invalid.

    >>> import jax, cpvae_jax
    >>> params = cpvae_jax.initialise(jax.random.key(0), cpvae_jax.Config(shape=(8, 8), K=5))
    >>> log_likelihood(params, jax.random.key(1), np.zeros((2, 8, 8)), samples=100).shape
    (2,)
    """
    checks.at_least("samples", samples, 1)
    checks.at_least("memory", memory, 1)
    devices.check(mesh)
    if progress is not None and not callable(progress):
        raise UserError(f"progress is {progress!r}; give a function of two counts, done and total.")
    data = checks.data(params, x)
    key = checks.key(key)
    rows = max(1, memory // _bytes_of_draw(params, key, data, min(samples, CHUNK)))
    chunk = min(samples, CHUNK, rows)
    batch = max(1, min(len(data), rows // chunk, memory // (16 * params.config.K)))
    placed = devices.everywhere(params, mesh)
    done = 0

    def piece(key: jax.Array, part: jax.Array) -> jax.Array:
        nonlocal done
        value = _log_likelihood(placed, key, part, samples=samples, chunk=chunk, mesh=mesh)
        if progress is not None:
            value.block_until_ready()
            done = min(done + batch, len(data))
            progress(done, len(data))
        return value

    return in_batches(piece, key, data, batch, mesh)


def _bytes_of_draw(params: Params, key: jax.Array, data: jax.Array, chunk: int) -> int:
    """The working space of one importance sample of one example."""
    one = jax.ShapeDtypeStruct((1, *data.shape[1:]), data.dtype)
    traced = _log_likelihood.trace(params, key, one, samples=chunk, chunk=chunk, mesh=None)
    return working_space(traced.jaxpr) // chunk


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
    config, model = params.config, models.of(params.config)
    key_x, key_weights = jax.random.split(key)
    x = devices.rows(likelihoods.of(config).observe(config, key_x, data), mesh)
    encoding = model.infer(params, x)

    def more(total: jax.Array, number: jax.Array) -> tuple[jax.Array, None]:
        key_draws = jax.random.fold_in(key_weights, number)
        log_weights = model.log_weights(params, key_draws, x, encoding, chunk)
        within = number * chunk + jnp.arange(chunk, dtype=jnp.int32) < samples
        log_weights = jnp.where(within[:, None], log_weights, -jnp.inf)
        return jnp.logaddexp(total, jax.nn.logsumexp(log_weights, axis=0)), None

    start = jnp.full(x.shape[0], -jnp.inf, jnp.float32)
    numbers = jnp.arange(-(-samples // chunk), dtype=jnp.int32)
    total, _ = jax.lax.scan(more, start, numbers)
    return devices.cut(total - math.log(samples), mesh)
