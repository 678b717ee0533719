"""The paper's figures 3 to 9 from the runs of a sweep: `python -m experiments.figures`.

Draws what the runs allow and says which are missing; `--train` trains those first, and scores
their samples by a classifier, which it trains too. The scores stand in the titles: the paper
leaves them to the eye. Figures 8 and 9 are made of the samples that scoring keeps, without the runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cpvae_jax import UserError
from experiments import classifier, generation, options, sweep
from experiments.folder import writing
from experiments.paper_figures import FIGURES, Source, scores
from experiments.sweep import Cell, Sweep

SCORED = ("mnist", "omniglot")
"""Data sets whose samples are images that a classifier can score."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.figures",
        description="Draw the paper's figures 3 to 9 from the runs of a sweep.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    sweep.add_flags(parser)
    parser.add_argument(
        "--figures", type=int, nargs="+", choices=FIGURES, default=list(FIGURES), help="which"
    )
    parser.add_argument("--train", action="store_true", help="train and score what they need first")
    parser.add_argument("--out", type=Path, default=Path("docs/figures"), help="folder of the PNGs")
    arguments = parser.parse_args(argv)
    try:
        return draw(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def draw(arguments: argparse.Namespace) -> int:
    """Train if asked, draw every figure that can be drawn, and tell what is missing."""
    whole = sweep.of(arguments)
    needed = {cell: None for number in arguments.figures for cell in FIGURES[number].cells}
    code = 0
    if arguments.train:
        wanted = sweep.chosen(list(needed), arguments.only)
        code = whole.train(wanted)
        if code < 128:
            code = score(whole, wanted, options.place_flags(arguments)) or code
        if code >= 128:
            return code
    source = Source(whole, options.places(arguments))
    for number in arguments.figures:
        figure = FIGURES[number]
        absent = [cell.name for cell in figure.cells if not figure.has(source, cell)]
        if len(absent) == len(figure.cells):
            print(f"figure {number}: none of its runs is in {whole.runs}; --train trains them")
            continue
        path = arguments.out / f"figure{number}.png"
        with writing(arguments.out):
            arguments.out.mkdir(parents=True, exist_ok=True)
            figure.draw(source, path)
        print(f"{path}" + (f", without {', '.join(absent)}" if absent else ""))
    return code


def score(whole: Sweep, cells: Sequence[Cell], places: Sequence[str]) -> int:
    """Score the samples of the trained cells; returns the last exit code that is not 0.

    What has been trained or scored before is left as it is. `places` are flags.
    """
    code = 0
    for dataset in SCORED:
        found = [whole.run_folder(cell, 0) for cell in cells if cell.dataset == dataset]
        runs = [str(path) for path in found if path is not None]
        if not runs:
            continue
        judge = whole.runs / f"classifier-{dataset}"
        if not judge.exists():
            code = classifier.main(["--dataset", dataset, "--out", str(judge), *places]) or code
        out = ["--classifier", str(judge), "--out", str(scores(whole))]
        code = generation.main([*runs, *out, *places]) or code
    return code


if __name__ == "__main__":
    sys.exit(main())
