"""How well categories follow the classes of real data: `python -m experiments.clusters`.

It trains and scores every seed that has no result yet, each as `experiments.run` does, and prints a
table beside k-means, a Gaussian mixture and the target; `--print` only prints. Labels are used for
scores and nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cpvae_jax.commands import flags
from cpvae_jax.commands.flags import Partial, option
from cpvae_jax.commands.job import Folders
from cpvae_jax.commands.main import as_process, exit_code
from cpvae_jax.report.baselines import KMEANS, MIXTURE
from experiments import marks, sweep
from experiments.sweep import Cell, Sweep, SweepOptions

CRITERION = "valid_bound"
"""The score that chooses among seeds without labels; larger is better."""

HUNGARIAN, MAJORITY = "accuracy_hungarian", "accuracy_majority"


class Target(NamedTuple):
    """What a cell is scored by, and what it aims at.

    Attributes:
      seeds: the number of seeds.
      mean: the least mean over the seeds; None if there is none.
      worst: the least score of any seed.
      margin: how far the mean is to be above the better of k-means and the mixture; negative for how
        far it may be below.
      score: the score, a key of "clustering".
    """

    seeds: int
    mean: float | None = None
    worst: float | None = None
    margin: float | None = None
    score: str = HUNGARIAN


TARGETS = {
    Cell("digits", "cp", 10): Target(10, mean=0.96, worst=0.93),
    Cell("iris", "cp", 3): Target(5, margin=-0.02),
    Cell("wine", "cp", 3): Target(5, margin=-0.02),
    Cell("breast_cancer", "cp", 2): Target(5, margin=-0.02),
    Cell("penguins", "cp", 3): Target(5, margin=-0.02),
    Cell("satimage", "cp", 6): Target(5, margin=-0.02),
    Cell("letter", "cp", 26): Target(5, margin=-0.02),
    Cell("pendigits", "cp", 10): Target(5, margin=0.05),
    Cell("optdigits", "cp", 10): Target(5, margin=0.05),
    Cell("mnist", "cp", 10): Target(10, mean=0.983, worst=0.978),
    Cell("fashion_mnist", "cp", 10): Target(3, mean=0.64),
    Cell("mnist", "cp", 50): Target(3, mean=0.975, score=MAJORITY),
    Cell("omniglot", "cp", 50): Target(2, score=MAJORITY),
}
"""The cells, cheap ones first. Images are scored on their test part, tables on all rows."""


@dataclass(frozen=True)
class Table:
    """How the cells are trained, and what to do besides."""

    recipe: str = option("modes", "named training settings, see experiments.run --help")
    print: bool = option(False, "only print the table of the cells that are done")


SWEEP = Partial(
    SweepOptions,
    without=("schedule", "log_likelihood", "likelihood_images", "refine"),
    change={
        "only": {"help": "cells by name or pattern, such as digits-cp-K10 or 'mnist-*'"},
        "seeds": {"default": "those of its target"},
        "runs": {"help": "folder of the runs (default: runs/clusters, and -RECIPE if not modes)"},
        "results": {
            "help": "folder of the scores (default: results/clusters, and -RECIPE if not modes)"
        },
    },
)
"""The flags of the sweep; log p(x) is left out, because no target asks for it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    folders, given, table = flags.parse(
        argv,
        program="python -m experiments.clusters",
        description="Train and score the missing seeds of the table of clusterings, and print it.",
        groups={"data": [Folders], "sweep": [SWEEP], "table": [Table]},
    )
    return exit_code(run, given, folders, table)


def run(given: Mapping[str, Any], folders: Folders, table: Table) -> int:
    """Trains the missing seeds unless told not to, and prints the table."""
    name = "clusters" if table.recipe == Table.recipe else f"clusters-{table.recipe}"
    options = SweepOptions(schedule=table.recipe, log_likelihood=0)
    places = {"runs": Path("runs", name), "results": Path("results", name)}
    options = replace(options, **{**places, **given})
    wanted = sweep.chosen(list(TARGETS), options.only)
    whole = sweep.of(options, folders)
    code = 0 if table.print else _train(whole, wanted, given.get("seeds"))
    print(table_of(whole, wanted))
    return code


def _train(whole: Sweep, cells: Sequence[Cell], seeds: int | None) -> int:
    """Trains what is missing of each cell; returns as `Sweep.train`."""
    failed = 0
    for cell in cells:
        code = whole._replace(seeds=seeds or TARGETS[cell].seeds).train([cell])
        if code >= 128:
            return code
        failed = code or failed
    return failed


def table_of(whole: Sweep, cells: Sequence[Cell]) -> str:
    """The scores of cells in Markdown, and the seeds that are missing.

    Each row has the mean over seeds ± their standard deviation and their number, the worst seed, and
    the seed that `CRITERION` keeps against the best by labels.
    """
    head = ["data", "score", "target", "mean", "worst", "kept / best seed"]
    head += ["k-means", "Gaussian mixture", "NMI", "true bound, nats"]
    done = {cell: _scored(whole, cell) for cell in cells}
    rows = [head, *(_row(cell, TARGETS[cell], found) for cell, found in done.items())]
    missing = [
        f"{cell.name} ({left})"
        for cell, found in done.items()
        if (left := TARGETS[cell].seeds - len(found)) > 0
    ]
    text = marks.footnotes(marks.table(rows), marks.MODIFIED_NOTE)
    return f"{text}\n\nMissing seeds: {', '.join(missing) or 'none'}"


def _scored(whole: Sweep, cell: Cell) -> list[dict[str, Any]]:
    """The results of a cell that have its score."""
    return [r for r in whole.done(cell) if TARGETS[cell].score in r.get("clustering", {})]


def _row(cell: Cell, target: Target, found: Sequence[dict[str, Any]]) -> list[str]:
    scores = [r["clustering"][target.score] for r in found]
    baselines = _baselines(found, target.score)
    score = target.score.removeprefix("accuracy_")
    about = [f"{cell.dataset}, K = {cell.K}", score, _target(target, scores, baselines.values())]
    beside = [f"{baselines[name]:.3f}" if name in baselines else "" for name in (KMEANS, MIXTURE)]
    if not found:
        return [*about, "", "", "", *beside, "", ""]
    kept = max(found, key=lambda r: r[CRITERION])["clustering"][target.score]
    mark = max(map(marks.modified, found))
    return [
        *about,
        " ".join(filter(None, [marks.spread(scores, 3), mark])),
        f"{min(scores):.3f}",
        f"{kept:.3f} / {max(scores):.3f}",
        *beside,
        marks.spread([r["clustering"]["nmi"] for r in found], 3),
        marks.spread([r["test_bound"]["mean"] for r in found]),
    ]


def _baselines(found: Sequence[dict[str, Any]], score: str) -> dict[str, float]:
    """The score of each baseline, which is the same for all seeds of a cell."""
    of_first = found[0].get("baselines", {}) if found else {}
    return {name: one[score] for name, one in of_first.items() if score in one}


def _target(target: Target, scores: Sequence[float], baselines: Collection[float]) -> str:
    """The target, and whether it is met once all its seeds are there."""
    least = target.mean
    if target.margin is not None and baselines:
        least = max(baselines) + target.margin
    parts, met = [], []
    for name, limit, of in (("mean", least, np.mean), ("worst", target.worst, np.min)):
        if limit is not None:
            parts.append(f"{name} ≥ {limit:.3f}")
            met.append(bool(len(scores)) and of(scores) >= limit)
    if parts and len(scores) >= target.seeds:
        parts.append("met" if all(met) else "missed")
    return ", ".join(parts)


if __name__ == "__main__":
    sys.exit(as_process(main))
