"""Many runs, one after another: the cells of a table, each done once.

A cell is a data set, a model and K. Each run has its own folder, from which an interrupted sweep
continues. When a run ends, its scores go into one small file per seed. The table and the figures
are made from those files and folders. Finished runs are not repeated, and runs that another
sweep is working on are skipped, so several sweeps can share the work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from cpvae_jax.commands.flags import option
from cpvae_jax.commands.job import Folders, Job, Options
from cpvae_jax.errors import UserError
from cpvae_jax.storage import run_folder
from experiments import run

OMNIGLOT = {"learning_rate": 1e-3, "warmup": 30, "temperature_epochs": 30}
SYNTHETIC = {"epochs": 40, "decay_epochs": 40, "warmup": 5, "temperature_epochs": 5}

SHORT: dict[str, Mapping[str, Any]] = {"omniglot": OMNIGLOT, "synthetic": SYNTHETIC}
"""Training settings of data sets for which the recipe "short" does not suit."""

SCHEDULES = {
    "tight": "a flow as posterior, the start and the regularisers of modes, 400 epochs (omniglot: 600), "
    "step size 1e-3 falling to 0 along half a cosine, averaged weights",
    "paper": "the paper's: step size 5e-4, warm-up over 100 epochs, early stopping",
    "long": "400 epochs, step size 1e-3 falling to 0 along half a cosine, warm-up over 40",
    "short": "100 epochs (synthetic: 40), step size 3e-3 (omniglot, hvae, hvp, hcp: 1e-3) falling to "
    "0 along half a cosine, warm-up over 10 (omniglot: 30, synthetic: 5)",
}
"""The recipes of a sweep, and what they are."""


@dataclass(frozen=True)
class SweepOptions:
    """The flags of every command that sweeps."""

    schedule: str = option(
        "short",
        "; ".join(f"{name}: {text}" for name, text in SCHEDULES.items()),
        choices=tuple(SCHEDULES),
    )
    only: tuple[str, ...] = option(
        ("*",), "cells by name or pattern, such as mnist-cp-K10 or '*-K50'", metavar="CELL"
    )
    seeds: int = option(1, "number of seeds of each cell: 0, 1, …")
    side_by_side: int = option(
        1, "number of seeds to train in one program; more than 1 pays on a GPU", metavar="R"
    )
    runs: Path | None = option(None, "folder of the runs (default: runs/SCHEDULE)")
    results: Path | None = option(None, "folder of the scores (default: results/SCHEDULE)")
    log_likelihood: int = option(
        5000, "importance samples per example for log p(x); 0 leaves it out", metavar="S"
    )
    refine: int = option(
        0, "gradient steps of the refined bound, see experiments.run --help", metavar="STEPS"
    )
    likelihood_images: int = option(
        1000,
        "number of test examples for log p(x) and the refined bound, see experiments.run --help",
        metavar="N",
    )


class Cell(NamedTuple):
    """A cell of a table."""

    dataset: str
    model: str
    K: int

    @property
    def name(self) -> str:
        """The name in folders, files and `--only`: mnist-cp-K10."""
        return f"{self.dataset}-{self.model}-K{self.K}"


class Sweep(NamedTuple):
    """Where a sweep trains and writes, and how."""

    schedule: str
    runs: Path
    results: Path
    seeds: int
    side_by_side: int
    base: Job
    """What the jobs of all cells have in common; `dataset` and `model` are those of each cell"""

    def job(self, cell: Cell, first: int, number: int) -> Job:
        """The job that trains some seeds of a cell."""
        path = self._folder(cell, first, number)
        exceptions = SHORT.get(cell.dataset, {}) if self.schedule == "short" else {}
        job = replace(
            self.base,
            dataset=cell.dataset,
            model={"model": cell.model, "K": cell.K, **self.base.model},
            recipe=self.schedule,
            training={**exceptions, **self.base.training},
        )
        resume = (path / run_folder.CONFIG).exists()
        return job.with_options(seed=first, seeds=number, out=path, resume=resume)

    def finished_run(self, cell: Cell, seed: int) -> Path | None:
        """The folder of the finished run that has a seed of a cell; None if there is none."""
        for first, number in self.groups():
            path = self._folder(cell, first, number)
            if first <= seed < first + number and (path / run_folder.SCORES).exists():
                return path
        return None

    def groups(self) -> Iterator[tuple[int, int]]:
        """The first seed and the number of seeds of each program."""
        for first in range(0, self.seeds, self.side_by_side):
            yield first, min(self.side_by_side, self.seeds - first)

    def _folder(self, cell: Cell, first: int, number: int) -> Path:
        last = f"seeds{first}-{first + number - 1}" if number > 1 else f"seed{first}"
        return self.runs / f"{cell.name}-{last}"

    def result(self, cell: Cell, seed: int) -> Path:
        """The file of a seed's scores."""
        return self.results / f"{cell.name}-seed{seed}.json"

    def done(self, cell: Cell) -> list[dict[str, Any]]:
        """The scores of a cell so far, of any seed."""
        paths = sorted(self.results.glob(f"{cell.name}-seed*.json"))
        return [run_folder.result(path) for path in paths]

    def train(self, cells: Iterable[Cell]) -> int:
        """Trains and scores what is missing.

        A run that fails or diverges does not stop the others; a signal ends the sweep. Runs that
        another sweep is working on are skipped.

        Returns:
          The exit code of the last run that failed, or 0.
        """
        failed = 0
        for cell in cells:
            for first, number in self.groups():
                code = self._train_once(cell, first, number)
                if code >= 128:
                    return code
                failed = code or failed
        return failed

    def _train_once(self, cell: Cell, first: int, number: int) -> int:
        """Trains and scores some seeds of a cell, unless they are done or another sweep has them."""
        results = [self.result(cell, seed) for seed in range(first, first + number)]
        if all(path.exists() for path in results):
            return 0
        with ExitStack() as stack:
            locks = (self.runs / f".{path.stem}.lock" for path in results)
            mine = all(stack.enter_context(run_folder.locked(path)) for path in locks)
            if mine and all(path.exists() for path in results):  # another sweep, meanwhile
                return 0
            title = f"== {cell.name}, seed {first}"
            title += f" and {number - 1} more" if number > 1 else ""
            print(title if mine else f"{title}: another sweep is working on it", flush=True)
            return self._run(cell, first, number) if mine else 0

    def _run(self, cell: Cell, first: int, number: int) -> int:
        code = run.run(self.job(cell, first, number))
        if code == 0:
            self._collect(cell, self._folder(cell, first, number))
        return code

    def _collect(self, cell: Cell, path: Path) -> None:
        """Writes the scores of a run folder, one file per seed."""
        scores = run_folder.result(path / run_folder.SCORES)
        seeds = scores.pop("seeds")
        with run_folder.writing(self.results):
            self.results.mkdir(parents=True, exist_ok=True)
        for of_seed in seeds:
            target = run_folder.RunFolder(self.results)
            entry = {"cell": cell._asdict(), "schedule": self.schedule, **of_seed}
            entry |= {**scores, "trained_side_by_side": len(seeds)}
            target.write_json(self.result(cell, of_seed["seed"]).name, entry)


def of(options: SweepOptions, folders: Folders) -> Sweep:
    """The sweep that the flags describe.

    Raises:
      UserError: a number is out of range.
    """
    for name in ("seeds", "side_by_side"):
        if getattr(options, name) < 1:
            flag = f"--{name.replace('_', '-')}"
            raise UserError(f"{flag} is {getattr(options, name)}; it must be at least 1.")
    quiet = Options(
        quiet=True,
        log_likelihood=options.log_likelihood,
        likelihood_images=options.likelihood_images,
        refine=options.refine,
    )
    return Sweep(
        schedule=options.schedule,
        runs=options.runs or Path("runs") / options.schedule,
        results=options.results or Path("results") / options.schedule,
        seeds=options.seeds,
        side_by_side=options.side_by_side,
        base=Job("", folders=folders, options=quiet),
    )


def chosen(cells: Sequence[Cell], patterns: Sequence[str]) -> list[Cell]:
    """The cells that match one of the patterns.

    Raises:
      UserError: a pattern matches no cell.

    >>> cells = [Cell("mnist", "cp", 10), Cell("omniglot", "cp", 50)]
    >>> [cell.name for cell in chosen(cells, ["mnist-*"])]
    ['mnist-cp-K10']
    """
    for pattern in patterns:
        if not any(fnmatch(cell.name, pattern) for cell in cells):
            raise UserError(
                f"--only {pattern} matches no cell; choose from "
                f"{', '.join(cell.name for cell in cells)}."
            )
    return [cell for cell in cells if any(fnmatch(cell.name, p) for p in patterns)]
