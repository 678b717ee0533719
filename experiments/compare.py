"""Which of several runs is better, and is it chance: `python -m experiments.compare RUN RUN...`.

The bound varies from image to image by far more than from model to model, but mostly in the same
way for all. The difference of two models on the same test images, drawn black and white alike, has
a much smaller error than the bound of either.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import cpvae_jax
from cpvae_jax import UserError, checks
from experiments import extend, folder, options, provenance
from experiments.data import load
from experiments.evaluate import mean_and_error


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m experiments.compare",
        description="Compare the true test bounds of finished runs with the first one's, image by "
        "image.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("first", type=Path, help="folder of the run that the others are held to")
    parser.add_argument("others", type=Path, nargs="+", help="folders of runs on the same data")
    parser.add_argument("--draws", type=int, default=1, help="draws of the bound an image")
    parser.add_argument("--seed", type=options.seed, default=0, help="seed of the draws")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options.add_data(parser, dataset=False)
    extend.add_flag(parser)
    chosen = parser.parse_args(arguments)
    try:
        found = compare(chosen)
        if chosen.out is not None:
            session = provenance.describe(arguments, program="experiments.compare")
            with folder.writing(chosen.out.parent):
                chosen.out.parent.mkdir(parents=True, exist_ok=True)
            folder.RunFolder(chosen.out.parent).write_json(
                chosen.out.name, {**found, "session": session}
            )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"true test bound of {found['first']} {found['bound']:.2f} nats; better than it by")
    for name, value in found["better_by"].items():
        print(f"{value['mean']:+.3f} ± {value['standard_error']:.3f}  {name}")
    return 0


def compare(chosen: argparse.Namespace) -> dict[str, Any]:
    """Mean difference of each run's bound to the first one's, and its standard error over images."""
    checks.at_least("--draws", chosen.draws, 1)
    extend.run(chosen.extend)
    name, mixture = _data_of(chosen.first)
    for path in chosen.others:
        other, others_mixture = _data_of(path)
        if other != name:
            raise UserError(
                f"{path} is a run on {other}, but {chosen.first} is one on {name}; give runs of one "
                "data set."
            )
        if others_mixture != mixture:
            raise UserError(
                f"{path} is a run on another mixture than {chosen.first}; give runs of one data set."
            )
    test = load(name, **options.places(chosen), **mixture).test
    key = jax.random.key(chosen.seed)

    def bound(path: Path) -> np.ndarray:
        params = cpvae_jax.load(path)
        return cpvae_jax.bound_terms(params, key, test, samples=chosen.draws)["bound"]

    first = bound(chosen.first)
    differences = {path.resolve().name: bound(path) - first for path in chosen.others}
    return {
        "first": chosen.first.resolve().name,
        "bound": float(np.mean(first, dtype=np.float64)),
        "images": len(test),
        "draws": chosen.draws,
        "better_by": {name: mean_and_error(values) for name, values in differences.items()},
    }


def _data_of(path: Path) -> tuple[str, dict[str, Any]]:
    """The data set of a finished run, and the options that it was made with."""
    config = folder.finished(path)
    return config["dataset"], {name: config[name] for name in options.MIXTURE if name in config}


if __name__ == "__main__":
    sys.exit(main())
