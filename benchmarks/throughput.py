"""Samples and log-likelihoods per second, against eager PyTorch.

    python -m benchmarks.throughput --K 10 500 --out results/throughput-cpu.json

Both programs have untrained parameters, whose values do not change the time. Their mean answers are
close, which shows that they compute the same thing.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks import command
from benchmarks.problem import Case, image_file
from benchmarks.results import table
from benchmarks.turns import Program, by_turns
from cpvae_jax.commands.main import as_process

TASKS = ("samples", "log_likelihood")
"""Functions of `ours` and of `torch_programs.programs`."""


def measure(args: argparse.Namespace, task: str, **sizes: Any) -> dict[str, Any]:
    """Everything that is kept of a task and a case."""
    case = Case(**sizes)
    with image_file(args.images) as images:
        if task == "samples":
            given = {"category": case.K - 1, "num": args.num}
        else:
            given = {"images": images, "samples": args.samples}
        programs = {
            "cpvae_jax": Program(f"benchmarks.ours:{task}", {"case": case, **given}),
            "torch, eager": Program(
                f"benchmarks.torch_programs.programs:{task}",
                {"case": case, "device": command.DEVICES[args.device], **given},
            ),
        }
        return by_turns(programs, args.repeats, f"{task}, {case}")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = command.parser("throughput", "Time sampling and scoring against eager PyTorch.")
    parser.add_argument("--K", type=command.positive, nargs="+", default=[10])
    parser.add_argument("--tasks", choices=TASKS, nargs="+", default=list(TASKS))
    parser.add_argument("--num", type=command.positive, default=10_000, help="samples per run")
    parser.add_argument(
        "--samples", type=command.positive, default=5000, help="importance samples per image"
    )
    parser.add_argument("--images", type=command.positive, default=50, help="images per run")
    args = command.parse(parser, argv)
    cases = [{"task": task, **asdict(Case("cp", K, 1))} for K in args.K for task in args.tasks]
    print(table(command.measured(parser, args, cases, lambda **case: measure(args, **case))))


if __name__ == "__main__":
    sys.exit(as_process(main))
