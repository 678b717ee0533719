"""Which of several runs is better, and is the difference significant?

    python -m experiments.compare RUN RUN...

The bound varies far more from image to image than from model to model, but mostly in the same
way for all models. So the difference of two models on the same test images, with the same draws
of black and white, has a much smaller error than the bound of either.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cpvae_jax import api, checks
from cpvae_jax.commands import extend, flags, provenance
from cpvae_jax.commands.extend import Extend
from cpvae_jax.commands.flags import option
from cpvae_jax.commands.job import Folders
from cpvae_jax.commands.main import exit_code
from cpvae_jax.errors import UserError
from cpvae_jax.evaluation.estimates import bound_terms
from cpvae_jax.report.scores import mean_and_error
from cpvae_jax.storage import run_folder
from experiments.data import load
from experiments.run import Mixture

PROGRAM = "python -m experiments.compare"


@dataclass(frozen=True)
class Options:
    """What to compare, and how."""

    first: Path = option(help="folder of the run that is the baseline", positional=True)
    others: tuple[Path, ...] = option(
        help="folders of the other runs, on the same data", positional=True
    )
    draws: int = option(1, "draws of the bound per image")
    seed: int = option(0, "seed of the draws", type=flags.seed)
    out: Path | None = option(None, "JSON file to write")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options, folders, files = flags.parse(
        arguments,
        program=PROGRAM,
        description="Compare the true test bounds of finished runs with those of the first one, "
        "image by image.",
        groups={"comparison": [Options], "data": [Folders], "your own parts": [Extend]},
    )
    return exit_code(run, options, folders, files, arguments)


def run(options: Options, folders: Folders, files: Extend, arguments: Sequence[str]) -> None:
    """Compares runs, prints the differences and writes them to a file if asked."""
    extend.run(files.extend)
    found = compare(options, folders)
    if options.out is not None:
        session = provenance.describe(arguments, PROGRAM)
        with run_folder.writing(options.out.parent):
            options.out.parent.mkdir(parents=True, exist_ok=True)
        target = run_folder.RunFolder(options.out.parent)
        target.write_json(options.out.name, {**found, "session": session})
    print(f"true test bound of {found['first']} {found['bound']:.2f} nats; better than it by")
    for name, value in found["better_by"].items():
        print(f"{value['mean']:+.3f} ± {value['standard_error']:.3f}  {name}")


def compare(options: Options, folders: Folders) -> dict[str, Any]:
    """The mean difference of each run's bound from the first one's, with its standard error.

    Args:
      options: the runs.
      folders: where the files of data sets are.

    Returns:
      The name and the bound of the first run, the numbers of images and draws, and `better_by`:
      for each other run the mean difference over the images and its standard error, in nats.

    Raises:
      UserError: the runs are not finished, or not on the same data.
    """
    checks.at_least("--draws", options.draws, 1)
    name, mixture = _data_of(options.first)
    for path in options.others:
        other, others_mixture = _data_of(path)
        if other != name:
            raise UserError(
                f"{path} is a run on {other}, but {options.first} is a run on {name}; give runs on "
                "the same data set."
            )
        if others_mixture != mixture:
            raise UserError(
                f"{path} is a run on another mixture than {options.first}; give runs on the same "
                "data set."
            )
    test = load(name, **folders.named(), **mixture).test
    key = jax.random.key(options.seed)

    def bound(path: Path) -> np.ndarray:
        return bound_terms(api.load(path), key, test, samples=options.draws)["bound"]

    first = bound(options.first)
    differences = {path.resolve().name: bound(path) - first for path in options.others}
    return {
        "first": options.first.resolve().name,
        "bound": float(np.mean(first, dtype=np.float64)),
        "images": len(test),
        "draws": options.draws,
        "better_by": {name: mean_and_error(values) for name, values in differences.items()},
    }


def _data_of(path: Path) -> tuple[str, dict[str, Any]]:
    """The data set of a finished run, and the options it was made with."""
    config = run_folder.finished(path)
    names = (field.name for field in fields(Mixture))
    return config["dataset"], {name: config[name] for name in names if name in config}


if __name__ == "__main__":
    sys.exit(main())
