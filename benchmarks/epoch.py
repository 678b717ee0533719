"""Seconds of a training epoch: cpvae_jax against PyTorch and the floor, or another checkout.

    python -m benchmarks.epoch --K 10 500 --steps 100 --out results/epoch-cpu.json
    python -m benchmarks.epoch --K 10 500 --against ../other/checkout

The first form leaves PyTorch out where it is not installed (`pip install -e '.[bench]'`). The second form compares this checkout
with another one of the same repository, such as the commit before (`git worktree add`), see
`against.py`. The images are random, of MNIST's shape and number: what they show does not change the
time. All programs may use all cores; limit them with `taskset`.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks import against, command
from benchmarks.problem import Case, image_file
from benchmarks.results import table
from benchmarks.turns import Program, by_turns
from cpvae_jax.commands.main import as_process

TORCH = {
    "torch, plain": Program("benchmarks.torch_programs.programs:plain"),
    "torch, compiled": Program("benchmarks.torch_programs.programs:tuned"),
    "torch, compiled, our algebra": Program(
        "benchmarks.torch_programs.programs:tuned", {"model_type": "MultipliedOut"}
    ),
}
"""PyTorch programs that train the paper's model."""


def measure(args: argparse.Namespace, **sizes: Any) -> dict[str, Any]:
    """Everything that is kept of a case."""
    case = Case(**sizes)
    with image_file(args.steps * case.batch) as images:
        given = {"case": case, "images": images}
        programs = {
            "cpvae_jax": Program("benchmarks.ours:ours", given),
            "floor": Program("benchmarks.floor:floor", {"case": case, "steps": args.steps}),
        }
        for name, program in TORCH.items():
            device = command.DEVICES[args.device]
            arguments = {**given, "device": device, **program.arguments}
            programs[name] = Program(program.target, arguments)
        return by_turns(programs, args.repeats, case)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = command.parser("epoch", "Time a training epoch against other programs.")
    command.add_sizes(parser, K=[10, 500], batch=[100], steps=500)
    parser.add_argument(
        "--against",
        type=against.checkout,
        metavar="FOLDER",
        help="another checkout to compare with",
    )
    parser.add_argument("--model", default="cp", help="another model, for --against only")
    args = command.parse(parser, argv)
    cases = [asdict(Case(args.model, K, batch)) for K in args.K for batch in args.batch]
    if args.against:
        commits = against.commits(args.against)
        run = command.measured(
            parser, args, cases, lambda **case: against.measure(args, **case), **commits
        )
        print(against.table(run))
        return
    if args.model != "cp":
        parser.error(f"--model is {args.model}; PyTorch and the floor have cp only, see --against")
    print(table(command.measured(parser, args, cases, lambda **case: measure(args, **case))))


if __name__ == "__main__":
    sys.exit(as_process(main))
