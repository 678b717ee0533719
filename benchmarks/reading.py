"""Whether data on the disk slow a training down: steps streamed against the same from memory.

    python -m benchmarks.reading --gib 4 --repeats 3 --out results/reading-cpu.json

Makes a folder of random images of that size, then trains on it in turns: an epoch over the first
part held in memory, and as many steps read from all of the disk, the system's memory of the files
dropped before where it lets us. The ratio is that of seconds a step, within a turn. An epoch's first
window, which no training hides, is told apart: it comes once in as many windows as there are.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.turns import ratio
from cpvae_jax import Config, Training, stream, train
from cpvae_jax.rows import Rows

SHAPE = (28, 28)
FILE = 2**19
"""Images a file: 392 MiB."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading", description=__doc__)
    parser.add_argument("--gib", type=float, default=4.0, help="size of the data, in GiB")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--windows", type=int, default=3, help="windows of 64 MiB a turn")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the data are made, and removed again")
    parser.add_argument("--out", type=Path, help="file for all figures, JSON")
    chosen = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        files = list(made(Path(folder), chosen.gib))
        seconds = measure(files, chosen.batch, chosen.windows, chosen.repeats)
    over = ratio(seconds["streamed"], seconds["memory"])
    found = {
        "gib": chosen.gib,
        "batch": chosen.batch,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "seconds_first_window": seconds.pop("first_window"),
        "seconds_a_step": seconds,
        "ratio": {"median": over.median, "min": over.low, "max": over.high},
    }
    print(json.dumps(found, indent=2))
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(found, indent=2) + "\n")
    return 0


def made(folder: Path, gib: float) -> Iterator[Path]:
    """Files of random grey images, `gib` together."""
    rng = np.random.default_rng(0)
    left = int(gib * 2**30) // int(np.prod(SHAPE))
    while left > 0:
        num = min(FILE, left)
        path = folder / f"train-{left:010d}.npy"
        np.save(path, rng.integers(0, 256, (num, *SHAPE), dtype=np.uint8))
        left -= num
        yield path


def forget(files: Sequence[Path]) -> None:
    """Asks the system to drop what it remembers of the files, so that they are read again."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(
    files: Sequence[Path], batch: int, windows: int, repeats: int
) -> dict[str, list[float]]:
    """Seconds a step, of data read from the disk and of data in memory, a number a turn."""
    config, training = Config(shape=SHAPE), Training(batch_size=batch)
    program = train.program(config, training)
    state = program.init(jax.random.split(jax.random.key(0), 1))
    rows = Rows([np.load(path, mmap_mode="r") for path in files])
    count, steps = stream.layout(rows, batch)
    held = jnp.asarray(rows[np.arange(steps * batch)]).reshape(steps, batch, -1)
    seconds: dict[str, list[float]] = {"streamed": [], "memory": [], "first_window": []}
    state, _ = program.run_window(state, held, 0, count * steps)  # compiles
    for turn in range(repeats):
        forget(files)
        began = perf_counter()
        read = islice(stream.windows(rows, [turn], batch, None), windows)
        for number, window in enumerate(read):
            if number == 0:
                seconds["first_window"].append(perf_counter() - began)
                began = perf_counter()
            state, _ = program.run_window(state, window, number * steps, count * steps)
        jax.block_until_ready(state)
        seconds["streamed"].append((perf_counter() - began) / (windows * steps))
        began = perf_counter()
        for number in range(windows):
            state, _ = program.run_window(state, held, number * steps, count * steps)
        jax.block_until_ready(state)
        seconds["memory"].append((perf_counter() - began) / (windows * steps))
    return seconds


if __name__ == "__main__":
    sys.exit(main())
