"""How good generated images are: `python -m experiments.generation RUN... --classifier FOLDER`.

It scores the samples of finished runs, writes one file per run with a picture of some samples
beside it, and prints all scores in the folder as a table. Without runs it only prints.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
from cpvae_jax.evaluation.samples import NEAREST, PER_CATEGORY, class_entropy
from cpvae_jax.keys import purpose
from cpvae_jax.report import drawing, units
from cpvae_jax.storage import run_folder
from cpvae_jax.types import Params
from experiments import classifier, judge, names
from experiments.data import load
from experiments.generation_tables import REAL, tables
from experiments.judge import Judge

PROGRAM = "python -m experiments.generation"

SIDE = 6
"""Samples along each side of the picture that is kept."""


@dataclass(frozen=True)
class Options:
    """What to score, and how."""

    out: Path = option(help="folder of the scores, one file per run")
    runs: tuple[Path, ...] = option((), "folders of runs on one data set", positional=True)
    classifier: Path | None = option(
        None, "folder that experiments.classifier wrote; required if runs are given"
    )
    num: int = option(judge.NUM, "images per draw")
    draws: int = option(judge.DRAWS, "independent draws")
    seed: int = option(0, "seed of the draws", type=flags.seed)
    weights: str | None = option(
        None,
        "probabilities of the categories: the aggregated posterior q(c), or uniform (default: q(c) "
        "if the model infers c, otherwise uniform)",
        choices=api.WEIGHTS,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options, folders, files = flags.parse(
        arguments,
        program=PROGRAM,
        description="Score the samples of finished runs against the test images of their data.",
        groups={"scoring": [Options], "data": [Folders], "your own parts": [Extend]},
    )
    return exit_code(run, options, folders, files, arguments)


def run(
    options: Options,
    folders: Folders,
    files: Extend = Extend(),  # noqa: B008 - immutable
    arguments: Sequence[str] | None = None,
) -> None:
    """Scores the runs and prints the table of all scores in the folder.

    Args:
      options: what to score.
      folders: where the files of data sets are.
      files: the user's own files to run first.
      arguments: the command line that the record shows; by default that of the options.
    """
    if options.runs:
        if arguments is None:
            arguments = flags.written(Options, asdict(options))
        start_jax()
        extend.run(files.extend)
        score_runs(options, folders, provenance.describe(arguments, PROGRAM))
    print(tables(options.out))


def score_runs(options: Options, folders: Folders, session: dict[str, Any]) -> None:
    """Scores every run that has no file yet, and real images if they have none.

    A run keeps its file if its folder is moved, or if it is given with others of the same name.

    Raises:
      UserError: an option is invalid, or a file of that name holds other scores.
    """
    checks.at_least("--num", options.num, 100)
    checks.at_least("--draws", options.draws, 1)
    by = _judge(options, folders)
    about = by.classifier.about
    common: dict[str, Any] = {
        **{"num": options.num, "draws": options.draws, "seed": options.seed},
        **{"classifier": about, "reference": f"{len(by.real)} test images", "nearest": NEAREST},
        "session": session,
    }
    with run_folder.writing(options.out):
        options.out.mkdir(parents=True, exist_ok=True)
    real = f"{about['data']}-{REAL}"
    if not (options.out / f"{real}.json").exists():
        scores = _reals(by, options)
        run_folder.RunFolder(options.out).write_json(f"{real}.json", {**scores, **common})
    runs = names.distinct(options.runs, separator="-", taken=(real,))
    earlier = _by_model(options.out, leave=[*runs, real])
    for name, path in runs.items():
        params = api.load(path)
        run = names.identity(path, params)
        file = options.out / f"{name}.json"
        if not file.exists() and run["model"] in earlier:
            file = earlier[run["model"]]
        if file.exists():
            _check_same(file, run, options)
        else:
            _score_run(params, file, by, options, {"run": run, **common})
        print(f"{path} scored, in {file}", flush=True)


def _by_model(out: Path, leave: Sequence[str]) -> dict[str, Path]:
    """The files of scores in a folder by the digest of the model, except those of some names."""
    files = [path for path in sorted(out.glob("*.json")) if path.stem not in leave]
    found = {path: run_folder.result(path).get("run") for path in files}
    return {run["model"]: path for path, run in found.items() if run}


def _check_same(file: Path, run: Mapping[str, str], options: Options) -> None:
    """Raise `UserError` unless a file holds the scores of this run, with these options.

    Files of earlier versions do not say whose scores they hold, and pass for those of their name.
    """
    found = run_folder.result(file)
    if found.get("run", run) != run:
        raise UserError(
            f"{file} holds the scores of another run of that name; choose another folder with "
            "--out, or give both runs in one command."
        )
    asked = {"num": options.num, "draws": options.draws, "seed": options.seed}
    other = [f"--{name}" for name, value in asked.items() if found.get(name, value) != value]
    other += ["--weights"] if found.get("weights") != options.weights else []
    if other:
        raise UserError(
            f"{file} holds scores of the same run with other {', '.join(other)}; choose another "
            "folder with --out."
        )


def _judge(options: Options, folders: Folders) -> Judge:
    """The judge of the data set that the runs and the classifier share."""
    if options.classifier is None:
        raise UserError(
            "--classifier is not given; name the folder that python -m experiments.classifier wrote."
        )
    trained = classifier.read(options.classifier)
    name = trained.about["data"]
    for path in options.runs:
        found = run_folder.finished(path).get("dataset")
        if found != name:
            raise UserError(
                f"{path} is a run on {found}, but the classifier in {options.classifier} was trained "
                f"on {name}; give runs on one data set, and its classifier."
            )
    return Judge(load(name, **folders.named()), trained)


def _reals(by: Judge, options: Options) -> dict[str, Any]:
    """The scores of real images."""
    limits = {"num": options.num, "draws": options.draws}
    return {
        "ceiling": judge.ceiling(by, options.seed, **limits),
        "seen": judge.seen(by, options.seed, **limits),
        "floor": judge.floor(by, options.seed, **limits),
        "class_entropy_of_test": class_entropy(by.classifier.classify(by.data.test)),
    }


def _score_run(
    params: Params, file: Path, by: Judge, options: Options, common: Mapping[str, Any]
) -> None:
    """Scores one run and writes the file, with a picture of some samples beside it."""
    key = jax.random.key(options.seed)
    by_weights = {} if options.weights is None else {"weights": options.weights}
    key_scores, key_picture = (purpose(key, f"generation {kind}") for kind in ("scores", "picture"))
    scores = judge.score(params, by, key_scores, num=options.num, draws=options.draws, **by_weights)
    with run_folder.writing(options.out):
        shown = api.sample(params, key_picture, num=SIDE**2, weights=options.weights)
        images = units.as_grey(params.config, by.data.test, np.asarray(shown))
        drawing.save_tiled(file.with_suffix(".png"), images)
    each = {"purity_samples_per_category": PER_CATEGORY} if "purity" in scores else {}
    target = run_folder.RunFolder(options.out)
    target.write_json(file.name, {**scores, **by_weights, **each, **common})


if __name__ == "__main__":
    sys.exit(as_process(main))
