"""The paper's figures 3 to 9 from the runs of a sweep: `python -m experiments.figures`.

It draws what the runs allow and says what is missing. With `--train` it trains the missing runs
first, trains a classifier, and scores the samples with it; the scores are in the titles of the
panels. Figures 8 and 9 are made from the samples that scoring kept, so they do not need the runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cpvae_jax.commands import flags
from cpvae_jax.commands.flags import option
from cpvae_jax.commands.job import Folders
from cpvae_jax.commands.main import as_process, exit_code
from cpvae_jax.commands.start import start_jax
from cpvae_jax.storage.run_folder import writing
from experiments import classifier, generation, sweep
from experiments.figure_source import Source, scores
from experiments.paper_figures import FIGURES
from experiments.run import Named
from experiments.sweep import Cell, Sweep, SweepOptions

SCORED = ("mnist", "omniglot")
"""Data sets of images, whose samples a classifier can score."""


@dataclass(frozen=True)
class Drawing:
    """What to draw, and where."""

    figures: tuple[int, ...] = option(
        tuple(FIGURES), "numbers of the figures", choices=tuple(FIGURES)
    )
    train: bool = option(False, "first train and score the runs that they need")
    out: Path = option(Path("docs/figures"), "folder of the PNG files")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    folders, options, drawing = flags.parse(
        argv,
        program="python -m experiments.figures",
        description="Draw the paper's figures 3 to 9 from the runs of a sweep.",
        groups={"data": [Folders], "sweep": [SweepOptions], "figures": [Drawing]},
    )
    return exit_code(draw, drawing, options, folders)


def draw(drawing: Drawing, options: SweepOptions, folders: Folders) -> int:
    """Trains if asked, draws every figure that has runs, and prints what is missing."""
    start_jax()
    whole = sweep.of(options, folders)
    code = 0
    if drawing.train:
        needed = {cell: None for number in drawing.figures for cell in FIGURES[number].cells}
        wanted = sweep.chosen(list(needed), options.only)
        code = whole.train(wanted)
        if code < 128:
            code = score(whole, wanted, folders) or code
        if code >= 128:
            return code
    source = Source(whole, folders)
    for number in drawing.figures:
        figure = FIGURES[number]
        absent = [cell.name for cell in figure.cells if not figure.has(source, cell)]
        if len(absent) == len(figure.cells):
            print(f"figure {number}: no run of it is in {whole.runs}; --train trains them")
            continue
        path = drawing.out / f"figure{number}.png"
        with writing(drawing.out):
            drawing.out.mkdir(parents=True, exist_ok=True)
            figure.draw(source, path)
        print(f"{path}" + (f", without {', '.join(absent)}" if absent else ""))
        if figure.table is not None:
            print(f"\n1-Wasserstein distance to the truth\n\n{figure.table(source)}\n")
    return code


def score(whole: Sweep, cells: Sequence[Cell], folders: Folders) -> int:
    """Scores the samples of the trained cells, except those already scored.

    Returns:
      The last exit code other than 0, or 0.
    """
    code = 0
    for dataset in SCORED:
        found = [whole.finished_run(cell, 0) for cell in cells if cell.dataset == dataset]
        runs = tuple(path for path in found if path is not None)
        if not runs:
            continue
        judge = whole.runs / f"classifier-{dataset}"
        if not judge.exists():
            training = classifier.Training(out=judge)
            code = exit_code(classifier.run, Named(dataset), folders, training) or code
        scoring = generation.Options(runs=runs, classifier=judge, out=scores(whole))
        code = exit_code(generation.run, scoring, folders) or code
    return code


if __name__ == "__main__":
    sys.exit(as_process(main))
