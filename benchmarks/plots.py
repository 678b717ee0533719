"""Pictures of the measurements: speed beside PyTorch and the floor, and how cost grows.

python -m benchmarks.plots --speed results/speed-cpu.json --growth results/growth-cpu.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import numpy as np

from benchmarks.epoch import OURS
from benchmarks.growth import AXES, PAPER
from cpvae_jax import files
from experiments.pictures import STYLE, save

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#aa3377")
"""Told apart by those who see colours differently (Paul Tol's bright scheme)."""

FLOORS = {
    "over_floor_large": ("at the rate of a large product", "#66ccee"),
    "over_floor_own": ("at the rate of the step's own products", "#bbbbbb"),
}
LABELS = {
    "K": "K, categories or components",
    "latent": "dimensions of z",
    "width": "hidden units of a layer",
    "batch": "images a step",
    "examples": "images an epoch",
}
USUAL: Any = {"color": "black", "linewidth": 0.8, "linestyle": "--", "alpha": 0.5}
LINES = [
    Line2D([], [], color="black", marker="o", markersize=4, label="median"),
    Line2D([], [], color="black", linestyle=":", label="best"),
    Line2D([], [], **USUAL, label="the paper's setting"),
]
"""What the lines of a growth are."""


def speed(cases: Sequence[dict[str, Any]]) -> plt.Figure:
    """Bars by case, from 1 on: times of PyTorch over ours, and ours over the floor."""
    models = list(dict.fromkeys(one["case"]["model"] for one in cases))

    def rank(one: dict[str, Any]) -> tuple[int, int, int]:
        case = one["case"]
        return case["batch"], models.index(case["model"]), case["K"]

    cases = sorted(cases, key=rank)
    names = [_name(one["case"]) for one in cases]
    of_torch: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    of_ours: list[dict[str, Any]] = []
    for at, one in enumerate(cases):
        for row in one["rows"]:
            if row["program"] == OURS:
                of_ours.append(row)
            else:
                of_torch.setdefault(row["program"], []).append((at, row))
    bars = max(len(of_torch), len(FLOORS), 1)
    with plt.rc_context({**STYLE, "axes.axisbelow": True}):
        height = 1.6 + 0.17 * bars * len(cases)
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(10, height), sharey=True, layout="constrained"
        )
        for number, (program, rows) in enumerate(of_torch.items()):
            ratios = np.array([(row["ratio"], row["low"], row["high"]) for _, row in rows])
            places = [at for at, _ in rows]
            place = (number, len(of_torch))
            _bars(left, places, ratios, place, label=program, color=COLOURS[number])
        for number, (key, (label, colour)) in enumerate(FLOORS.items()):
            values = np.array([[row[key]] for row in of_ours])
            place = (number, len(FLOORS))
            _bars(right, range(len(cases)), values, place, label=label, color=colour)
        left.set_yticks(range(len(cases)), names)
        left.set_ylim(len(cases) - 0.5, -0.5)
        left.set_xscale("log")
        ticks = [0.5, 1, 2, 5, 10]
        left.set_xticks(ticks, map(str, ticks))
        left.minorticks_off()
        left.set_xlabel("time of an epoch over ours (1: as fast; median and range)")
        right.set_xlabel("our time over the floor (1: nothing but products and Adam)")
        for axes, title in ((left, "PyTorch / ours"), (right, "ours / floor")):
            axes.axvline(1, color="black", linewidth=1)
            axes.grid(visible=False, axis="y")
            axes.set_title(title)
            if axes.containers:
                axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.6 / height), fontsize=8)
    return figure


def _name(case: dict[str, Any]) -> str:
    K = "" if case["model"] == "vae" else f", K = {case['K']}"
    return f"{case['model']}{K}, batch {case['batch']}"


def _bars(
    axes: plt.Axes, at: Sequence[int], values: np.ndarray, place: tuple[int, int], **style: Any
) -> None:
    """One bar a case, the first of `place` among the second; columns 1 and 2 are a range."""
    number, count = place
    thick = 0.8 / count
    places = np.asarray(at) + (number - (count - 1) / 2) * thick
    middle = values[:, 0]
    error = np.abs(values[:, 1:].T - middle) if values.shape[1] == 3 else None
    lines = {"linewidth": 1, "ecolor": "#444444"}
    axes.barh(places, middle - 1, thick, left=1, xerr=error, error_kw=lines, **style)


def growth(points: Sequence[dict[str, Any]]) -> plt.Figure:
    """A column an axis: time above, memory below, both axes logarithmic."""
    axes_there = [name for name in AXES if any(p["case"]["axis"] == name for p in points)]
    with plt.rc_context({**STYLE, "axes.axisbelow": True}):
        figure, grid = plt.subplots(
            2,
            len(axes_there),
            figsize=(2.7 * len(axes_there) + 0.6, 5),
            squeeze=False,
            sharex="col",
            layout="constrained",
        )
        for (time, memory), name in zip(grid.T, axes_there, strict=True):
            _column(time, memory, name, [p for p in points if p["case"]["axis"] == name])
        grid[0, 0].legend(handles=LINES, fontsize=8)
        grid[1, 0].set_ylabel("peak memory of the process, MiB")
        grid[1, 0].legend(fontsize=8)
    return figure


def _column(time: plt.Axes, memory: plt.Axes, name: str, points: list[dict[str, Any]]) -> None:
    field = AXES[name].field
    epochs = field is None
    for number, model in enumerate(AXES[name].models):
        of_model = sorted(
            (p for p in points if p["case"]["model"] == model), key=lambda p: p["case"]["value"]
        )
        values = [p["case"]["value"] for p in of_model]
        per = [1 if epochs else p["steps"] / 1e3 for p in of_model]  # seconds, or milliseconds
        middle, best = (
            [of(p["seconds"]) / each for p, each in zip(of_model, per, strict=True)]
            for of in (median, min)
        )
        style: dict[str, Any] = {"color": COLOURS[number], "markersize": 4}
        time.plot(values, middle, "o-", **style)
        time.plot(values, best, ":", **style)
        peaks = [p["peak_memory"]["process"] for p in of_model]
        memory.plot(values, peaks, "o-", label=model, **style)
    time.set_ylabel("seconds an epoch" if epochs else "milliseconds a step")
    memory.set_xlabel(LABELS[name])
    ticks = sorted({p["case"]["value"] for p in points})
    for axes in (time, memory):
        axes.set(xscale="log", yscale="log")
        if field:
            axes.axvline(getattr(PAPER, field), **USUAL)
        _plain_numbers(axes)
    time.set_xticks(ticks)
    memory.set_xticks(ticks, [_short(tick) for tick in ticks], rotation=60)


def _plain_numbers(axes: plt.Axes) -> None:
    """Numbers as one says them, at 1, 2 and 5 of every power, and some room above and below."""
    low, high = axes.get_ylim()
    if high / low < 4:
        axes.set_ylim(low / 1.5, high * 1.5)
    axes.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axes.minorticks_off()


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"


def main(argv: Sequence[str] | None = None) -> None:
    """Draw what files there are."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plots",
        description="Draw the files of benchmarks.epoch and benchmarks.growth.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--speed", type=Path, help="file of benchmarks.epoch")
    parser.add_argument("--growth", type=Path, help="file of benchmarks.growth")
    parser.add_argument("--out", type=Path, default=Path("docs/figures"), help="folder")
    args = parser.parse_args(argv)
    if args.speed is None and args.growth is None:
        parser.error("there is nothing to draw; give --speed, --growth or both")
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        if args.speed is not None:
            save(speed(files.read_json(args.speed)["cases"]), args.out / "speed.png")
        if args.growth is not None:
            save(growth(files.read_json(args.growth)["cases"]), args.out / "growth.png")
    except files.DamagedError as error:
        parser.error(f"{error}")
    except (KeyError, TypeError):
        parser.error("a file given is none of the measurement that its flag names")


if __name__ == "__main__":
    main()
