"""An epoch of several seeds side by side in one program, over one of a single seed.

    python -m benchmarks.seeds --seeds 2 8 --out results/seeds-cpu.json

The programs take turns, and a ratio is formed within a round. Below the number of seeds, they
are cheaper side by side than one after another. `--device gpu` is not yet run on a GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from typing import Any

from benchmarks import flags, machine
from benchmarks.problem import Case, cases, image_file, load_images
from benchmarks.results import Results, notes
from benchmarks.turns import Program, Ratio, ratio, take_turns, warmed_up
from cpvae_jax.errors import UserError


def measure(case: Case, seeds: Sequence[int], args: argparse.Namespace) -> dict[str, Any]:
    """Everything that is kept of a case.

    Raises `UserError` where our program cannot run.
    """
    busy = machine.busy_cores()
    with ExitStack() as stack:
        images = load_images("random", None, args.steps * case.batch)
        given = {"case": case, "images": stack.enter_context(image_file(images))}
        programs = {
            f"{R} seeds": Program("benchmarks.ours:ours", {**given, "seeds": R}) for R in seeds
        }
        children, left_out = stack.enter_context(warmed_up(programs, case))
        if left_out:
            raise UserError(f"{left_out[0]}.")
        answers = take_turns(children, args.repeats, case)
    seconds = {R: [one for one, _ in answers[f"{R} seeds"]] for R in seeds}
    over_one = {R: ratio(times, seconds[1])._asdict() for R, times in seconds.items()}
    return {
        "notes": machine.noise(busy),
        "busy_cores": busy,
        "over_one": over_one,
        "seconds": seconds,
    }


def table(measured: list[dict[str, Any]]) -> str:
    """A line a number of seeds."""
    lines = []
    for one in measured:
        case = Case(**one["case"])
        for R, over in one["over_one"].items():
            over_one = Ratio(**over)
            each = over_one.median / int(R)
            lines.append(f"{case}, {R} seeds: {over_one} of one seed's epoch, {each:.2f} each")
    lines += notes((str(Case(**one["case"])), one) for one in measured)
    return "\n".join(lines)


def _arguments() -> argparse.ArgumentParser:
    parser = flags.command("seeds", "Time several seeds in one program against a single one.")
    flags.add_cases(parser, K=[10])
    parser.add_argument("--seeds", type=flags.positive, nargs="+", default=[2, 4, 8])
    parser.add_argument("--batch", type=flags.positive, nargs="+", default=[100])
    parser.add_argument("--steps", type=flags.positive, default=100, help="steps an epoch")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = _arguments()
    args = parser.parse_args(argv)
    flags.use_device(args.device)
    seeds = sorted({1, *args.seeds})
    try:
        setting = {name: getattr(args, name) for name in ("device", "steps", "repeats")}
        results = Results(args.out, {**setting, "seeds": seeds})
        measured = []
        for case in cases(args.model, args.K, args.batch):
            measured.append(results.once(asdict(case), partial(measure, case, seeds, args)))
    except UserError as error:
        parser.error(str(error))
    print(table(measured))


if __name__ == "__main__":
    main()
