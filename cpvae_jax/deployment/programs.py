"""What an exported model computes: encoder, decoder and sampler as functions of arrays alone.

Inputs and outputs have the unit of the user's data, as float32; grey levels go from 0 to 1. Every
function is written for one example and mapped over the batch, so that a network may ask for the
number of examples while the size of the exported batch is free.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import export

from cpvae_jax import likelihoods, models, posteriors, priors
from cpvae_jax.distributions.precision import exact
from cpvae_jax.models import category as components
from cpvae_jax.models import parts
from cpvae_jax.types import Params

BATCH = "batch"
"""The name of the free axis."""


class Input(NamedTuple):
    """An input of a program.

    Attributes:
      name: What it is called.
      shape: Its shape without the batch axis.
      dtype: "float32" or "int32".
      meaning: What it holds.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    meaning: str


class Program(NamedTuple):
    """A function of a model.

    Attributes:
      name: What it is called, and the stem of its file.
      inputs: The inputs in order.
      outputs: Names of the outputs in order, and what they hold.
      function: Takes arrays [B, ...] in the order of the inputs; returns an array, or a tuple of
        several.
    """

    name: str
    inputs: tuple[Input, ...]
    outputs: dict[str, str]
    function: Callable[..., jax.Array | tuple[jax.Array, ...]]

    def shapes(self) -> list[jax.ShapeDtypeStruct]:
        """The inputs as shapes and types, with a symbol as the size of the batch."""
        (size,) = export.symbolic_shape(BATCH)
        return [
            jax.ShapeDtypeStruct((size, *given.shape), jnp.dtype(given.dtype))
            for given in self.inputs
        ]


def of(params: Params) -> tuple[Program, ...]:
    """The programs of a model: encoder, decoder, sampler."""
    return _encoder(params), _decoder(params), _sampler(params)


def _encoder(params: Params) -> Program:
    config = params.config
    model, likelihood, family = models.of(config), likelihoods.of(config), posteriors.of(config)

    def encode(x: jax.Array) -> tuple[jax.Array, ...]:
        prepared = jnp.asarray(likelihood.prepare(params.likelihood, x))
        encoding = model.infer(params, likelihood.expect(config, prepared))
        logits = model.logits(params, encoding)
        component = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        conditional = family.at(encoding.code, model.seen(component))
        probs = jax.nn.softmax(logits)
        if config.groups is not None:  # as a product with 0 and 1, which every format has
            probs = probs @ params.by_category(jnp.eye(config.K, dtype=jnp.float32))
        code = family.mean(params.weights["posterior"], conditional)
        return probs, code, family.gaussian(conditional)[1]

    return Program(
        "encoder",
        (Input("x", config.shape, "float32", "examples in the unit of the training data"),),
        {
            "probabilities": f"[B, {config.categories}], of the categories",
            "code": f"[B, {config.latent}], mean of z at the most probable category",
            "log_var": f"[B, {config.latent}], log-variance of z there",
        },
        _over_batch(encode),
    )


def _decoder(params: Params) -> Program:
    config = params.config

    def decode(z: jax.Array, category: jax.Array | None = None) -> jax.Array:
        chosen = jnp.zeros(len(z), jnp.int32) if category is None else category
        component = components.likeliest(params, z, chosen)
        return _mean(params, models.of(config).decode(params, None, z, component))

    z = Input("z", (config.latent,), "float32", "codes")
    return Program("decoder", (z, *_category(params)), {"x": _IMAGE}, _over_batch(decode))


def _sampler(params: Params) -> Program:
    config = params.config
    size = (config.latent,)
    inputs = [*_category(params), Input("noise", size, "float32", "standard normal numbers")]
    if config.levels > 1:
        meaning = "standard normal numbers for the lower code; zeros give its mean"
        inputs.append(Input("noise_below", size, "float32", meaning))
    if config.groups is not None:
        meaning = "numbers from 0 to 1, uniform, which pick a component of the merged category"
        inputs.append(Input("pick", (), "float32", meaning))
    names = [given.name for given in inputs]

    def sample(*arrays: jax.Array) -> jax.Array:
        given = dict(zip(names, arrays, strict=True))
        noise = given["noise"]
        component = given.get("category", jnp.zeros(len(noise), jnp.int32))
        if "pick" in given:
            component = components.chosen(params, component, given["pick"])
        z = parts.components(params).place(noise, component)
        seen = models.of(config).seen(component)
        below = given.get("noise_below")
        return _mean(params, parts.levels(config).generate(params, None, z, seen, below))

    return Program("sampler", tuple(inputs), {"x": _IMAGE}, _over_batch(sample))


_IMAGE = "the mean of new examples, in the unit of the training data"


def _category(params: Params) -> tuple[Input, ...]:
    """The input of the category, for a model that has categories."""
    if priors.of(params.config).single:
        return ()
    meaning = f"a category for each, from 0 to {params.config.categories - 1}"
    return (Input("category", (), "int32", meaning),)


def _mean(params: Params, output: jax.Array) -> jax.Array:
    """The decoder's output to the mean of x in the user's unit."""
    mean = likelihoods.of(params.config).mean(params.config, params.likelihood, output)
    return likelihoods.restored(params, mean)


def _over_batch(function: Callable[..., jax.Array | tuple[jax.Array, ...]]) -> Callable:
    """A function of batches, from one that is only ever called with a batch of one."""

    @exact
    def of_one(*arrays: jax.Array) -> jax.Array | tuple[jax.Array, ...]:
        batch = function(*(array[None] for array in arrays))
        return jax.tree.map(lambda found: found[0], batch)

    return jax.vmap(of_one)
