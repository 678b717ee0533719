"""CP-VAE in JAX: a variational autoencoder that samples from any one mode of its data.

    import cpvae_jax, jax
    params = cpvae_jax.load("runs/mnist-K10-seed0")
    images = cpvae_jax.sample(params, jax.random.key(0), category=3, num=64)

To read it beside the paper, start with `models/cpvae.py`, `objectives/` and `training/step.py`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cpvae_jax.api import (
        decode,
        encode,
        initialise,
        load,
        predict,
        reconstruct,
        sample,
    )
    from cpvae_jax.columns import Column
    from cpvae_jax.config import Config, Training
    from cpvae_jax.data.rows import Rows
    from cpvae_jax.deployment.folder import export, save
    from cpvae_jax.errors import UserError
    from cpvae_jax.estimator import CPVAE
    from cpvae_jax.evaluation.aggregate import aggregated_posterior
    from cpvae_jax.evaluation.decomposition import decomposition
    from cpvae_jax.evaluation.estimates import bound, bound_terms, log_likelihood
    from cpvae_jax.evaluation.imputation import impute
    from cpvae_jax.evaluation.refinement import refined_bound
    from cpvae_jax.merging import merge, prune
    from cpvae_jax.training.fit import Fit, fit
    from cpvae_jax.training.selection import Selection, select
    from cpvae_jax.types import Params, Posterior, Terms

__all__ = [
    "CPVAE",
    "Column",
    "Config",
    "Fit",
    "Params",
    "Posterior",
    "Rows",
    "Selection",
    "Terms",
    "Training",
    "UserError",
    "aggregated_posterior",
    "bound",
    "bound_terms",
    "decode",
    "decomposition",
    "encode",
    "export",
    "fit",
    "impute",
    "initialise",
    "load",
    "log_likelihood",
    "merge",
    "predict",
    "prune",
    "reconstruct",
    "refined_bound",
    "sample",
    "save",
    "select",
]
__version__ = "0.1.0"

_MODULES = {
    "api": ("decode", "encode", "initialise", "load", "predict", "reconstruct", "sample"),
    "columns": ("Column",),
    "config": ("Config", "Training"),
    "data.rows": ("Rows",),
    "deployment.folder": ("export", "save"),
    "errors": ("UserError",),
    "estimator": ("CPVAE",),
    "evaluation.aggregate": ("aggregated_posterior",),
    "evaluation.decomposition": ("decomposition",),
    "evaluation.estimates": ("bound", "bound_terms", "log_likelihood"),
    "evaluation.imputation": ("impute",),
    "evaluation.refinement": ("refined_bound",),
    "merging": ("merge", "prune"),
    "training.fit": ("Fit", "fit"),
    "training.selection": ("Selection", "select"),
    "types": ("Params", "Posterior", "Terms"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: JAX takes a second, which `--help` need not wait."""
    if name.startswith("_"):
        raise AttributeError(name)
    if name in _HOME:
        return getattr(import_module(f"cpvae_jax.{_HOME[name]}"), name)
    try:
        return import_module(f"cpvae_jax.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"cpvae_jax.{name}":  # a module of ours that lacks another
            raise
        raise AttributeError(f"module 'cpvae_jax' has no attribute {name!r}") from error
