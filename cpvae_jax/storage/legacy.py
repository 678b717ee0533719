"""Models of format 1: the same arrays under other names, and in other shapes where x was flat."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from cpvae_jax.types import Params, Tree


def template(now: Params) -> dict[str, Tree]:
    """The arrays of format 1 for a model whose template today is `now`: shapes, or arrays of it."""
    return _renamed(now, _flat_shape(now))


def to_params(arrays: dict[str, Tree], now: Params) -> Params:
    """The model that arrays of format 1 stand for."""
    encoder, prior, likelihood = arrays["encoder"], arrays["prior"], arrays["likelihood"]
    heads = {name: encoder[name] for name in now.weights["heads"]}
    weights = {
        "encoder": encoder["trunk"],
        "heads": heads,
        "posterior": {},
        "prior": {name: prior[name] for name in now.weights["prior"]},
        "decoder": arrays["decoder"],
        "below": encoder.get("below", {}),
        "likelihood": {name: likelihood[name] for name in now.weights["likelihood"]},
    }
    stats = {
        "aggregate": arrays["aggregate"],
        "likelihood": {name: likelihood[name] for name in now.stats["likelihood"]},
    }
    weights, stats = jax.tree.map(
        lambda a, like: jnp.reshape(a, like.shape), (weights, stats), (now.weights, now.stats)
    )
    return Params(weights, stats, now.config)


def _renamed(now: Params, flat: dict[str, Tree]) -> dict[str, Tree]:
    weights, stats = now.weights, now.stats
    encoder: dict[str, Any] = {"trunk": weights["encoder"], **weights["heads"]}
    if weights["below"]:
        encoder["below"] = weights["below"]
    return {
        "encoder": encoder,
        "prior": flat["prior"],
        "decoder": weights["decoder"],
        "likelihood": {**weights["likelihood"], **flat["likelihood"]},
        "aggregate": stats["aggregate"],
    }


def _flat_shape(now: Params) -> dict[str, Tree]:
    """Arrays that held x flat, and the mean that the standard normal prior used to store."""
    config = now.config

    def flat(leaf: Any, axes: int) -> Any:
        shape = (*leaf.shape[:axes], config.size)
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(shape, leaf.dtype)
        return jnp.reshape(leaf, shape)

    prior = dict(now.weights["prior"])
    if "pseudo_inputs" in prior:
        prior["pseudo_inputs"] = flat(prior["pseudo_inputs"], 1)
    if config.prior == "vae":
        prior["mean"] = jax.ShapeDtypeStruct((1, config.latent), jnp.float32)
    likelihood = {
        name: flat(leaf, 0) if leaf.shape == config.shape else leaf
        for name, leaf in now.stats["likelihood"].items()
    }
    return {"prior": prior, "likelihood": likelihood}
