"""Kills a training at random moments and compares its end with an undisturbed one, bit for bit.

    python -m tests.faults --kills 50 --seeds 1 --out results/reliability/kills.json

A third of the kills come at any time from the start of the program on; a third wait for an epoch;
a third wait until a checkpoint is being written. After each kill, every checkpoint with a manifest
must load, and the log of epochs must have no gap and no repetition.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cpvae_jax import load
from cpvae_jax.storage import checkpoint, manifest
from cpvae_jax.storage.run_folder import CONFIG, LOG

REPOSITORY = Path(__file__).parents[1]
START_SECONDS = 8.0
"""Roughly how long the program takes to its first epoch."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=1, help="seeds trained in one program")
    parser.add_argument("--random", type=int, default=0, help="seed of the random moments")
    parser.add_argument("--out", type=Path, help="file for the results, JSON")
    chosen = parser.parse_args(argv)
    flags = ["--dataset", "digits", "--recipe", "paper", "--K", "10"]
    flags += ["--seeds", str(chosen.seeds)]
    with tempfile.TemporaryDirectory() as folder:
        found = survive(Path(folder), flags, chosen.kills, chosen.random)
    text = json.dumps({"kills": chosen.kills, "seeds": chosen.seeds, **found}, indent=2)
    print(text)
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(text + "\n")
    return 1 if found["differences"] else 0


def survive(folder: Path, flags: Sequence[str], kills: int, seed: int) -> dict[str, Any]:
    """Kills and resumes a run with these flags, then compares its end with an undisturbed run."""
    disturbed, straight = folder / "disturbed", folder / "straight"
    rng = random.Random(seed)
    moments: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    differences: list[str] = []
    for number in range(kills):
        kind = ("anywhere", "between epochs", "in a checkpoint")[number % 3]
        process = _start(disturbed, flags, epochs=10**6)
        _wait(process, disturbed, kind, rng)
        process.kill()
        process.wait()
        moments[kind] += 1
        kept["checkpoint half written"] += bool(unfinished(disturbed))
        differences += [f"after kill {number}: {text}" for text in broken(disturbed)]
        print(f"kill {number + 1} of {kills}, {kind}: epoch {_epochs(disturbed)}", flush=True)
    epochs = max(_epochs(disturbed), 1) + 3
    for path in (disturbed, straight):
        process = _start(path, flags, epochs)
        if process.wait() != 0:
            differences.append(f"{path.name} ended with code {process.returncode}")
    differences += compare(disturbed, straight)
    return {"epochs": epochs, "moments": moments, "found": kept, "differences": differences}


def _start(path: Path, flags: Sequence[str], epochs: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "experiments.run", *flags, "--out", str(path), "--quiet"]
    command += ["--epochs", str(epochs), "--patience", str(10**6), "--checkpoint-every", "0"]
    if (path / CONFIG).exists():
        command.append("--resume")
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)


def _wait(process: subprocess.Popen[bytes], path: Path, kind: str, rng: random.Random) -> None:
    """Waits until the moment of the kill."""
    if kind == "anywhere":
        time.sleep(rng.uniform(0, START_SECONDS))
        return
    before, deadline = _epochs(path), time.monotonic() + 300
    while _epochs(path) <= before + 1:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the training made no epoch, exit code {process.returncode}")
        time.sleep(0.02)
    time.sleep(rng.uniform(0, 1))
    while kind == "in a checkpoint" and time.monotonic() < deadline:
        while not unfinished(path) and time.monotonic() < deadline:
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGSTOP)  # stopped, to see whether it is still writing
        if unfinished(path):
            return
        process.send_signal(signal.SIGCONT)


def _epochs(path: Path) -> int:
    """The number of complete lines in the log of epochs."""
    try:
        return (path / LOG).read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def unfinished(path: Path) -> list[Path]:
    """Steps whose writing has not ended."""
    folder = path / checkpoint.FOLDER
    found = list(folder.iterdir()) if folder.exists() else []
    return [child for child in found if not (child / manifest.FILE).exists()]


def broken(path: Path) -> list[str]:
    """Faults of a run folder whose program was killed."""
    found = []
    folder = path / checkpoint.FOLDER
    whole = [step.parent for step in folder.glob(f"*/{manifest.FILE}")]
    for step in whole:
        try:
            with tempfile.TemporaryDirectory() as alone:
                shutil.copytree(step, Path(alone) / step.name)
                load(alone)
            manifest.verify(step, ["params", "config", "state"])
        except ValueError as error:
            found.append(f"checkpoint {step.name}: {error}")
    if (path / LOG).exists():
        lines = (path / LOG).read_text().split("\n")[:-1]
        epochs = [json.loads(line)["epoch"] for line in lines]
        if epochs != list(range(1, len(epochs) + 1)):
            found.append(f"the log has the epochs {epochs}")
    return found


def compare(one: Path, other: Path) -> list[str]:
    """Differences between two finished runs, in the last checkpoint's arrays and in the log."""
    logs = [[_numbers(line) for line in (p / LOG).read_text().splitlines()] for p in (one, other)]
    found = [] if logs[0] == logs[1] else ["the logs of epochs differ"]
    steps = [
        max((p / checkpoint.FOLDER).glob("[0-9]*"), key=lambda s: int(s.name)) for p in (one, other)
    ]
    arrays = [
        {str(f.relative_to(step)): f.read_bytes() for f in step.glob("*/*/[0-9]*")}
        for step in steps
    ]
    if not arrays[0] or arrays[0].keys() != arrays[1].keys():
        found.append("the checkpoints have different arrays")
    return found + [name for name, value in arrays[0].items() if arrays[1].get(name) != value]


def _numbers(line: str) -> dict[str, Any]:
    """A line of the log without the time."""
    return {name: value for name, value in json.loads(line).items() if name != "seconds"}


if __name__ == "__main__":
    sys.exit(main())
