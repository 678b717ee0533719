"""An epoch by other ways of compiling and computing it, over one as it is: what to choose.

    python -m benchmarks.choices --device gpu --out results/choices-gpu.json

Unrolled steps, a branch or a choice around the update, the generator of random numbers and, on a
GPU, the precision of products in training and what goes into command buffers. Each way is a
program in a process of its own; all take turns, and a ratio is formed within a round. Not yet run
on a GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from benchmarks import flags, variants
from benchmarks.problem import Case, cases
from benchmarks.results import Results, notes
from benchmarks.turns import Program, Ratio
from cpvae_jax import devices
from cpvae_jax.errors import UserError

AS_IT_IS = "as it is"
BUFFERS = "--xla_gpu_enable_command_buffer="
BUFFERED = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,DYNAMIC_SLICE_FUSION"


def ways(device: str) -> dict[str, dict[str, Any]]:
    """By name, what `benchmarks.ours.ours` is given for it."""
    plan = devices.Plan(branch=device == "cpu")
    other = "a choice" if plan.branch else "a branch"
    found: dict[str, dict[str, Any]] = {
        AS_IT_IS: {"plan": plan},
        **{f"unrolled by {n}": {"plan": plan._replace(unroll=n)} for n in (2, 4, 8)},
        f"{other} around the update": {"plan": plan._replace(branch=not plan.branch)},
        "XLA's generator of random numbers": {"plan": plan, "random": "rbg"},
    }
    if device == "gpu":
        found |= {
            "products of float32": {"plan": plan, "precision": "float32"},
            "products of bfloat16": {"plan": plan, "precision": "bfloat16"},
            "no command buffers": {"plan": plan, "xla": BUFFERS},
            "command buffers of loops and branches too": {
                "plan": plan,
                "xla": f"{BUFFERS}{BUFFERED},CONDITIONAL,WHILE",
            },
        }
    return found


def table(measured: list[dict[str, Any]]) -> str:
    """A line a way; the loss tells that all learn the same thing."""
    lines = [
        f"{Case(**one['case'])}, {name}: {Ratio(**over)} of the time, loss {one['loss'][name]:.1f}"
        for one in measured
        for name, over in one["over"].items()
    ]
    lines += notes((str(Case(**one["case"])), one) for one in measured)
    return "\n".join(lines)


def _arguments() -> argparse.ArgumentParser:
    parser = flags.command("choices", "Time ways of compiling and computing an epoch.")
    flags.add_cases(parser, K=[10])
    parser.add_argument("--batch", type=flags.positive, nargs="+", default=[100])
    parser.add_argument("--steps", type=flags.positive, default=100, help="steps an epoch")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = _arguments()
    args = parser.parse_args(argv)
    flags.use_device(args.device)
    try:
        setting = {name: getattr(args, name) for name in ("device", "steps", "repeats")}
        results = Results(args.out, setting)
        measured = []
        programs = {name: Program(variants.OURS, way) for name, way in ways(args.device).items()}
        for case in cases(args.model, args.K, args.batch):
            measure = partial(variants.measure, case, programs, AS_IT_IS, args)
            measured.append(results.once(asdict(case), measure))
    except UserError as error:
        parser.error(str(error))
    print(table(measured))


if __name__ == "__main__":
    main()
