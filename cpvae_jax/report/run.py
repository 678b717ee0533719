"""The report of a finished run: its scores in metrics.json, its pictures, and the page report.html."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from cpvae_jax import priors
from cpvae_jax.config import Training
from cpvae_jax.data import Dataset
from cpvae_jax.data.rows import sample_of
from cpvae_jax.evaluation import stability
from cpvae_jax.keys import purpose
from cpvae_jax.report import agreement, baselines, pictures, scores, units
from cpvae_jax.report.html import content, page
from cpvae_jax.report.tighter import Tighter
from cpvae_jax.storage import run_folder
from cpvae_jax.storage.run_folder import RunFolder
from cpvae_jax.training import doubts
from cpvae_jax.types import Params


class Trained(NamedTuple):
    """What training left of each seed, in order."""

    seeds: Sequence[int]
    params: Sequence[Params]
    valid_bounds: Sequence[float]
    best_epochs: Sequence[int]
    epochs: int
    """Epochs done"""
    stopped_early: bool
    """Whether early stopping ended all seeds"""

    @property
    def best(self) -> int:
        """The place of the seed with the best validation bound; the first of equals.

        Labels have no say in this choice.
        """
        return max(range(len(self.seeds)), key=lambda index: self.valid_bounds[index])


def write_scores(
    folder: RunFolder,
    data: Dataset,
    trained: Trained,
    training: Training,
    settings: Mapping[str, Any],
    *,
    bound_samples: int = 1,
    tighter: Tighter = Tighter(),  # noqa: B008 - immutable
    mesh: Mesh | None = None,
) -> dict[str, Any]:
    """Scores every seed on the test split and writes metrics.json.

    Args:
      folder: the folder of the run.
      data: the data set.
      trained: the seeds.
      training: its last temperature is that of the relaxed figure.
      settings: what decides the numbers of the run, for the file.
      bound_samples: draws of z per example for the bound.
      tighter: the scores that cost more, log p(x) and the refined bound.
      mesh: the devices to spread the work over.

    Returns:
      The scores of the seed with the best validation bound. Under "warnings" are sentences on why
      its categories may be of no use, see `training.doubts` and `baselines.doubts`; none for a sound
      run. With several seeds that have categories also "stability", what `stability.between` returns
      for the test part.
    """
    began = time.monotonic()
    history = folder.lines(run_folder.LOG)
    classical = baselines.of_data(trained.params[0], data)
    per_seed = []
    for place, (seed, params, bound, epoch) in enumerate(zip(*trained[:4], strict=True)):
        found = scores.evaluate(
            params,
            seed,
            data,
            temperature=training.temperature_end,
            bound_samples=bound_samples,
            tighter=tighter,
            classical=classical,
            mesh=mesh,
        )
        used = {name: found["categories"][name] for name in ("largest_share", "information")}
        found["warnings"] = doubts.of_run(training, params.config, history, place, **used)
        found["warnings"] += baselines.doubts(found, training)
        per_seed.append({"seed": seed, "valid_bound": bound, "best_epoch": epoch, **found})
    about = _about(folder, data, trained, settings, time.monotonic() - began)
    best = per_seed[trained.best]
    stable = _stability(trained, data)
    told = {"warnings": best["warnings"], **stable, "seeds": per_seed}
    folder.write_json(run_folder.SCORES, {**about, **told})
    return {**best, **stable}


def _stability(trained: Trained, data: Dataset) -> dict[str, Any]:
    """How far the seeds agree on the test part, if there are several and their models have categories."""
    configs = [params.config for params in trained.params]
    if len(configs) < 2 or any(priors.of(c).single or c.categories < 2 for c in configs):
        return {}
    everything = np.arange(len(data.test))
    categories = {
        seed: agreement.predicted(params, data.test, everything)
        for seed, params in zip(trained.seeds, trained.params, strict=True)
    }
    return {"stability": stability.between(categories)}


def _about(
    folder: RunFolder, data: Dataset, trained: Trained, settings: Mapping[str, Any], seconds: float
) -> dict[str, Any]:
    """What metrics.json says about the run, beside the scores of its seeds."""
    return {
        "sessions": folder.lines(run_folder.SESSIONS),
        "source": data.source,
        "examples": {p: len(getattr(data, p)) for p in ("train", "valid", "test")},
        "config": settings,
        "epochs": trained.epochs,
        "stopped_early": trained.stopped_early,
        "seconds_training": sum(line["seconds"] for line in folder.lines(run_folder.LOG)),
        "seconds_scoring": seconds,
        "kept_seed": trained.seeds[trained.best],
        "value_range": units.value_range(trained.params[trained.best].config, data.test),
    }


def draw_pictures(
    folder: RunFolder, seed: int, data: Dataset, params: Params, history: Sequence[dict[str, Any]]
) -> None:
    """Draws the pictures of one seed of a run."""
    key = purpose(jax.random.key(seed), "pictures")
    with folder.writing():
        pictures.samples(folder.picture("samples"), params, key, data.test)
        pictures.reconstructions(folder.picture("reconstructions"), params, data.test)
        if history:
            pictures.curves(folder.picture("curves"), history)
        if params.config.categories > 1:
            pictures.aggregate(folder.picture("aggregate"), params)
        if data.shape == (1,):
            draws = scores.densities(params, scores.Keys.of(seed).density, data)
            distances = scores.density_distances(draws, sample_of(data.train))
            pictures.densities(folder.picture("densities"), draws, distances)


def write_page(folder: RunFolder, seed: int, data: Dataset, params: Params) -> None:
    """Writes report.json and report.html, once the scores of the run are written.

    Args:
      folder: the folder of the run.
      seed: decides the random draws; that of the best model.
      data: the data set.
      params: the best model.
    """
    found = content.of_run(params, data, seed)
    folder.write_text(run_folder.CONTENT, json.dumps(found, separators=(",", ":")) + "\n")
    folder.write_text(run_folder.PAGE, page.of_folder(folder.path))
