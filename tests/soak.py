"""A long training of the real command, watched from outside.

    python -m tests.soak --epochs 2000 --out results/reliability/soak.json --picture docs/soak.png

It records the memory of the process once per second, the time per epoch, and the size of the log
and the checkpoints.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cpvae_jax.storage import checkpoint
from cpvae_jax.storage.run_folder import LOG

REPOSITORY = Path(__file__).parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--out", type=Path, help="file for the results, JSON")
    parser.add_argument("--picture", type=Path)
    chosen = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        found = soak(
            Path(folder) / "run", ["--dataset", "digits", "--recipe", "paper"], chosen.epochs
        )
    print(json.dumps({k: v for k, v in found.items() if k != "memory_mib_by_epoch"}, indent=2))
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(found) + "\n")
    if chosen.picture is not None:
        draw(found, chosen.picture)
    return 0


def soak(path: Path, flags: Sequence[str], epochs: int) -> dict[str, Any]:
    """Trains for `epochs` epochs with a checkpoint every second, and returns the measurements."""
    command = [sys.executable, "-m", "experiments.run", *flags, "--out", str(path), "--quiet"]
    command += ["--epochs", str(epochs), "--patience", str(epochs), "--checkpoint-every", "1"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    memory, done = [], 0
    while process.poll() is None and done < epochs:
        done = (path / LOG).read_bytes().count(b"\n") if (path / LOG).exists() else 0
        resident = _resident_mib(process.pid)
        if resident is not None and done:
            memory.append([done, resident])
        time.sleep(min(1.0, epochs / 1000))
    if process.wait() != 0:
        raise RuntimeError(f"the training ended with code {process.returncode}")
    lines = (path / LOG).read_text().splitlines()
    seconds = np.array([json.loads(line)["seconds"] for line in lines])
    settled = [m for epoch, m in memory if epoch > epochs / 10]
    tenth = len(settled) // 10
    return {
        "epochs": epochs,
        "checkpoint_every_seconds": 1,
        "memory_mib_after_a_tenth": float(np.median(settled[: tenth + 1])),
        "memory_mib_at_the_end": float(np.median(settled[-tenth - 1 :])),
        "seconds_an_epoch_second_tenth": float(np.median(seconds[epochs // 10 : epochs // 5])),
        "seconds_an_epoch_last_tenth": float(np.median(seconds[-epochs // 10 :])),
        "log_bytes_an_epoch": (path / LOG).stat().st_size / epochs,
        "checkpoints": len(list((path / checkpoint.FOLDER).iterdir())),
        "checkpoint_mib": sum(f.stat().st_size for f in (path / checkpoint.FOLDER).rglob("*"))
        / 2**20,
        "memory_mib_by_epoch": memory,
    }


def _resident_mib(pid: int) -> float | None:
    """The resident memory of a process in MiB; None once it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return None


def draw(found: dict[str, Any], path: Path) -> None:
    """Draws the memory by epoch."""
    from cpvae_jax.report import drawing

    with drawing.styled():
        figure, axes = drawing.subplots(figsize=(6, 3), layout="constrained")
        axes.plot(*np.array(found["memory_mib_by_epoch"]).T, linewidth=1)
        axes.set(xlabel="epoch", ylabel="memory of the process, MiB", ylim=(0, None))
        drawing.save(figure, path)


if __name__ == "__main__":
    sys.exit(main())
