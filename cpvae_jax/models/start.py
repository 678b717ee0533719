"""How a model starts: fresh weights, and what the prior and the likelihood take from the data."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import devices, likelihoods, networks, posteriors, priors
from cpvae_jax.config import Config
from cpvae_jax.data.rows import Rows
from cpvae_jax.distributions.precision import exact, single
from cpvae_jax.keys import purpose
from cpvae_jax.models import category, parts
from cpvae_jax.networks import layers
from cpvae_jax.networks.base import num_features
from cpvae_jax.posteriors import heads
from cpvae_jax.priors.base import Start
from cpvae_jax.registry import kept
from cpvae_jax.types import Params, Tree


@exact
def init(
    key: jax.Array,
    config: Config,
    data: np.ndarray | jax.Array | None = None,
    measured: Tree | None = None,
) -> Params:
    """Fresh parameters.

    Runs eagerly, so that priors and likelihoods may look at the data with any Python code. The
    weights of networks, heads and posterior are drawn in one compiled program.

    Args:
      key: A random key.
      config: The configuration of the model.
      data: Training examples [N, *shape] in the user's unit, which set the scale of real-valued
        data and whatever the prior starts from them; or None.
      measured: What `measure` returned for all training data; by default, of `data`.
    """
    weights, key_prior, key_likelihood = _draw(key, config)
    array = None if data is None else np.asarray(data).reshape(-1, *config.shape)
    own = likelihoods.of(config).init(key_likelihood, config, array)
    stats = {**own.stats, **(measure(config, array) if measured is None else measured)}
    params = Params(
        weights={**weights, **category.init(config), "likelihood": own.weights, "prior": {}},
        stats={"aggregate": category.even(config), "likelihood": stats},
        config=config,
    )
    prior = priors.of(config).init(key_prior, config, _start(params, array))
    return single(params.with_weights({**params.weights, "prior": prior}))


def measure(config: Config, data: np.ndarray | jax.Array | Rows | None) -> Tree:
    """The likelihood's constants of all training data in the user's unit, the same for all seeds."""
    if data is None:
        return {}
    whole = data if isinstance(data, Rows) else np.asarray(data).reshape(-1, *config.shape)
    return likelihoods.of(config).measure(config, whole)


def template(config: Config) -> Params:
    """Parameters as shapes and types only.

    A part of the user's own may need real numbers, or data, to start. Then the parameters are made
    from random numbers in place of data, and forgotten.
    """
    try:
        return jax.eval_shape(lambda: init(jax.random.key(0), config))
    except Exception:  # an error that has another cause comes up again
        data = np.random.default_rng(0).random((config.K, *config.shape), np.float32)
        return jax.eval_shape(lambda params: params, init(jax.random.key(0), config, data))


def stats_without_data(config: Config) -> Tree:
    """The likelihood's constants where there are no data; shapes if it cannot do without.

    Files of earlier versions may lack constants that the likelihood has today: these stand for them.
    """
    try:
        return likelihoods.of(config).init(jax.random.key(0), config, None).stats
    except Exception:  # a part of the user's own that needs data
        return template(config).stats["likelihood"]


def _start(params: Params, data: np.ndarray | None) -> Start:
    """What a prior may look at."""
    config, likelihood = params.config, likelihoods.of(params.config)

    def inputs(x: np.ndarray | jax.Array) -> jax.Array:
        prepared = jnp.asarray(likelihood.prepare(params.likelihood, x))
        return likelihood.standardise(params.likelihood, likelihood.expect(config, prepared))

    return Start(data, inputs, parts.gaussian(params))


Drawn = tuple[Tree, jax.Array, jax.Array]
"""Weights of networks, heads and posterior, and the keys of the prior and the likelihood"""


def _draw(key: jax.Array, config: Config) -> Drawn:
    if isinstance(key, jax.core.Tracer):  # inside a program of the caller's
        return _weights(key, config=config)
    return _compiled(config)(key)


@kept
def _compiled(config: Config) -> Callable[[jax.Array], Drawn]:
    """`_weights` as one program, compiled with little effort because it runs once per seed."""
    return jax.jit(partial(_weights, config=config), compiler_options=devices.compile_with(0))


def _weights(key: jax.Array, *, config: Config) -> Drawn:
    network = networks.of(config)
    keys = jax.random.split(key, 6)
    key_network, key_c, key_mean, key_log_var, key_below, key_prior = keys
    key_posterior = purpose(key_prior, "posterior weights")
    key_likelihood = purpose(key_prior, "likelihood arrays")
    key_further = purpose(key_log_var, "further heads")
    prior = priors.of(config)
    seen = config.K if prior.inferred else 0
    width = num_features(network, config)
    below, decoder = parts.levels(config).init(
        key_below, config, seen, likelihoods.of(config).channels
    )
    widths = posteriors.of(config).heads(config)
    given = heads.init((key_mean, key_log_var), key_further, widths, width, categories=seen)
    if prior.inferred:
        given["logits"] = layers.init_linear(key_c, width, config.K)
    weights = {
        "encoder": network.init_encoder(key_network, config),
        "heads": given,
        "posterior": posteriors.of(config).init(key_posterior, config),
        "decoder": decoder,
        "below": below,
    }
    return weights, key_prior, key_likelihood
