"""Seconds an epoch, ours against PyTorch and the floor, as ratios from interleaved runs.

    python -m benchmarks.epoch --model cp vae --K 10 500 --batch 100 500 --out results/speed.json

Case after case: after one warm-up of each, the programs take turns, one epoch each, for
`--repeats` rounds, and the machine's own rates are measured in every round. A ratio is formed
within a round; the table has the median and the range over the rounds. All programs may use
all cores: `taskset` limits them. Absolute times depend on the machine and are in the file only,
which is written after every case and completed by the same command. PyTorch comes with
`pip install -e '.[bench]'`. `--device gpu` is not yet run on a GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import flags, machine
from benchmarks.floor import Floor, record, roofline
from benchmarks.problem import Case, image_file
from benchmarks.results import notes
from benchmarks.turns import Program, ratio, take_turns, warmed_up
from cpvae_jax.errors import UserError

OURS = "ours"
FLOOR = "the machine's rates"


@dataclass(frozen=True)
class Competitor:
    """A PyTorch program: its name in tables, how it is made, and of which models it is one."""

    name: str
    function: str
    options: dict[str, bool] = field(default_factory=dict)
    models: tuple[str, ...] | None = None


COMPETITORS = {
    "plain": Competitor("torch, plain", "plain"),
    "tuned": Competitor("torch, tuned", "tuned", {"compile": False}),
    "compiled": Competitor("torch, tuned, compiled", "tuned", {"compile": True}),
    "algebra": Competitor(
        "torch, tuned, compiled, our algebra",
        "tuned",
        {"compile": True, "multiplied_out": True},
        models=("cp",),
    ),
}
"""By what `--programs` calls them."""


@dataclass
class Series:
    """What one program did, a number a round."""

    program: str
    seconds: list[float]
    losses: list[float]


@dataclass
class Row:
    """A line of the table: seconds of one program over those of ours and of the floor."""

    program: str
    ratio: float
    low: float
    high: float
    over_floor_large: float
    """Over the floor at the rate of a large product"""
    over_floor_own: float
    """Over the floor at the rate of the step's own products"""
    loss: float


def programs(case: Case, images: Path, device: str, chosen: Sequence[str]) -> dict[str, Program]:
    """Ours, the competitors that there are of the case's model, and the floor."""
    given = {"case": case, "images": images}
    found = {OURS: Program("benchmarks.ours:ours", given)}
    for competitor in (COMPETITORS[name] for name in COMPETITORS if name in chosen):
        if competitor.models is None or case.model in competitor.models:
            target = f"benchmarks.torch_programs.training:{competitor.function}"
            arguments = {**given, "device": device, **competitor.options}
            found[competitor.name] = Program(target, arguments)
    found[FLOOR] = Program("benchmarks.rates:floor", {"case": case, "device": device})
    return found


def measure(case: Case, images: np.ndarray, args: argparse.Namespace) -> dict[str, Any]:
    """Everything that is kept of a case.

    Raises `UserError` where our own program cannot run.
    """
    steps = args.steps or len(images) // case.batch
    busy = machine.busy_cores()
    with ExitStack() as stack:
        path = stack.enter_context(image_file(images[: steps * case.batch]))
        run = programs(case, path, flags.DEVICES[args.device], args.programs)
        children, left_out = stack.enter_context(warmed_up(run, case))
        if not {OURS, FLOOR} <= children.keys():
            raise UserError(f"{left_out[0]}.")
        answers = take_turns(children, args.repeats, case)
        memory = {name: children[name].peak_memory() for name in children if name != FLOOR}
    floors = answers.pop(FLOOR)
    series = [
        Series(name, [seconds for seconds, _ in found], [loss for _, loss in found])
        for name, found in answers.items()
    ]
    return {
        "notes": machine.noise(busy) + left_out,
        "busy_cores": busy,
        "rows": [asdict(row) for row in compare(series, floors, steps)],
        "series": [asdict(one) for one in series],
        "floor": record(floors),
        "peak_memory": {name: peak._asdict() for name, peak in memory.items()},
    }


def compare(series: list[Series], floors: list[Floor], steps: int) -> list[Row]:
    """Every program against ours and the floor of `steps` steps, within the rounds."""
    (ours,) = (one.seconds for one in series if one.program == OURS)
    large, own = ([steps * f.seconds(own=which) for f in floors] for which in (False, True))
    return [
        Row(
            one.program,
            *ratio(one.seconds, ours),
            over_floor_large=ratio(one.seconds, large).median,
            over_floor_own=ratio(one.seconds, own).median,
            loss=one.losses[-1],
        )
        for one in series
    ]


def table(measured: list[dict[str, Any]]) -> str:
    """The rows of all cases as text. The loss tells that the programs learn the same thing."""
    lines = [
        f"{'':58} {'over ours':>9} {'':>11} {'over the floor at the rate of':>27}",
        f"{'model':5} {'K':>4} {'batch':>6}  {'program':39} {'median':>9} {'min–max':>11} "
        f"{'a large product':>16} {'own products':>12} {'loss':>7}",
    ]
    for one in measured:
        case = one["case"]
        name = f"{case['model']:5} {case['K']:>4} {case['batch']:>6}"
        for row in one["rows"]:
            spread = f"{row['low']:.2f}–{row['high']:.2f}"
            lines.append(
                f"{name}  {row['program']:39} {row['ratio']:9.2f} {spread:>11} "
                f"{row['over_floor_large']:16.2f} {row['over_floor_own']:12.2f} {row['loss']:7.1f}"
            )
        lines.append(f"{name}  {roofline(one['floor'])}")
    lines += notes((str(Case(**one["case"])), one) for one in measured)
    return "\n".join(lines)


def _arguments() -> argparse.ArgumentParser:
    parser = flags.command(
        "epoch", "Time an epoch of cpvae_jax against PyTorch programs of the same model."
    )
    flags.add_cases(parser, K=[10, 500])
    parser.add_argument(
        "--batch", type=flags.positive, nargs="+", default=[100], help="images a step"
    )
    parser.add_argument(
        "--programs",
        choices=(OURS, *COMPETITORS),
        nargs="+",
        default=[OURS, *COMPETITORS],
        help="which programs; ours is always among them",
    )
    parser.add_argument("--steps", type=flags.positive, help="steps an epoch, else all images")
    flags.add_images(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = _arguments()
    args = parser.parse_args(argv)
    if set(args.programs) - {OURS}:
        flags.require_torch(parser)
    flags.use_device(args.device)
    images = flags.images(parser, args)
    for batch in args.batch:
        if (args.steps or 1) * batch > len(images):
            parser.error(
                f"an epoch of {args.steps or 1} steps of {batch} images does not fit the "
                f"{len(images)} images there are; give a smaller --steps or --batch"
            )
    setting = {name: getattr(args, name) for name in ("data", "device", "steps", "repeats")}
    setting["programs"] = [name for name in COMPETITORS if name in args.programs]
    measured = flags.measured(parser, args, setting, lambda case: measure(case, images, args))
    print(table(measured))


if __name__ == "__main__":
    main()
