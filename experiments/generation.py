"""How good generated images are: `python -m experiments.generation RUN... --classifier FOLDER`.

Scores the samples of finished runs, a file each with a picture of some beside it, and prints all
that are there as a table; without runs it only prints.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import cpvae_jax
from cpvae_jax import UserError, checks
from cpvae_jax.generation import class_entropy
from cpvae_jax.interface import WEIGHTS
from experiments import classifier, extend, folder, grey, judge, options, pictures, provenance
from experiments.data import load
from experiments.judge import Judge

REAL = "real"
"""Name of the file of real images, after that of the data set."""

COLUMNS = {
    "frechet": ("Fréchet distance", 2),
    "precision": ("precision", 3),
    "recall": ("recall", 3),
    "density": ("density", 3),
    "coverage": ("coverage", 3),
    "class_entropy": ("entropy of classes", 3),
    "purity": ("purity", 3),
}
"""Scores in the order of the table, with their digits."""

REALS = {
    "ceiling": "real, held out",
    "seen": "real, training",
    "floor": "real, pixels shuffled",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m experiments.generation",
        description="Score the samples of finished runs against the test images of their data.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("runs", type=Path, nargs="*", help="folders of runs of one data set")
    parser.add_argument(
        "--classifier", type=Path, help="folder that experiments.classifier wrote, needed for RUNS"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the scores, a file a run"
    )
    parser.add_argument("--num", type=int, default=judge.NUM, help="images a draw")
    parser.add_argument("--draws", type=int, default=judge.DRAWS, help="independent draws")
    parser.add_argument("--seed", type=options.seed, default=0, help="seed of the draws")
    parser.add_argument(
        "--weights",
        choices=WEIGHTS,
        help="how often each category is drawn: as the aggregated posterior q(c) has it, or all "
        "alike; if not given, by q(c) where the model infers c, and else uniformly",
    )
    options.add_data(parser, dataset=False)
    extend.add_flag(parser)
    chosen = parser.parse_args(arguments)
    try:
        if chosen.runs:
            score_runs(chosen, provenance.describe(arguments, program="experiments.generation"))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(tables(chosen.out))
    return 0


def score_runs(chosen: argparse.Namespace, session: dict[str, Any]) -> None:
    """Score every run that has no file yet, and real images if they have none."""
    checks.at_least("--num", chosen.num, 100)
    checks.at_least("--draws", chosen.draws, 1)
    if chosen.classifier is None:
        raise UserError(
            "--classifier is not given; name the folder that python -m experiments.classifier wrote."
        )
    extend.run(chosen.extend)
    trained = classifier.read(chosen.classifier)
    name = trained.about["data"]
    for path in chosen.runs:
        found = folder.finished(path).get("dataset")
        if found != name:
            raise UserError(
                f"{path} is a run on {found}, but the classifier of {chosen.classifier} was trained "
                f"on {name}; give runs of one data set, and its classifier."
            )
    by = Judge(load(name, **options.places(chosen)), trained)
    settings = {"num": chosen.num, "draws": chosen.draws, "seed": chosen.seed}
    settings |= {"classifier": trained.about, "reference": f"{len(by.real)} test images"}
    common: dict[str, Any] = {**settings, "session": session}
    by_weights = {} if chosen.weights is None else {"weights": chosen.weights}
    out = folder.RunFolder(chosen.out)
    with folder.writing(chosen.out):
        chosen.out.mkdir(parents=True, exist_ok=True)
    limits = {"num": chosen.num, "draws": chosen.draws}
    real = f"{name}-{REAL}.json"
    if not (chosen.out / real).exists():
        scores = {
            "ceiling": judge.ceiling(by, chosen.seed, **limits),
            "seen": judge.seen(by, chosen.seed, **limits),
            "floor": judge.floor(by, chosen.seed, **limits),
            "class_entropy_of_test": class_entropy(trained.classify(by.data.test)),
        }
        out.write_json(real, {**scores, **common})
    for path in chosen.runs:
        file = f"{path.resolve().name}.json"
        if not (chosen.out / file).exists():
            key = jax.random.key(chosen.seed)
            params = cpvae_jax.load(path)
            scores = judge.score(params, by, key, **limits, **by_weights)
            with folder.writing(chosen.out):
                shown = cpvae_jax.sample(params, key, num=pictures.SIDE**2, weights=chosen.weights)
                images = np.asarray(shown) / grey.white(params.config, by.data.test)
                pictures.save_tiled((chosen.out / file).with_suffix(".png"), images)
            out.write_json(file, {**scores, **by_weights, **common})
        elif folder.result(chosen.out / file).get("weights") != chosen.weights:
            raise UserError(
                f"{chosen.out / file} holds scores of the same run by other weights of its "
                "categories; choose another folder with --out."
            )
        print(f"{path} scored, in {chosen.out / file}", flush=True)


def tables(out: Path) -> str:
    """Every score in a folder as Markdown, a table a data set, real images last.

    A row is a model, with the mean over its seeds ± their standard deviation; of a single seed,
    and of real images, the standard deviation is that of the draws.
    """
    by_data: dict[str, list[Path]] = {}
    for path in sorted(out.glob("*.json")):
        found = folder.result(path)["classifier"]["data"]
        by_data.setdefault(found, []).append(path)
    return "\n\n".join(_table(name, paths) for name, paths in by_data.items())


def _table(name: str, paths: Sequence[Path]) -> str:
    head = [name, *(title for title, _ in COLUMNS.values())]
    lines = [head, ["---"] * len(head)]
    reals: list[list[str]] = []
    seeds: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        found = folder.result(path)
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
