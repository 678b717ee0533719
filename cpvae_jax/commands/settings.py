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
from cpvae_jax.config import Config, Training
from cpvae_jax.data import Dataset
from cpvae_jax.errors import UserError
from cpvae_jax.registry import LIKELIHOODS, PRIORS, RECIPES, parts_of_model
from cpvae_jax.storage import run_folder
from cpvae_jax.training import continuing, numbers
from cpvae_jax.training import recipe as recipes


def load_data(job: Job) -> Dataset:
    """The data set of a job."""
    options = dict(job.data_options)
    likelihood = job.model.get("likelihood")
    if likelihood is not None and data.is_table(job.dataset):
        options["coded"] = LIKELIHOODS[likelihood].coded
    with warnings.catch_warnings():
        # The command prints these notes with the source of the data.
        warnings.filterwarnings("ignore", "reading ", UserWarning)
        return data.load(job.dataset, **job.folders.named(), **options)


def model_config(job: Job, found: Dataset) -> Config:
    """The model of a job, for the shape and the kind of its data."""
    model = {"likelihood": likelihoods.suiting(found.kind), **job.model}
    if "model" in model:
        if model.keys() & {"prior", "levels"}:
            raise UserError("--model stands for --prior and --levels; give it or them, not both.")
        model["prior"], model["levels"] = parts_of_model(model.pop("model"))
    if job.numbers is not None:
        numbers.check_prior(model.get("prior", Config.prior))
    if "K" not in model and PRIORS[model.get("prior", Config.prior)].single:
        model["K"] = 1
    config = Config(shape=found.shape, columns=found.columns, **model)
    suited = RECIPES[recipe(job, config)].model(found.shape, len(found.train))
    return replace(config, **{name: value for name, value in suited.items() if name not in model})


def recipe(job: Job, config: Config) -> str:
    """The name of the recipe of a job; numbers of categories to choose from are trained alike."""
    return job.recipe or ("modes" if job.numbers else recipes.default(config))


def training(job: Job, config: Config, found: Dataset) -> Training:
    """The training settings of a job: its recipe, then the data set's, then those given one by one."""
    name = recipe(job, config)
    settings = recipes.resolve(name, config, len(found.train))
    of_data = found.training if name == PAPER else {}
    return replace(settings, **{**of_data, **job.training})


def default_path(job: Job, config: Config) -> Path:
    """runs/mnist-K10-seed0, runs/mnist-hcp-K2-20-short-seed0, or runs/mnist-Kauto-seeds0-7."""
    first, last = job.seeds[0], job.seeds[-1]
    parts = [
        Path(os.path.abspath(job.dataset)).stem,  # "." has the name of its folder
        *([] if config.model == Config.prior else [config.model]),
        f"K{job.numbers or config.K}",
        *([] if recipe(job, config) == recipes.default(config) else [recipe(job, config)]),
        f"seed{first}" if first == last else f"seeds{first}-{last}",
    ]
    return Path("runs") / "-".join(parts)


def record(job: Job, config: Config, training: Training, found: Dataset) -> dict[str, Any]:
    """All settings and data that determine the results of a run, in JSON form."""
    about = continuing.record(
        config,
        training,
        seed_keys(job),
        {"train": found.train, "valid": found.valid, "test": found.test},
    )
    if job.numbers is not None:
        about["model"]["K"] = job.numbers
    return {
        "dataset": run_folder.same_path(job.dataset),
        **continuing.json_ready(dict(job.data_options)),
        "seed": job.options.seed,
        "seeds": job.options.seeds,
        **about,
    }


def seed_keys(job: Job) -> jax.Array:
    """The random keys of a job's seeds, [R]."""
    return jnp.stack([jax.random.key(seed) for seed in job.seeds])
