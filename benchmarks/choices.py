"""An epoch by other ways of compiling and computing it, over one as it is: what to choose.

    python -m benchmarks.choices --device gpu --out results/choices-gpu.json

Unrolled steps, a branch or a choice around the update, the generator of random numbers and, on a
GPU, the precision of products in training and what goes into command buffers. Each way is a
program in a process of its own; all take turns, and a ratio is formed within a round. Not yet run
on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import flags, variants
from benchmarks.problem import Case
from benchmarks.results import notes
from benchmarks.turns import Program, Ratio
from cpvae_jax import devices

AS_IT_IS = "as it is"
BUFFERS = "--xla_gpu_enable_command_buffer="
BUFFERED = "FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,DYNAMIC_SLICE_FUSION"


def ways(device: str) -> dict[str, dict[str, Any]]:
    """By name, what `benchmarks.ours.ours` is given for it."""
    plan = devices.plan(device)
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


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = variants.command("choices", "Time ways of compiling and computing an epoch.")
    args = parser.parse_args(argv)
    flags.use_device(args.device)
    programs = {name: Program(variants.OURS, way) for name, way in ways(args.device).items()}
    setting = {name: getattr(args, name) for name in ("device", "steps", "repeats")}
    measured = flags.measured(
        parser, args, setting, lambda case: variants.measure(case, programs, AS_IT_IS, args)
    )
    print(table(measured))


if __name__ == "__main__":
    main()
