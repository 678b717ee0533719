"""Data parallelism: several processes of one core each, over loopback, against one process.

    python -m benchmarks.scaling --processes 2 --batch 100 400 --out results/scaling-cpu.json

Three cases take turns: one process on one core; several processes, each on its own core, that
share the batch (strong scaling); and several that have a batch each (weak scaling). The processes
talk over loopback on one machine, so the numbers do not carry over to a network of machines.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks import command, machine
from benchmarks.problem import Case, image_file
from benchmarks.results import table
from benchmarks.turns import Program, by_turns
from cpvae_jax.commands.main import as_process


def measure(args: argparse.Namespace, batch: int, processes: int) -> dict[str, Any]:
    """Everything that is kept of a case."""
    case = Case("cp", 10, batch)
    with image_file(args.steps * batch) as few, image_file(args.steps * batch * processes) as many:
        target, joined = "benchmarks.cores:one_per_core", {"count": processes, "joined": True}
        weak = replace(case, batch=batch * processes)
        programs = {
            "one process": Program(
                target, {"case": case, "images": few, "count": 1, "joined": False}
            ),
            "the same batch": Program(target, {"case": case, "images": few, **joined}),
            "a batch each": Program(target, {"case": weak, "images": many, **joined}),
        }
        return by_turns(programs, args.repeats, case)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = command.parser("scaling", "Time processes of one core each against one.", repeats=3)
    parser.add_argument("--processes", type=command.positive, default=2)
    command.add_sizes(parser, batch=[100, 400], steps=40)
    args = command.parse(parser, argv)
    there = len(machine.cores())
    if args.device != "cpu" or not 1 < args.processes <= there:
        parser.error(
            f"--processes is {args.processes}; each of 2 or more needs a CPU core, and there are {there}"
        )
    cases = [{"batch": batch, "processes": args.processes} for batch in args.batch]
    print(table(command.measured(parser, args, cases, lambda **case: measure(args, **case))))


if __name__ == "__main__":
    sys.exit(as_process(main))
