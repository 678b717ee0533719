"""How time and memory grow: with K, z, width, batch and data size, each alone.

    python -m benchmarks.growth --axes K latent --out results/growth-cpu.json

Every point is a training of ours in a process of its own, next to one of the paper's setting:
the two take turns, so that the ratio of their steps' times is formed within a round. Images are noise, as many
at every point but those of the axis of examples, and memory is the peak of the process. The
file is written after every point and completed by the same command. `--device gpu` is not yet
run on a GPU.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks import flags, machine
from benchmarks.children import Child
from benchmarks.problem import Case, image_file, load_images
from benchmarks.results import Results, notes
from benchmarks.turns import Program, progress, ratio, take_turns, warmed_up
from cpvae_jax.errors import UserError

PAPER = Case("cp", K=10, batch=100)
POINT, REFERENCE = "the point", "the paper's setting"


@dataclass(frozen=True)
class Axis:
    """What is varied."""

    field: str | None
    """Of `Case`; None: the number of images"""
    values: tuple[int, ...]
    models: tuple[str, ...] = (PAPER.model,)


AXES = {
    "K": Axis("K", (1, 10, 50, 150, 500), ("cp", "mg", "vp")),
    "latent": Axis("latent", (2, 10, 40, 128)),
    "width": Axis("hidden", (64, 150, 300, 600, 1024)),
    "batch": Axis("batch", (32, 100, 512, 2048)),
    "examples": Axis(None, (10_000, 50_000, 200_000)),
}


@dataclass(frozen=True)
class Point:
    """A value on an axis, of one model."""

    axis: str
    value: int
    model: str

    @property
    def case(self) -> Case:
        field = AXES[self.axis].field
        return replace(PAPER, model=self.model, **({field: self.value} if field else {}))

    def images(self, usual: int) -> int:
        """How many there are; a number that is not varied is the usual one."""
        return self.value if AXES[self.axis].field is None else usual

    def __str__(self) -> str:
        return f"{self.axis} {self.value}, {self.model}"


def points(axes: Sequence[str]) -> list[Point]:
    """All points of some axes."""
    return [
        Point(name, value, model)
        for name in axes
        for model in AXES[name].models
        for value in AXES[name].values
    ]


def measure(point: Point, images: int, reference: Child, repeats: int) -> dict[str, Any]:
    """Everything that is kept of a point.

    Raises `UserError` where our program cannot run.
    """
    busy = machine.busy_cores()
    case, count = point.case, point.images(images)
    with image_file(load_images("random", None, count)) as path:
        program = Program("benchmarks.ours:ours", {"case": case, "images": path})
        with warmed_up({POINT: program}, point) as (children, left_out):
            if left_out:
                raise UserError(f"{left_out[0]}.")
            answers = take_turns({**children, REFERENCE: reference}, repeats, point)
            peak = children[POINT].peak_memory()
    seconds, reference_seconds = ([s for s, _ in answers[name]] for name in (POINT, REFERENCE))
    steps, reference_steps = count // case.batch, images // PAPER.batch
    of_step = ratio(
        [one / steps for one in seconds], [one / reference_steps for one in reference_seconds]
    )
    return {
        "notes": machine.noise(busy),
        "busy_cores": busy,
        "images": count,
        "steps": steps,
        "seconds": seconds,
        "reference_seconds": reference_seconds,
        "step_over_reference": of_step._asdict(),
        "peak_memory": peak._asdict(),
    }


def table(measured: list[dict[str, Any]]) -> str:
    """The points as text, a step's time over that of the paper's setting."""
    lines = [f"{'axis':9} {'value':>7} {'model':5} {'step over reference':>22} {'peak MiB':>9}"]
    for one in measured:
        point, over = Point(**one["case"]), one["step_over_reference"]
        spread = f"{over['median']:.2f} ({over['low']:.2f}–{over['high']:.2f})"
        peak = one["peak_memory"]["process"]
        lines.append(f"{point.axis:9} {point.value:>7} {point.model:5} {spread:>22} {peak:9.0f}")
    lines += notes((str(Point(**one["case"])), one) for one in measured)
    return "\n".join(lines)


def _arguments() -> argparse.ArgumentParser:
    parser = flags.command("growth", "Measure how a training's time and memory grow.")
    parser.add_argument("--axes", choices=tuple(AXES), nargs="+", default=list(AXES))
    parser.add_argument(
        "--steps", type=flags.positive, default=100, help="steps an epoch of 100 images each"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = _arguments()
    args = parser.parse_args(argv)
    flags.use_device(args.device)
    images = args.steps * PAPER.batch
    wanted = points(args.axes)
    largest = max(point.case.batch for point in wanted)
    if largest > images:
        parser.error(
            f"a batch of {largest} is more than the {images} images of {args.steps} steps; "
            f"give --steps of at least {-(-largest // PAPER.batch)}"
        )
    try:
        setting = {name: getattr(args, name) for name in ("device", "steps", "repeats")}
        results = Results(args.out, setting)
        missing = [point for point in wanted if results.find(asdict(point)) is None]
        if missing:
            _measure_all(missing, images, results, args.repeats)
    except UserError as error:
        parser.error(str(error))
    print(table([found for point in wanted if (found := results.find(asdict(point)))]))


def _measure_all(missing: list[Point], images: int, results: Results, repeats: int) -> None:
    """One process of the paper's setting serves all points."""
    with image_file(load_images("random", None, images)) as path:
        reference = Program("benchmarks.ours:ours", {"case": PAPER, "images": path})
        with warmed_up({REFERENCE: reference}, "reference") as (children, left_out):
            if left_out:
                raise UserError(f"{left_out[0]}.")
            for number, point in enumerate(missing, 1):
                progress(f"point {number} of {len(missing)}")
                found = measure(point, images, children[REFERENCE], repeats)
                results.add(asdict(point), **found)


if __name__ == "__main__":
    main()
