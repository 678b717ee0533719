"""An epoch of several seeds side by side in one program, over one of a single seed.

    python -m benchmarks.seeds --seeds 2 8 --out results/seeds-cpu.json

The programs take turns, and a ratio is formed within a round. Below the number of seeds, they
are cheaper side by side than one after another. On a CPU also as many seeds as there are cores,
each in a process of its own that keeps to one core. `--device gpu` is not yet run on a GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from benchmarks import flags, machine, variants
from benchmarks.problem import Case
from benchmarks.results import notes
from benchmarks.turns import Program, Ratio

A_CORE_EACH = " seeds, a core each"


def measure(case: Case, seeds: Sequence[int], args: argparse.Namespace) -> dict[str, Any]:
    """Everything that is kept of a case, by the number of seeds.

    Raises `UserError` where our program cannot run.
    """
    programs = {str(R): Program(variants.OURS, {"seeds": R}) for R in seeds}
    if args.device == "cpu":
        name = f"{machine.threads()}{A_CORE_EACH}"
        programs[name] = Program("benchmarks.ours:a_core_each")
    found = variants.measure(case, programs, "1", args)
    return {"over_one": found.pop("over"), **found}


def table(measured: list[dict[str, Any]]) -> str:
    """A line a number of seeds."""
    lines = []
    for one in measured:
        case = Case(**one["case"])
        for name, over in one["over_one"].items():
            over_one = Ratio(**over)
            title = name if A_CORE_EACH in name else f"{name} seeds"
            each = over_one.median / int(name.removesuffix(A_CORE_EACH))
            lines.append(f"{case}, {title}: {over_one} of one seed's epoch, {each:.2f} each")
    lines += notes((str(Case(**one["case"])), one) for one in measured)
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = variants.command("seeds", "Time several seeds in one program against a single one.")
    parser.add_argument("--seeds", type=flags.positive, nargs="+", default=[2, 4, 8])
    args = parser.parse_args(argv)
    flags.use_device(args.device)
    seeds = sorted({1, *args.seeds})
    setting = {name: getattr(args, name) for name in ("device", "steps", "repeats")}
    setting["seeds"] = seeds
    measured = flags.measured(parser, args, setting, lambda case: measure(case, seeds, args))
    print(table(measured))


if __name__ == "__main__":
    main()
