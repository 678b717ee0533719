"""`--K auto` and `--K 2-20`: a run that chooses its number of categories.

RUN/selection/K005 is the run folder of one K. The model that is chosen is written where that of any run
lies, so that whatever reads a run reads this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jax.sharding import Mesh

from cpvae_jax import processes
from cpvae_jax.commands import settings
from cpvae_jax.commands.job import Job
from cpvae_jax.config import Config
from cpvae_jax.data import Dataset
from cpvae_jax.keys import purpose
from cpvae_jax.report import selection as picture
from cpvae_jax.storage import checkpoint, run_folder
from cpvae_jax.storage.run_folder import RunFolder
from cpvae_jax.training import continuing, numbers, selection
from cpvae_jax.training.callbacks import Callback
from cpvae_jax.training.fit import Fit
from cpvae_jax.training.recipe import Recipe
from cpvae_jax.training.run import Run
from cpvae_jax.training.selection import Selection, select

FOLDER = "selection"
"""The folder of the runs of each K in the folder of the run."""

RESULT = "selection.json"


class _Announce(Callback):
    """Says which K is trained."""

    def start(self, run: Run) -> None:
        """Say it before the first epoch."""
        if processes.first():
            done = f", finished after {run.epoch} epochs" if run.finished else ""
            print(f"K = {run.config.K}{done}", flush=True)


def tried(given: str) -> str | range:
    """The numbers that a flag asks for.

    >>> tried("2-4"), tried("auto")
    (range(2, 5), 'auto')
    """
    if given == numbers.AUTO:
        return given
    first, last = map(int, given.split("-"))
    return range(first, last + 1)


def train(
    job: Job,
    config: Config,
    found: Dataset,
    folder: RunFolder,
    called: Sequence[Any],
    mesh: Mesh | None,
) -> Fit:
    """Trains models with different K, and writes the one that is chosen to the run folder.

    Returns:
      What training left of the chosen K, its categories merged; of the last K, if a signal stopped it.
    """
    assert job.numbers is not None
    keys = settings.seed_keys(job)
    made = select(
        keys,
        config,
        found.train,
        found.valid,
        K=tried(job.numbers),
        recipe=Recipe(
            lambda of_K, _: settings.training(job, of_K, found), "the settings of the job"
        ),
        folder=folder.path / FOLDER,
        resume=job.options.resume,
        callbacks=[*called, _Announce()],
        mesh=mesh,
    )
    if made.stopped is not None:
        return list(made.fits.values())[-1]
    fit = made.fits[made.K]
    own = purpose(keys[0], "overlap")
    merged = tuple(selection.merge_overlapping(own, params)[0] for params in fit.seeds)
    fit = fit._replace(params=made.params, seeds=merged)
    if processes.first():
        _write(folder, fit, made)
        print(_summary(made), flush=True)
    return fit


def _write(folder: RunFolder, fit: Fit, made: Selection) -> None:
    """Writes the model, the log of its training, the table and the picture."""
    with checkpoint.open_for(folder.path / checkpoint.FOLDER) as steps:
        steps.write(int(fit.state.epoch[0]), made.params)
    folder.rewind(0)
    of_K = RunFolder(selection.of_number(folder.path / FOLDER, made.K))
    for line in of_K.lines(run_folder.LOG):
        folder.append(run_folder.LOG, line)
    folder.write_json(
        RESULT,
        {
            "K": made.K,
            "categories": made.categories,
            "table": made.table,
            "merges": [merge._asdict() for merge in made.merges],
        },
    )
    with folder.writing():
        picture.curve(folder.picture("selection"), made.table, made.K, made.categories)


def chosen(record: dict[str, Any], config: Config) -> dict[str, Any]:
    """The record of a run's settings for its scores: with the model that was chosen, and from what."""
    return {
        **record,
        "model": continuing.json_ready(config.to_dict()),
        "K_from": record["model"]["K"],
    }


def _summary(made: Selection) -> str:
    """The table as lines, and what was chosen."""
    lines = [f"{'K':>5} {'bound':>10} {'behind the best':>16} {'± paired error':>14}"]
    lines += [
        f"{row['K']:>5.0f} {row['bound']:>10.2f} {row['behind']:>16.3f} {row['behind_error']:>14.3f}"
        for row in made.table
    ]
    merged = ""
    if made.merges:
        merged = f"; merged to {made.categories} categories, because samples of some are mixed up"
    return "\n".join([*lines, f"chosen: K = {made.K}{merged}"])
