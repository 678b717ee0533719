"""How good generated images are: `python -m experiments.generation RUN... --classifier FOLDER`.

It scores the samples of finished runs, writes one file per run with a picture of some samples
beside it, and prints all scores in the folder as a table. Without runs it only prints.
"""

from __future__ import annotations

import re
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
from cpvae_jax.commands.main import exit_code
from cpvae_jax.errors import UserError
from cpvae_jax.evaluation.samples import class_entropy
from cpvae_jax.report import drawing, units
from cpvae_jax.storage import run_folder
from experiments import classifier, judge
from experiments.data import load
from experiments.judge import Judge

PROGRAM = "python -m experiments.generation"

REAL = "real"
"""The file of real images has the name of the data set, then this."""

SIDE = 6
"""Samples along each side of the picture that is kept."""

COLUMNS = {
    "frechet": ("Fréchet distance", 2),
    "precision": ("precision", 3),
    "recall": ("recall", 3),
    "density": ("density", 3),
    "coverage": ("coverage", 3),
    "class_entropy": ("entropy of classes", 3),
    "purity": ("purity", 3),
}
"""The columns of the table with their digits."""

REALS = {
    "ceiling": "real, held out",
    "seen": "real, training",
    "floor": "real, pixels shuffled",
}


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
        extend.run(files.extend)
        score_runs(options, folders, provenance.describe(arguments, PROGRAM))
    print(tables(options.out))


def score_runs(options: Options, folders: Folders, session: dict[str, Any]) -> None:
    """Scores every run that has no file yet, and real images if they have none."""
    checks.at_least("--num", options.num, 100)
    checks.at_least("--draws", options.draws, 1)
    by = _judge(options, folders)
    about = by.classifier.about
    common: dict[str, Any] = {
        **{"num": options.num, "draws": options.draws, "seed": options.seed},
        **{"classifier": about, "reference": f"{len(by.real)} test images"},
        "session": session,
    }
    with run_folder.writing(options.out):
        options.out.mkdir(parents=True, exist_ok=True)
    real = f"{about['data']}-{REAL}.json"
    if not (options.out / real).exists():
        scores = _reals(by, options)
        run_folder.RunFolder(options.out).write_json(real, {**scores, **common})
    for path in options.runs:
        file = f"{path.resolve().name}.json"
        if not (options.out / file).exists():
            _score_run(path, file, by, options, common)
        elif run_folder.result(options.out / file).get("weights") != options.weights:
            raise UserError(
                f"{options.out / file} holds scores of the same run with other --weights; choose "
                "another folder with --out."
            )
        print(f"{path} scored, in {options.out / file}", flush=True)


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
    path: Path, file: str, by: Judge, options: Options, common: Mapping[str, Any]
) -> None:
    """Scores one run and writes the file, with a picture of some samples beside it."""
    key = jax.random.key(options.seed)
    params = api.load(path)
    by_weights = {} if options.weights is None else {"weights": options.weights}
    scores = judge.score(params, by, key, num=options.num, draws=options.draws, **by_weights)
    with run_folder.writing(options.out):
        shown = api.sample(params, key, num=SIDE**2, weights=options.weights)
        images = units.as_grey(params.config, by.data.test, np.asarray(shown))
        drawing.save_tiled((options.out / file).with_suffix(".png"), images)
    target = run_folder.RunFolder(options.out)
    target.write_json(file, {**scores, **by_weights, **common})


def tables(out: Path) -> str:
    """Every score in a folder as Markdown: one table per data set, real images last.

    Each row is a model, with the mean over its seeds ± their standard deviation. For a single
    seed, and for real images, the standard deviation is that of the draws.
    """
    by_data: dict[str, list[Path]] = {}
    for path in sorted(out.glob("*.json")):
        found = run_folder.result(path)["classifier"]["data"]
        by_data.setdefault(found, []).append(path)
    return "\n\n".join(_table(name, paths) for name, paths in by_data.items())


def _table(name: str, paths: Sequence[Path]) -> str:
    head = [name, *(title for title, _ in COLUMNS.values())]
    lines = [head, ["---"] * len(head)]
    reals: list[list[str]] = []
    seeds: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        found = run_folder.result(path)
        if path.stem == f"{name}-{REAL}":
            reals = [_row(title, found[kind]) for kind, title in REALS.items()]
        else:
            model = re.sub(r"-seed\d+$", "", path.stem.removeprefix(f"{name}-"))
            model += f", {found['weights']}" if "weights" in found else ""
            seeds.setdefault(model, []).append(found)
    for model, (first, *others) in seeds.items():
        if others:
            means = [_means(found) for found in (first, *others)]
            lines.append(_row(f"{model}, {len(means)} seeds", judge.spread(means)))
        else:
            lines.append(_row(model, first))
    return "\n".join(f"| {' | '.join(line)} |" for line in [*lines, *reals])


def _means(scores: Mapping[str, Any]) -> dict[str, float]:
    return {column: scores[column]["mean"] for column in COLUMNS if column in scores}


def _row(title: str, scores: Mapping[str, Any]) -> list[str]:
    entries = []
    for column, (_, digits) in COLUMNS.items():
        value = scores.get(column)
        spread = "" if not value or value["std"] is None else f" ± {value['std']:.{digits}f}"
        entries.append("" if value is None else f"{value['mean']:.{digits}f}{spread}")
    return [title, *entries]


if __name__ == "__main__":
    sys.exit(main())
