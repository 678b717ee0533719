"""This checkout against another one: seconds of a step, and seconds to the end of the first epoch.

Each side runs `benchmarks.ours:ours` of its own checkout, in a process that imports `cpvae_jax` from
there. Every round starts a new process per side, because two processes of the same program may
differ by 2% for as long as they live. Within a round the sides run their epochs by turns; the side
that goes first in one round goes second in the next.
"""

import argparse
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.problem import Case, image_file
from benchmarks.results import notes
from benchmarks.turns import ROOT, Child, Program, Ratio, progress, ratio
from cpvae_jax.errors import UserError

THIS, OTHER = "this", "other"
TURNS = 5
"""Epochs of each side in a round, after the first one, which compiles."""


def checkout(text: str) -> Path:
    """The folder of a checkout, for argparse."""
    folder = Path(text).resolve()
    if not (folder / "benchmarks" / "ours.py").exists():
        raise argparse.ArgumentTypeError(f"{text} is not a checkout of this repository")
    return folder


def commits(other: Path) -> dict[str, str]:
    """The commits of both sides, for the settings of the results file."""
    return {THIS: _commit(ROOT), OTHER: _commit(other)}


def _commit(folder: Path) -> str:
    """The commit, with "-dirty" after it where files differ from it; "" without git."""
    git = ["git", "-C", str(folder), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(git, capture_output=True, text=True).stdout.strip()
    except OSError:
        return ""


def measure(args: argparse.Namespace, **sizes: Any) -> dict[str, Any]:
    """Compare the two sides on a case.

    Returns:
        A record for the results file: `step` and `first` are ratios of seconds, this checkout over
        the other; a round's ratio of steps is the median over its turns. Then, for each side,
        `seconds_per_step` (rounds x turns), `seconds_to_first_epoch` and `loss` (one per round).

    Raises:
        UserError: A side imports `cpvae_jax` from elsewhere than its own checkout.
    """
    case, folders = Case(**sizes), {THIS: ROOT, OTHER: args.against}
    busy = machine.busy_cores()
    seconds: dict[str, list[list[float]]] = {side: [] for side in folders}
    first: dict[str, list[float]] = {side: [] for side in folders}
    losses: dict[str, list[float]] = {side: [] for side in folders}
    with image_file(args.steps * case.batch) as images:
        program = Program("benchmarks.ours:ours", {"case": case, "images": images})
        for number in range(args.repeats):
            progress(f"{case}: round {number + 1} of {args.repeats}")
            order = [THIS, OTHER] if number % 2 == 0 else [OTHER, THIS]
            with ExitStack() as stack:
                children = {}
                for side in order:
                    start = perf_counter()
                    children[side] = stack.enter_context(Child(program, folders[side]))
                    children[side].run()
                    first[side].append(perf_counter() - start)
                    if (found := children[side].where()) != folders[side] / "cpvae_jax":
                        raise UserError(f"{folders[side]} imports cpvae_jax from {found}.")
                turns = [{side: children[side].run() for side in order} for _ in range(TURNS)]
            for side in order:
                seconds[side].append([turn[side][0] / args.steps for turn in turns])
                losses[side].append(turns[-1][side][1])
    step = [ratio(*both).median for both in zip(seconds[THIS], seconds[OTHER], strict=True)]
    return {
        "busy_cores": busy,
        "step": Ratio(median(step), min(step), max(step))._asdict(),
        "first": ratio(first[THIS], first[OTHER])._asdict(),
        "seconds_per_step": seconds,
        "seconds_to_first_epoch": first,
        "loss": losses,
    }


def table(measured: Sequence[dict[str, Any]]) -> str:
    """A line per case. Ratios have three digits after the point, because 3% count here."""
    lines = ["this checkout over the other: median (min–max); milliseconds per step; loss"]
    for one in measured:
        step, first = (
            f"{one[name]['median']:.3f} ({one[name]['low']:.3f}–{one[name]['high']:.3f})"
            for name in ("step", "first")
        )
        steps, losses = one["seconds_per_step"], one["loss"]
        ms = " / ".join(f"{1e3 * median(np.ravel(steps[side])):.2f}" for side in (THIS, OTHER))
        loss = " / ".join(f"{losses[side][-1]:.3f}" for side in (THIS, OTHER))
        lines.append(
            f"{Case(**one['case'])}: step {step}, start to first epoch {first}; {ms} ms; {loss}"
        )
        lines += notes(one)
    return "\n".join(lines)
