"""What a trained model does in a second, and the memory that training takes, beside PyTorch.

    python -m benchmarks.throughput --model cp --K 10 500 --out results/throughput-cpu.json

Three tasks: samples of one category, the log-likelihood by importance sampling, and the peak
memory of a training process. The first two are the same computation with the same parameters,
the programs taking turns; their mean answers stand in the table, and tell that it is the same.
Every number is in the file, which is completed by the same command. `--device gpu` is not yet
run on a GPU.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import flags, machine
from benchmarks.children import Child
from benchmarks.problem import Case, cases, image_file
from benchmarks.results import Results, notes
from benchmarks.turns import Program, ratio, take_turns, warmed_up
from cpvae_jax.errors import UserError

OURS, TORCH = "ours", "torch, eager"
CATEGORY = 3
BATCH = 100
"""Images a step of the training whose memory is told."""
STEPS = 20
"""Steps of that training."""


def samples(case: Case, images: np.ndarray, chosen: argparse.Namespace) -> dict[str, Any]:
    """Images of one category in a second."""
    del images
    what = {"category": min(CATEGORY, case.K - 1), "num": chosen.num}
    ours = {**what, "category": None} if case.model == "vae" else what  # it has no category
    with _weights(case) as weights:
        programs = {
            OURS: Program("benchmarks.ours:samples", {"case": case, **ours}),
            TORCH: Program(
                "benchmarks.torch_programs.scoring:samples",
                {"case": case, **what, "weights": weights, "device": _device(chosen)},
            ),
        }
        return _rates(programs, chosen.num, chosen.repeats, f"samples, {case}")


def log_likelihood(case: Case, images: np.ndarray, chosen: argparse.Namespace) -> dict[str, Any]:
    """Images in a second whose log-likelihood is estimated."""
    with _weights(case) as weights, image_file(images[: chosen.images]) as path:
        what = {"case": case, "images": path, "samples": chosen.samples}
        programs = {
            OURS: Program("benchmarks.ours:log_likelihood", what),
            TORCH: Program(
                "benchmarks.torch_programs.scoring:log_likelihood",
                {**what, "weights": weights, "device": _device(chosen)},
            ),
        }
        return _rates(programs, chosen.images, chosen.repeats, f"log-likelihood, {case}")


def memory(case: Case, images: np.ndarray, chosen: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of a process that trains; of it, what its imports alone take."""
    rows = []
    with image_file(images[: STEPS * case.batch]) as path:
        what = {"case": case, "images": path}
        torch = {**what, "device": _device(chosen)}
        for name, target, arguments in (
            (OURS, "benchmarks.ours:ours", what),
            ("torch, plain", "benchmarks.torch_programs.training:plain", torch),
        ):
            with Child(target, **arguments) as child:
                imports = child.peak_memory().process
                child.run()
                rows.append({"program": name, "imports": imports, **child.peak_memory()._asdict()})
    return {"notes": [], "rows": rows}


TASKS: dict[str, Callable[[Case, np.ndarray, argparse.Namespace], dict[str, Any]]] = {
    "samples": samples,
    "log-likelihood": log_likelihood,
    "memory": memory,
}


@contextmanager
def _weights(case: Case) -> Iterator[Path]:
    """A file of the parameters that all programs of a case have."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.npz"
        with Child("benchmarks.ours:write_weights", case=case, path=path) as child:
            child.run()
        yield path


def _device(chosen: argparse.Namespace) -> str:
    return flags.DEVICES[chosen.device]


def _rates(programs: dict[str, Program], amount: int, repeats: int, title: str) -> dict[str, Any]:
    """Amounts a second, and ratios of times within a round."""
    busy = machine.busy_cores()
    with warmed_up(programs, title) as (children, left_out):
        if OURS not in children:
            raise UserError(f"{left_out[0]}.")
        answers = take_turns(children, repeats, title)
    seconds = {name: [one for one, _ in found] for name, found in answers.items()}
    rows = [
        {
            "program": name,
            "per_second": amount / median(times),
            **ratio(times, seconds[OURS])._asdict(),
            "mean": answers[name][-1][1],
        }
        for name, times in seconds.items()
    ]
    return {
        "notes": machine.noise(busy) + left_out,
        "busy_cores": busy,
        "rows": rows,
        "seconds": seconds,
    }


def table(measured: list[dict[str, Any]]) -> str:
    """The rows of all tasks as text."""
    lines = []
    for one in measured:
        of = dict(one["case"])
        task, case = of.pop("task"), Case(**of)
        for row in one["rows"]:
            head = f"{task:14} {case.model:4} K={case.K:<4} {row['program']:13}"
            if task == "memory":
                device = "" if row["device"] is None else f", {row['device']:.0f} on the device"
                peak = f"{row['process']:.0f} MiB, {row['imports']:.0f} of it imports{device}"
                lines.append(f"{head} {peak}")
            else:
                spread = f"{row['median']:.2f} ({row['low']:.2f}–{row['high']:.2f})"
                lines.append(
                    f"{head} {row['per_second']:10.1f} a second, time over ours {spread}, "
                    f"mean answer {row['mean']:.4g}"
                )
    lines += notes((_title(one["case"]), one) for one in measured)
    return "\n".join(lines)


def _title(case: dict[str, Any]) -> str:
    return f"{case['task']}, {case['model']}, K={case['K']}"


def _arguments() -> argparse.ArgumentParser:
    parser = flags.command("throughput", "Time sampling and scoring, and tell training's memory.")
    flags.add_cases(parser, K=[10])
    parser.add_argument("--tasks", choices=tuple(TASKS), nargs="+", default=list(TASKS))
    parser.add_argument("--num", type=flags.positive, default=10_000, help="samples a run")
    parser.add_argument("--samples", type=flags.positive, default=5000, help="S, of importance")
    parser.add_argument("--images", type=flags.positive, default=50, help="images scored a run")
    flags.add_images(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = _arguments()
    args = parser.parse_args(argv)
    flags.require_torch(parser)
    flags.use_device(args.device)
    images = flags.images(parser, args)
    setting = ("data", "device", "repeats", "num", "samples", "images")
    try:
        results = Results(args.out, {name: getattr(args, name) for name in setting})
        measured = []
        for case in cases(args.model, args.K, [BATCH]):
            for task in args.tasks:
                of = {"task": task, **asdict(case)}
                measure = partial(TASKS[task], case, images, args)
                measured.append(results.once(of, measure))
    except UserError as error:
        parser.error(str(error))
    print(table(measured))


if __name__ == "__main__":
    main()
