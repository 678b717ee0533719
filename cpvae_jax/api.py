"""What users call: checked at the edge, compiled inside.

Data are [B, *shape]: grey levels 0..255 as integers, or floats.
"""

from __future__ import annotations

import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import checks, likelihoods, models, posteriors, priors, values
from cpvae_jax.config import Config
from cpvae_jax.distributions.precision import exact
from cpvae_jax.errors import UserError
from cpvae_jax.evaluation import rows
from cpvae_jax.models import category as components
from cpvae_jax.models import start
from cpvae_jax.storage import checkpoint
from cpvae_jax.types import Params, Posterior

WEIGHTS = ("aggregate", "uniform", "prior")
"""Ways to weight the categories of a sample: q(c) over the training data, all alike, or p(c)."""


def initialise(
    key: jax.Array, config: Config, data: np.ndarray | jax.Array | None = None
) -> Params:
    """Fresh parameters of the model that `config` describes.

    Args:
      key: A random key.
      config: The configuration.
      data: Examples [N, *shape], which set the scale of real-valued data (Gaussian likelihood) and
        VampPrior's pseudo-inputs; not needed otherwise.

    Raises:
      UserError: The data do not suit the model.

    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5))
    >>> params.weights["prior"]["mean"].shape
    (5, 40)
    """
    checks.configuration(config)
    if data is not None:
        data = checks.examples(config, {"data": data})["data"]
    return start.init(checks.key(key), config, data)


def encode(params: Params, x: jax.typing.ArrayLike) -> Posterior:
    """q(c|x), and q(z|x, c) for all categories.

    Grey levels go in as they are, not drawn black or white, so the answer is deterministic. Where c
    is summed out (`mg`, `vp`), q(z|x) is the same for all c, and the logits are those of p(c|z) at
    its mean. With two levels, z is the top code. A merged model answers for its K components.

    Args:
      params: The model.
      x: Examples [B, *shape].

    Returns:
      A `Posterior`: logits [B, K], and mean and log-variance of z, [B, K, D] each. Of a flow these are
      where it takes the mean of the Gaussian that it starts from, and the log-variance of that Gaussian.

    Raises:
      UserError: The data do not suit the model.

    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5, latent=3))
    >>> encode(params, jnp.zeros((2, 8, 8)))
    Posterior(B=2, K=5, D=3)
    """
    return _encode(params, checks.data(params, x))


@jax.jit
@exact
def _encode(params: Params, data: jax.Array) -> Posterior:
    config = params.config
    model, family = models.of(config), posteriors.of(config)
    encoding = model.infer(params, likelihoods.of(config).expect(config, data))

    def of_category(k: jax.Array) -> tuple[jax.Array, jax.Array]:
        conditional = family.at(encoding.code, model.seen(jnp.full(len(data), k)))
        mean = family.mean(params.weights["posterior"], conditional)
        return mean, family.gaussian(conditional)[1]

    mean, log_var = jax.vmap(of_category, out_axes=1)(jnp.arange(config.K, dtype=jnp.int32))
    return Posterior(model.logits(params, encoding), mean, log_var)


def predict(params: Params, x: jax.typing.ArrayLike) -> jax.Array:
    """The probabilities of the categories, q(c|x).

    Where c is summed out (`mg`, `vp`), these are p(c|z) at the mean of q(z|x), so that the answer
    does not depend on chance. `aggregated_posterior` and `fit` average p(c|z) over draws of z.

    Args:
      params: The model.
      x: Examples [B, *shape].

    Returns:
      [B, K]; in a merged model [B, G], each category the sum of its components.

    Raises:
      UserError: The data do not suit the model.

    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5))
    >>> predict(params, jnp.zeros((2, 8, 8))).sum(axis=1).round(3).tolist()
    [1.0, 1.0]
    """
    return rows.probs_of(params, checks.data(params, x))


def decode(
    params: Params, z: jax.typing.ArrayLike, category: jax.typing.ArrayLike | None = None
) -> jax.Array:
    """The mean of p(x|z, c).

    Args:
      params: The model.
      z: Codes [B, D]; with two levels the top codes, and the lower ones are at their means.
      category: A category, or one for each code [B]. The decoder of `cp` and `full` needs one, that
        of `mg` and `vp` ignores it, and `vae` has none to choose from. Of a merged category, the
        component decodes that a code most probably comes from.

    Returns:
      [B, *shape] in the unit of the data; see `likelihoods.restored` for the dtype.

    Raises:
      UserError: The codes have another shape, or the category does not exist.

    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5, latent=3))
    >>> decode(params, jnp.zeros((2, 3)), category=4).shape
    (2, 8, 8)
    """
    checks.model(params)
    config = params.config
    codes = checks.codes(z, config.latent)
    if category is None and priors.of(config).inferred and config.categories > 1:
        raise UserError(
            f"category is None, but the decoder of the model {config.model!r} needs one; give an "
            f"integer from 0 to {config.categories - 1}, or one for each z."
        )
    none = jnp.zeros(len(codes), jnp.int32)
    of_each = none if category is None else _categories(config, category, len(codes))
    return likelihoods.restored(params, _decode(params, codes, of_each))


@jax.jit
@exact
def _decode(params: Params, z: jax.Array, category: jax.Array) -> jax.Array:
    config = params.config
    component = components.likeliest(params, z, category)
    output = models.of(config).decode(params, None, z, component)
    return likelihoods.of(config).mean(config, params.likelihood, output)


def _categories(config: Config, category: jax.typing.ArrayLike, num: int) -> jax.Array:
    """One category for each of `num` examples, [num]."""
    if priors.of(config).single:
        raise UserError(
            f"category is {category}, but the model {config.model!r} has no categories; leave it "
            "out, or train a model that has some, such as 'cp'."
        )
    array = checks.category(config.categories, category)
    if array.shape not in ((), (num,)):
        raise UserError(
            f"category has the shape {array.shape}; give one category, or one for each of {num}."
        )
    return jnp.broadcast_to(array, (num,))


def reconstruct(params: Params, x: jax.typing.ArrayLike) -> jax.Array:
    """The mean of p(x|z, c) at the most probable c and the mean of q(z|x, c).

    Args:
      params: The model. If it is merged, c is the component.
      x: Examples [B, *shape].

    Returns:
      [B, *shape] in the unit of the data; see `likelihoods.restored` for the dtype.

    Raises:
      UserError: The data do not suit the model.

    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5))
    >>> reconstruct(params, jnp.zeros((2, 8, 8))).shape
    (2, 8, 8)
    """
    return likelihoods.restored(params, _reconstruct(params, checks.data(params, x)))


@jax.jit
@exact
def _reconstruct(params: Params, data: jax.Array) -> jax.Array:
    config, model = params.config, models.of(params.config)
    likelihood = likelihoods.of(config)
    encoding = model.infer(params, likelihood.expect(config, data))
    return likelihood.mean(config, params.likelihood, model.reconstruct(params, encoding))


def sample(
    params: Params,
    key: jax.Array,
    *,
    category: jax.typing.ArrayLike | None = None,
    num: int = 1,
    weights: str | None = None,
    draw: bool = False,
) -> jax.Array:
    """New examples: c, then z from that category's prior, then x.

    Args:
      params: The model.
      key: A random key.
      category: An integer from 0, or an array [num] of them. None draws it by `weights`. Of a
        merged category a component is drawn, in proportion to q(c) over the training data.
      num: How many examples.
      weights: "aggregate" draws the category from q(c) over the training data, "prior" from p(c),
        "uniform" all alike. Default, as in the paper: q(c) where c is inferred, p(c) elsewhere.
      draw: Draw x from p(x|z, c) in place of its mean.

    Returns:
      [num, *shape] in the unit of the data; see `likelihoods.restored` for the dtype.

    Raises:
      UserError: The model does not have that category, or an option is invalid.

    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5))
    >>> sample(params, jax.random.key(1), category=3, num=2).shape
    (2, 8, 8)
    >>> sample(params, jax.random.key(1), category=9)
    Traceback (most recent call last):
    cpvae_jax.errors.UserError: category is 9; this model has 5 categories, 0 to 4.
    """
    checks.model(params)
    checks.at_least("num", num, 1)
    if weights is None:
        weights = "aggregate" if priors.of(params.config).inferred else "prior"
    values.one_of("weights", weights, WEIGHTS)
    key_c, key_x = jax.random.split(checks.key(key))
    if category is None:
        chosen = components.drawn(params, key_c, weights, num)
    else:
        chosen = components.draw(params, key_c, _categories(params.config, category, num))
    return likelihoods.restored(params, _sample(params, key_x, chosen, draw=draw))


@partial(jax.jit, static_argnames="draw")
@exact
def _sample(params: Params, key: jax.Array, category: jax.Array, *, draw: bool) -> jax.Array:
    config = params.config
    likelihood = likelihoods.of(config)
    key_z, key_x = jax.random.split(key)
    output = models.of(config).generate(params, key_z, category)
    if draw:
        return likelihood.sample(config, params.likelihood, key_x, output)
    return likelihood.mean(config, params.likelihood, output)


def load(folder: str | os.PathLike[str]) -> Params:
    """The model that `cpvae_jax.save` wrote, or the best one of a training run's folder.

    Needs the memory of the model and 2 MiB, whatever the files hold. Nothing is unpickled.

    Args:
      folder: The folder of a saved model, or of a run.

    Raises:
      UserError: The folder is missing or damaged, or holds no model of its configuration.

    >>> import cpvae_jax, tempfile
    >>> params = initialise(jax.random.key(0), Config(shape=(8, 8), K=5))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cpvae_jax.save(folder + "/model", params)
    ...     load(folder + "/model").config == params.config
    True
    """
    return checkpoint.read(folder, start.template, start.stats_without_data)
