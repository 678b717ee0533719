"""Seconds an epoch, ours against PyTorch, as ratios from one interleaved run.

    python -m benchmarks.epoch --K 10 500 --repeats 5 --out results/speed.json

After one warm-up of each, the programs take turns, one epoch each, for `--repeats`
rounds. A ratio is formed within a round, so that what slows the whole machine for a
while slows both of its halves; the table has the median and the range over the rounds.
All programs may use all cores: `taskset` limits them. Absolute times depend on the
machine and are in the file only. PyTorch comes with `pip install -e '.[bench]'`.
"""

import argparse
import json
import os
import platform
import sys
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.children import Child
from benchmarks.problem import UnavailableError, load_images

OURS = "ours"
PROGRAMS: dict[str, tuple[str, dict[str, bool]]] = {
    OURS: ("benchmarks.ours:ours", {}),
    "torch, plain": ("benchmarks.torch_cpvae:plain", {}),
    "torch, tuned": ("benchmarks.torch_cpvae:tuned", {"compile": False}),
    "torch, tuned, compiled": ("benchmarks.torch_cpvae:tuned", {"compile": True}),
    "torch, tuned, compiled, our algebra": (
        "benchmarks.torch_cpvae:tuned",
        {"compile": True, "multiplied_out": True},
    ),
}
"""The programs by name: `module:function`, called in a child, and its options."""

QUIET = 0.5
"""Load, in busy cores, above which a neighbour may well decide the outcome."""


@dataclass
class Series:
    """What one program did at one K, a number a round."""

    K: int
    program: str
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


@dataclass
class Row:
    """A line of the table: seconds of one series over those of another, round by round."""

    K: str
    program: str
    ratio: float
    low: float
    high: float
    loss: float


def measure(
    Ks: list[int], images: np.ndarray, batch: int, repeats: int
) -> tuple[list[Series], list[str]]:
    """Warm every program up, then time them in turn; also notes on those left out."""
    children: list[tuple[Series, Child]] = []
    notes: list[str] = []
    with ExitStack() as stack:
        for program, (target, options) in PROGRAMS.items():
            for K in Ks:
                _progress(f"warming up: {program}, K={K}")
                child = stack.enter_context(Child(target, options, K, images, batch))
                try:
                    child.run_epoch()
                except UnavailableError as error:
                    notes.append(f"{program}, K={K}, is left out: {error}")
                else:
                    children.append((Series(K, program), child))
        for number in range(1, repeats + 1):
            _progress(f"round {number} of {repeats}")
            for series, child in children:
                seconds, loss = child.run_epoch()
                series.seconds.append(seconds)
                series.losses.append(loss)
    return [series for series, _ in children], notes


def compare(measured: list[Series]) -> list[Row]:
    """Every program against ours at the same K, then ours at each K against the first."""
    of_K: dict[int, dict[str, Series]] = defaultdict(dict)
    for series in measured:
        of_K[series.K][series.program] = series
    first, *others = of_K
    rows = [
        _row(str(K), series, programs[OURS])
        for K, programs in of_K.items()
        for series in programs.values()
    ]
    return rows + [_row(f"{K}/{first}", of_K[K][OURS], of_K[first][OURS]) for K in others]


def _row(K: str, series: Series, reference: Series) -> Row:
    ratios = [a / b for a, b in zip(series.seconds, reference.seconds, strict=True)]
    return Row(K, series.program, median(ratios), min(ratios), max(ratios), series.losses[-1])


def table(rows: list[Row]) -> str:
    """The rows as text. The loss tells that the programs learn the same thing."""
    lines = [f"{'K':>8}  {'program':36} {'ratio to ours':>13} {'min–max':>13} {'loss':>8}"]
    for row in rows:
        spread = f"{row.low:.2f}–{row.high:.2f}"
        lines.append(f"{row.K:>8}  {row.program:36} {row.ratio:13.2f} {spread:>13} {row.loss:8.1f}")
    return "\n".join(lines)


def machine() -> dict[str, Any]:
    """What the times depend on; nothing that names the machine or its folders."""
    packages = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")
    return {
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "threads": _threads(),
        "load_at_start": _load(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
    }


def _threads() -> int | None:
    """Cores that this process and its children may use; PyTorch and XLA take as many threads."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _load() -> float:
    """Cores kept busy over the last minute, 0 where the system does not tell."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else 0.0


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.epoch",
        description="Time an epoch of cpvae_jax against PyTorch programs of the same model.",
    )
    parser.add_argument(
        "--K", type=_positive, nargs="+", default=[10, 500], help="numbers of categories"
    )
    parser.add_argument("--repeats", type=_positive, default=5, help="rounds after the warm-up")
    parser.add_argument("--batch", type=_positive, default=100, help="images a step")
    parser.add_argument("--steps", type=_positive, help="steps an epoch; all images by default")
    parser.add_argument("--data", choices=("mnist", "random"), default="mnist")
    parser.add_argument("--data-dir", help="where the data sets are kept")
    parser.add_argument("--out", type=Path, help="JSON file for every number")
    return parser


def main() -> None:
    """Measure, print the table, write the file."""
    parser = _arguments()
    args = parser.parse_args()
    if find_spec("torch") is None:
        parser.error("PyTorch is not installed; it comes with: pip install -e '.[bench]'")
    os.environ["JAX_PLATFORMS"] = "cpu"  # the PyTorch programs run there

    from cpvae_jax.errors import UserError  # here: PyTorch's children load this file, not jax

    try:
        images = load_images(args.data, args.data_dir)
    except UserError as error:
        parser.error(str(error))
    steps = args.steps or len(images) // args.batch
    count = steps * args.batch
    if not 0 < count <= len(images):
        parser.error(
            f"an epoch of {steps} steps of {args.batch} images does not fit the "
            f"{len(images)} images there are; give a smaller --steps or --batch"
        )

    description = machine()
    series, notes = measure(list(dict.fromkeys(args.K)), images[:count], args.batch, args.repeats)
    if description["load_at_start"] > QUIET:
        notes.append(
            f"other work kept {description['load_at_start']} cores busy just before the start, "
            "which distorts the ratios; run it again on a quiet machine"
        )
    rows = compare(series)
    print(table(rows))
    for note in notes:
        print(f"note: {note}")
    if args.out:
        result = {
            "setting": {"data": args.data, "batch": args.batch, "steps": steps},
            "machine": description,
            "notes": notes,
            "rows": [asdict(row) for row in rows],
            "series": [asdict(one) for one in series],
        }
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
