"""Tables of levels: a distribution per column beside a Gaussian on one-hot columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.tables import labelled

SAMPLES = 1000
"""Importance samples per row of the log-likelihood."""


def densities(name: str, folder: Path, seed: int) -> dict[str, Any]:
    """Bound and log-likelihood of test rows: a distribution per column, and a Gaussian on one-hot columns.

    The density of a Gaussian has no meaning for levels, so its bound is given as trained, and also with
    the probabilities that it stands for: those of the levels are in proportion to their densities.
    """
    import jax

    import cpvae_jax
    from cpvae_jax import columns as kinds
    from cpvae_jax.data import coding, inference
    from cpvae_jax.data.dataset import split, tenth
    from cpvae_jax.training import recipe as recipes

    table, _ = labelled(folder / f"{name}.csv", "class")
    columns = inference.infer(table)
    coded = coding.encode(columns, table)
    held = tenth(len(coded))
    train, valid, test = split(len(coded), valid=held, test=held)
    W = kinds.width(columns)
    result: dict[str, Any] = {}
    for likelihood, x in (("mixed", coded), ("gaussian", coded[:, :W])):
        of_mixed = columns if likelihood == "mixed" else None
        fields: dict[str, Any] = recipes.MODES.model(x.shape[1:], len(train))
        config = cpvae_jax.Config(
            shape=x.shape[1:], K=10, likelihood=likelihood, columns=of_mixed, **fields
        )
        key = jax.random.key(seed)
        params = cpvae_jax.fit(key, config, x[train], x[valid], callbacks=[]).params
        if likelihood == "gaussian":
            bound = cpvae_jax.bound_terms(params, key, x[test], samples=8)["bound"]
            result["gaussian, density"] = {"bound": float(bound.mean())}
            params = with_levels(params, columns)
            likelihood = "gaussian, probabilities"
        bound = cpvae_jax.bound_terms(params, key, x[test], samples=8)["bound"]
        log_p = cpvae_jax.log_likelihood(params, key, x[test], samples=SAMPLES)
        result[likelihood] = {"bound": float(bound.mean()), "log_likelihood": float(log_p.mean())}
    return result


def with_levels(params: Any, columns: Any) -> Any:
    """A model with the likelihood "gaussian" on one-hot rows, as a distribution of levels."""
    import dataclasses

    import jax
    import jax.numpy as jnp

    from cpvae_jax import columns as kinds
    from cpvae_jax import likelihoods
    from cpvae_jax.likelihoods import gaussian

    places = [np.array(p) for p in kinds.places(columns)]

    def log_prob(config: Any, own: Any, output: Any, x: Any) -> Any:
        scale = own.stats["scale"]
        log_var = gaussian._log_var(config, own) + jnp.zeros(config.size)
        total: Any = 0.0
        for column, place in zip(columns, places, strict=True):
            o, var = output[..., place, 0], jnp.exp(log_var[place])
            if column.kind in kinds.NUMBERS:
                square = (x[..., place] - o) ** 2 / var
                density = -0.5 * (square + jnp.log(2 * jnp.pi * var)) - jnp.log(scale[place])
                total += density[..., 0]
                continue
            hot = np.eye(column.width) if column.width > 1 else np.array([[0.0], [1.0]])
            if column.kind == kinds.CATEGORICAL and column.width == 1:
                continue  # a single level is certain
            each = (jnp.asarray(hot) - own.stats["shift"][place]) / scale[place]
            logits = -0.5 * jnp.sum((each - o[..., None, :]) ** 2 / var, axis=-1)
            near = jnp.sum((each - x[..., None, place]) ** 2, axis=-1)
            chosen = jax.nn.one_hot(jnp.argmin(near, axis=-1), len(hot))
            total += jnp.sum(jax.nn.log_softmax(logits) * chosen, axis=-1)
        return total

    name = f"levels-{len(columns)}"
    if name not in likelihoods.names():
        likelihoods.register(name, gaussian.LIKELIHOOD._replace(log_prob=log_prob))
    return dataclasses.replace(params, config=dataclasses.replace(params.config, likelihood=name))
