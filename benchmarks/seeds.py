"""An epoch of several seeds in one program, over an epoch of a single seed.

    python -m benchmarks.seeds --seeds 2 8 32 --steps 50 --out results/seeds-cpu.json

A ratio below the number of seeds says that they are cheaper together than one after another. On a
CPU the table also has one seed per core, each trained by a process that is pinned to its core.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks import command, machine
from benchmarks.problem import Case, image_file
from benchmarks.results import table
from benchmarks.turns import Program, by_turns
from cpvae_jax.commands.main import as_process


def measure(args: argparse.Namespace, **sizes: Any) -> dict[str, Any]:
    """Everything that is kept of a case."""
    case, cores = Case(**sizes), len(machine.cores())
    with image_file(args.steps * case.batch) as images:
        given = {"case": case, "images": images}
        programs = {"1 seed": Program("benchmarks.ours:ours", given)}
        for count in sorted(set(args.seeds) - {1}):
            programs[f"{count} seeds"] = Program("benchmarks.ours:ours", {**given, "seeds": count})
        if args.device == "cpu":
            apart = {"count": cores, "joined": False}
            programs[f"{cores} seeds, one per core"] = Program(
                "benchmarks.cores:one_per_core", {**given, **apart}
            )
        return by_turns(programs, args.repeats, case)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = command.parser("seeds", "Time several seeds in one program against a single one.")
    command.add_sizes(parser, K=[10], batch=[100], seeds=[2, 8], steps=100)
    args = command.parse(parser, argv)
    cases = [asdict(Case("cp", K, batch)) for K in args.K for batch in args.batch]
    print(table(command.measured(parser, args, cases, lambda **case: measure(args, **case))))


if __name__ == "__main__":
    sys.exit(as_process(main))
