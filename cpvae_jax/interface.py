"""What users call: checked at the edge, compiled inside, everything else from `params`.

Each function looks up the model and the likelihood that `params.config` names. Data are
[B, *shape]: grey levels 0..255 as whole numbers, or floats.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from cpvae_jax import checks, devices, likelihoods, priors
from cpvae_jax.config import Config
from cpvae_jax.errors import UserError
from cpvae_jax.models import cpvae
from cpvae_jax.precision import exact
from cpvae_jax.types import Params, Posterior, Terms

ESTIMATORS = ("exact", "hard", "relaxed", "straight-through")
WEIGHTS = ("aggregate", "uniform")


def initialise(
    key: jax.Array, config: Config, data: np.ndarray | jax.Array | None = None
) -> Params:
    """Fresh parameters of the model that `config` describes.

    `data` [N, *shape] set the scale of real-valued data (Gaussian likelihood) and the pseudo-inputs
    of a VampPrior, and are not needed otherwise.

    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5))
    >>> params.prior["mean"].shape
    (5, 40)
    """
    if data is not None:
        data = checks.data(config, data, "data")
    return cpvae.init(checks.key(key), config, data)


def encode(params: Params, x: jax.typing.ArrayLike) -> Posterior:
    """q(c|x) as logits [B, K], and the mean and log-variance of q(z|x, c), [B, K, D], for all c.

    Where c is summed out (`mg`, `vp`), q(z|x) is the same for all c, and the logits are those of
    p(c|z) at its mean. Of two levels, z is the top code.

    Grey levels go in as they are, not as a draw of black and white, so that there is no chance
    in the answer.

    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5, latent=3))
    >>> encode(params, jnp.zeros((2, 8, 8))).mean.shape
    (2, 5, 3)
    """
    return _encode(params, checks.data(params.config, x))


@jax.jit
@exact
def _encode(params: Params, data: jax.Array) -> Posterior:
    heads = cpvae.infer(params, likelihoods.of(params.config).expect(params.config, data))

    def of_category(k: jax.Array) -> tuple[jax.Array, jax.Array]:
        category = cpvae.networks_see(params, jnp.full(data.shape[0], k))
        return cpvae.conditional_posterior(heads, category)

    mean, log_var = jax.vmap(of_category, out_axes=1)(jnp.arange(params.config.K))
    return Posterior(cpvae.category_logits(params, heads), mean, log_var)


def predict(params: Params, x: jax.typing.ArrayLike) -> jax.Array:
    """The probabilities of the categories, q(c|x), [B, K].

    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5))
    >>> predict(params, jnp.zeros((2, 8, 8))).sum(axis=1).round(3).tolist()
    [1.0, 1.0]
    """
    return _predict(params, checks.data(params.config, x))


@jax.jit
@exact
def _predict(params: Params, data: jax.Array) -> jax.Array:
    heads = cpvae.infer(params, likelihoods.of(params.config).expect(params.config, data))
    return jax.nn.softmax(cpvae.category_logits(params, heads))


def decode(
    params: Params, z: jax.typing.ArrayLike, category: jax.typing.ArrayLike | None = None
) -> jax.Array:
    """The mean of p(x|z, c) for codes z [B, D] and a category for all or for each, [B, *shape].

    A category is needed where the decoder sees one (`cp`, `full`, and their two-level models), has
    no effect where it is summed out, and is refused where there is none (`vae`). Of two levels, z
    is the top code and the lower one is at its mean given z.

    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5, latent=3))
    >>> decode(params, jnp.zeros((2, 3)), category=4).shape
    (2, 8, 8)
    """
    z = jnp.asarray(z)
    config = params.config
    if z.ndim != 2 or z.shape[1] != config.latent:
        raise UserError(
            f"z has the shape {z.shape}; this model takes codes of shape (B, {config.latent})."
        )
    if category is None:
        if priors.of(config).inferred and config.K > 1:
            raise UserError(
                f"category is None, but the decoder of the model {config.model!r} needs one; give "
                f"a whole number from 0 to {config.K - 1}, or one for each z."
            )
        return _decode(params, z, jnp.zeros(len(z), jnp.int32))
    return _decode(params, z, _categories(config, category, z.shape[0]))


@jax.jit
@exact
def _decode(params: Params, z: jax.Array, category: jax.Array) -> jax.Array:
    output = cpvae.decode(params, None, z, category)
    mean = likelihoods.of(params.config).mean(params.likelihood, output)
    return mean.reshape(-1, *params.config.shape)


def _categories(config: Config, category: jax.typing.ArrayLike, num: int) -> jax.Array:
    """One category for each of `num` examples, [num]."""
    if priors.of(config).single:
        raise UserError(
            f"category is {category}, but the model {config.model!r} has no categories; leave it "
            "out, or train a model that has some, such as 'cp'."
        )
    array = checks.category(config.K, category)
    if array.shape not in ((), (num,)):
        raise UserError(
            f"category has the shape {array.shape}; give one category, or one for each of {num}."
        )
    return jnp.broadcast_to(array, (num,))


def bound(
    params: Params,
    key: jax.Array,
    x: jax.typing.ArrayLike,
    *,
    estimator: str = "exact",
    temperature: float = 0.5,
    mesh: Mesh | None = None,
) -> Terms:
    """The terms of the bound on log p(x) for each example, [B] each, in nats.

    Grey levels are first drawn black or white where the configuration says so. The estimator
    is one of `ESTIMATORS`, see `cpvae_jax.models.cpvae.terms`: "exact" sums over the
    categories and is the true bound; "relaxed", which alone reads `temperature`, is none. `mesh`
    spreads the examples over devices, see `cpvae_jax.devices`.

    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5))
    >>> terms = bound(params, jax.random.key(1), jnp.zeros((2, 8, 8)))
    >>> terms.bound.shape, bool((terms.kl_z >= 0).all())
    ((2,), True)
    """
    if estimator not in ESTIMATORS:
        raise UserError(f"estimator is {estimator!r}; choose one of {', '.join(ESTIMATORS)}.")
    checks.temperature(temperature)
    data = checks.data(params.config, x)
    return _bound(params, checks.key(key), data, temperature, estimator=estimator, mesh=mesh)


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
    key_x, key_terms = jax.random.split(key)
    x = likelihoods.of(params.config).observe(params.config, key_x, data)
    found = cpvae.terms(params, key_terms, devices.rows(x, mesh), estimator, temperature)
    return devices.cut(found, mesh)


def reconstruct(params: Params, x: jax.typing.ArrayLike) -> jax.Array:
    """The mean of p(x|z, c) at the most probable c and the mean of q(z|x, c), [B, *shape].

    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5))
    >>> reconstruct(params, jnp.zeros((2, 8, 8))).shape
    (2, 8, 8)
    """
    return _reconstruct(params, checks.data(params.config, x))


@jax.jit
@exact
def _reconstruct(params: Params, data: jax.Array) -> jax.Array:
    likelihood = likelihoods.of(params.config)
    output = cpvae.reconstruct(params, likelihood.expect(params.config, data))
    return likelihood.mean(params.likelihood, output).reshape(-1, *params.config.shape)


def sample(
    params: Params,
    key: jax.Array,
    *,
    category: jax.typing.ArrayLike | None = None,
    num: int = 1,
    weights: str | None = None,
    draw: bool = False,
) -> jax.Array:
    """New examples, [num, *shape]: c, then z from that category's prior, then x.

    `category` is one of 0..K-1 or an array [num] of them. None draws it, by `weights`: from the
    "aggregate" posterior q(c) over the training data, or from the "uniform" prior p(c); if not
    said, as the paper does, from q(c) where c is inferred and else from p(c). The answer is the
    mean of p(x|z, c), or a draw from it with `draw`.

    Raises `UserError` for a category that the model does not have.

    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5))
    >>> sample(params, jax.random.key(1), category=3, num=2).shape
    (2, 8, 8)
    >>> sample(params, jax.random.key(1), category=9)
    Traceback (most recent call last):
    cpvae_jax.errors.UserError: category is 9; this model has 5 categories, 0 to 4.
    """
    checks.at_least("num", num, 1)
    prior = priors.of(params.config)
    if weights is None:
        weights = "aggregate" if prior.inferred else "uniform"
    if weights not in WEIGHTS:
        raise UserError(f"weights is {weights!r}; choose one of {', '.join(WEIGHTS)}.")
    key_c, key_x = jax.random.split(checks.key(key))
    K = params.config.K
    if category is None:
        probs = params.aggregate if weights == "aggregate" else jnp.full(K, 1 / K)
        categories = jax.random.categorical(key_c, jnp.log(probs), shape=(num,))
    else:
        categories = _categories(params.config, category, num)
    return _sample(params, key_x, categories, draw=draw)


@partial(jax.jit, static_argnames="draw")
@exact
def _sample(params: Params, key: jax.Array, category: jax.Array, *, draw: bool) -> jax.Array:
    likelihood = likelihoods.of(params.config)
    key_z, key_x = jax.random.split(key)
    output = cpvae.generate(params, key_z, category)
    if draw:
        x = likelihood.sample(params.config, params.likelihood, key_x, output)
    else:
        x = likelihood.mean(params.likelihood, output)
    return x.reshape(-1, *params.config.shape)
