"""What a job means for its data: the model, the training settings, the folder, and their record."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from cpvae_jax import data, likelihoods
from cpvae_jax.commands.job import PAPER, Job
from cpvae_jax.config import Config, Training, parts_of_model
from cpvae_jax.data import Dataset
from cpvae_jax.errors import UserError
from cpvae_jax.registry import PRIORS
from cpvae_jax.storage import run_folder
from cpvae_jax.training import continuing
from cpvae_jax.training import recipe as recipes


def load_data(job: Job) -> Dataset:
    """The data set of a job."""
    with warnings.catch_warnings():
        # The command prints these notes with the source of the data.
        warnings.filterwarnings("ignore", "reading ", UserWarning)
        return data.load(job.dataset, **job.folders.named(), **job.data_options)


def model_config(job: Job, found: Dataset) -> Config:
    """The model of a job, for the shape and the kind of its data."""
    model = {"likelihood": likelihoods.suiting(found.kind), **job.model}
    if "model" in model:
        if model.keys() & {"prior", "levels"}:
            raise UserError("--model stands for --prior and --levels; give it or them, not both.")
        model["prior"], model["levels"] = parts_of_model(model.pop("model"))
    if "K" not in model and PRIORS[model.get("prior", Config.prior)].single:
        model["K"] = 1
    return Config(shape=found.shape, **model)


def training(job: Job, config: Config, found: Dataset) -> Training:
    """The training settings of a job: its recipe, then the data set's, then those given one by one."""
    recipe = recipes.resolve(job.recipe, config, len(found.train))
    of_data = found.training if job.recipe == PAPER else {}
    return replace(recipe, **{**of_data, **job.training})


def default_path(job: Job, config: Config) -> Path:
    """runs/mnist-K10-seed0, runs/mnist-hvp-K10-short-seed0, or runs/mnist-K10-seeds0-7."""
    first, last = job.seeds[0], job.seeds[-1]
    parts = [
        Path(os.path.abspath(job.dataset)).stem,  # "." has the name of its folder
        *([] if config.model == Config.prior else [config.model]),
        f"K{config.K}",
        *([] if job.recipe == PAPER else [job.recipe]),
        f"seed{first}" if first == last else f"seeds{first}-{last}",
    ]
    return Path("runs") / "-".join(parts)


def record(job: Job, config: Config, training: Training, found: Dataset) -> dict[str, Any]:
    """Everything that decides the numbers of a run, as JSON holds it."""
    return {
        "dataset": run_folder.same_path(job.dataset),
        **continuing.json_ready(dict(job.data_options)),
        "seed": job.options.seed,
        "seeds": job.options.seeds,
        **continuing.record(
            config,
            training,
            seed_keys(job),
            {"train": found.train, "valid": found.valid, "test": found.test},
        ),
    }


def seed_keys(job: Job) -> jax.Array:
    """The random keys of a job's seeds, [R]."""
    return jnp.stack([jax.random.key(seed) for seed in job.seeds])
