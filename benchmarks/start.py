"""Seconds from a command to its first output, to the start of training and to its first epoch.

    python -m benchmarks.start --dataset digits --repeats 3 --out results/start-cpu.json

Each round starts three processes: `--help`; a training with an empty folder of compiled programs;
the same training again, with the folder that the one before has filled.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import command, machine
from benchmarks.results import table
from benchmarks.turns import ROOT, ProgramError, environment, progress
from cpvae_jax.commands.main import as_process

RUN = [sys.executable, "-m", "experiments.run"]
MARKS = ["--extend", str(Path(__file__).with_name("marks.py")), "--callback", "marks"]


def measure(repeats: int, data_dir: str | None, dataset: str) -> dict[str, Any]:
    """Seconds of each round, for each part of each start."""
    busy = machine.busy_cores()
    seconds: dict[str, list[float]] = {}
    for number in range(repeats):
        progress(f"round {number + 1} of {repeats}")
        with tempfile.TemporaryDirectory() as folder:
            flags = ["--dataset", dataset, "--cache-dir", folder, "--quiet", *MARKS]
            flags += ["--data-dir", data_dir] if data_dir else []
            found = {"--help": _help()}
            for name in ("first start", "second start"):
                parts = _train([*flags, "--out", f"{folder}/{name}"])
                found |= {f"{name}, {part}": value for part, value in parts.items()}
        for name, value in found.items():
            seconds.setdefault(name, []).append(value)
    return {"busy_cores": busy, "seconds": seconds}


def _help() -> float:
    """Until the command has printed its flags."""
    began = time.time()
    subprocess.run([*RUN, "--help"], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return time.time() - began


def _train(flags: Sequence[str]) -> dict[str, float]:
    """Until training starts, and until its first epoch is done; then the training is stopped."""
    began = time.time()
    found: dict[str, float] = {}
    with subprocess.Popen(
        [*RUN, *flags], stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("mark "):
                _, name, at = line.split()
                found[name] = float(at) - began
            if "epoch" in found:
                process.terminate()
                break
        process.stdout.read()
    if "epoch" not in found:
        raise ProgramError("the training ended before its first epoch; its error is above")
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, write the file."""
    parser = command.parser("start", "Time a command until its first epoch is done.", repeats=3)
    parser.add_argument("--dataset", nargs="+", default=["digits"])
    parser.add_argument("--data-dir", help="where the data sets are kept")
    args = command.parse(parser, argv)
    cases = [{"dataset": dataset} for dataset in args.dataset]
    measured = command.measured(
        parser, args, cases, lambda **case: measure(args.repeats, args.data_dir, **case)
    )
    print(table(measured))


if __name__ == "__main__":
    sys.exit(as_process(main))
