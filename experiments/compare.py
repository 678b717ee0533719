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
from cpvae_jax.commands.main import as_process, exit_code
from cpvae_jax.commands.start import start_jax
from cpvae_jax.errors import UserError
from cpvae_jax.evaluation.estimates import bound_terms
from cpvae_jax.evaluation.means import mean_and_error
from cpvae_jax.keys import purpose
from cpvae_jax.storage import files, run_folder
from cpvae_jax.types import Params
from experiments import names
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


def run(options: Options, folders: Folders, own: Extend, arguments: Sequence[str]) -> None:
    """Compares runs, prints the differences and writes them to a file if asked."""
    start_jax()
    extend.run(own.extend)
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
      The name and the bound of the first run, the numbers of images and draws, the seed, a digest
      of each run's model, and `better_by`: for each other run the mean difference over the images
      and its standard error, in nats. A run has the name of its folder; where folders share one,
      it has those of the folders above too.

    Raises:
      UserError: the runs are not finished, or not on the same data; or the file to write holds
        something else.
    """
    checks.at_least("--draws", options.draws, 1)
    data, mixture = _data_of(options.first)
    for path in options.others:
        other, others_mixture = _data_of(path)
        if other != data:
            raise UserError(
                f"{path} is a run on {other}, but {options.first} is a run on {data}; give runs on "
                "the same data set."
            )
        if others_mixture != mixture:
            raise UserError(
                f"{path} is a run on another mixture than {options.first}; give runs on the same "
                "data set."
            )
    runs = names.distinct([options.first, *options.others])
    models = {name: api.load(path) for name, path in runs.items()}
    digests = {name: names.identity(runs[name], model)["model"] for name, model in models.items()}
    how = {"draws": options.draws, "seed": options.seed, "runs": digests}
    if options.out is not None:
        _check_same(options.out, how)
    test = load(data, **folders.named(), **mixture).test
    key = purpose(jax.random.key(options.seed), "comparison")

    def bound(params: Params) -> np.ndarray:
        return bound_terms(params, key, test, samples=options.draws)["bound"]

    first, *others = models
    baseline = bound(models[first])
    better_by = {name: mean_and_error(bound(models[name]) - baseline) for name in others}
    return {
        "first": first,
        "bound": float(np.mean(baseline, dtype=np.float64)),
        "images": len(test),
        **how,
        "better_by": better_by,
    }


def _check_same(out: Path, how: dict[str, Any]) -> None:
    """Raise `UserError` if a file exists that holds anything but an earlier result of this comparison.

    Files of earlier versions have neither seed nor digests.
    """
    if not out.exists():
        return
    try:
        found = files.read_json(out)
        runs = [found["first"], *found["better_by"]]
        same = runs == list(how["runs"]) and all(
            found.get(name, value) == value for name, value in how.items()
        )
    except (files.DamagedError, KeyError, TypeError):
        same = False
    if not same:
        raise UserError(
            f"{out} holds something else than this comparison; choose another file with --out."
        )


def _data_of(path: Path) -> tuple[str, dict[str, Any]]:
    """The data set of a finished run, and the options it was made with."""
    config = run_folder.finished(path)
    names = (field.name for field in fields(Mixture))
    return config["dataset"], {name: config[name] for name in names if name in config}


if __name__ == "__main__":
    sys.exit(as_process(main))
