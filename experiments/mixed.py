"""Tables with columns of several kinds, and gaps: `python -m experiments.mixed --manual-dir TABLES`.

It trains what has no result in `results/mixed/` yet and prints the tables of docs/results.md:

- penguins, all columns and gaps: accuracy of the species, and the error of filled gaps
- german_credit, mushroom: bound and log-likelihood beside a Gaussian on one-hot columns
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cpvae_jax.commands import flags, provenance
from cpvae_jax.commands.flags import option
from cpvae_jax.commands.main import as_process, exit_code
from cpvae_jax.errors import UserError
from experiments import levels, marks, penguins


@dataclass(frozen=True)
class Options:
    """Where tables are and results go."""

    manual_dir: Path = option(help="folder with penguins.csv, german_credit.csv and mushroom.csv")
    results: Path = option(Path("results/mixed"), "folder of the results")
    seeds: int = option(5, "number of seeds of each part")
    print: bool = option(False, "only print the tables of the results that are there")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    (options,) = flags.parse(
        argv,
        program="python -m experiments.mixed",
        description=str(__doc__),
        groups={"options": [Options]},
    )
    return exit_code(run, options)


PARTS: dict[str, Callable[[Path, int], dict[str, Any]]] = {
    "penguins-species": penguins.species,
    "penguins-gaps": penguins.gaps,
    "german_credit": partial(levels.densities, "german_credit"),
    "mushroom": partial(levels.densities, "mushroom"),
}
"""The measurements by name. Each takes the folder of the tables and a seed."""


def run(options: Options) -> None:
    """Measures what has no result yet, and prints the tables."""
    options.results.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for name, function in PARTS.items():
            path = options.results / f"{name}-seed{seed}.json"
            if options.print or path.exists():
                continue
            about = provenance.describe(sys.argv[1:], "python -m experiments.mixed")
            found = {
                "commit": about["commit"],
                "seed": seed,
                **function(options.manual_dir, seed),
            }
            path.write_text(json.dumps(found, indent=2) + "\n")
            print(path, json.dumps(found), flush=True)
    print(summary(options.results))


def summary(folder: Path) -> str:
    """The tables."""
    found = {
        name: [json.loads(p.read_text()) for p in sorted(folder.glob(f"{name}-seed*.json"))]
        for name in PARTS
    }
    if not any(found.values()):
        raise UserError(f"{folder} holds no results; run without --print first.")

    def shown(values: list[float], digits: int = 3) -> str:
        spread = np.std(values, ddof=1) if len(values) > 1 else 0.0
        return f"{np.mean(values):.{digits}f} ± {spread:.{digits}f}"

    lines = []
    if one := found["penguins-species"]:
        methods = {
            "CPVAE": "accuracy_hungarian",
            "k-means": "kmeans",
            "Gaussian mixture": "mixture",
        }
        which = ("all columns", "chosen columns")
        body = [[m, *(shown([r[c][k] for r in one]) for c in which)] for m, k in methods.items()]
        head = ["accuracy of the species", "all columns", "without sex and year"]
        lines += [marks.table([head, *body])]
    if one := found["penguins-gaps"]:
        head = ["penguins", "numbers, standard deviations", "levels, share wrong"]
        body = [
            [m, *(shown([r["errors"][m][k] for r in one]) for k in ("numbers", "levels"))]
            for m in one[0]["errors"]
        ]
        lines += [marks.table([head, *body])]
    for name in ("german_credit", "mushroom"):
        if one := found[name]:
            several = [
                m for m in ("mixed", "gaussian, probabilities", "gaussian, density") if m in one[0]
            ]
            body = [
                [
                    m,
                    *(
                        shown([r[m][k] for r in one], 2) if k in one[0][m] else ""
                        for k in ("bound", "log_likelihood")
                    ),
                ]
                for m in several
            ]
            lines += [marks.table([[name, "bound", "log-likelihood"], *body])]
    return "\n\n".join(lines)


if __name__ == "__main__":
    sys.exit(as_process(main))
