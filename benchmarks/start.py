"""Seconds from a command to its first words and to its first training step.

    python -m benchmarks.start --dataset digits --repeats 3 --out results/start-cpu.json

Each round starts three processes: `--help`; a training with an empty folder of compiled
programs; the same again with the folder that the one before has filled. The parts of a start are
told apart: imports, data, making the parameters, compiling the steps of an epoch, running them, and
its validation, compiled and run. Medians and ranges over the rounds; compare columns, for absolute
times depend on the machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

CHILD = """
import json, sys, time
marks = {"python": time.time()}
from experiments import job, options
marks["imports"] = time.time()
chosen = options.parse(sys.argv[1:])
job.keep_compiled(chosen.cache_dir / "compiled")
data = job.load_data(chosen)
marks["data"] = time.time()
import jax, jax.numpy as jnp
from cpvae_jax import Training, checks, train
config, training = job.model_config(chosen, data), Training()
x, valid = (checks.data(config, part) for part in (data.train, data.valid))
program = train.program(config, training, data.train)
state = jax.block_until_ready(program.init(jnp.stack([jax.random.key(0)])))
marks["parameters"] = time.time()
compiled = program.run.lower(state, x).compile()
marks["compiling"] = time.time()
state, tally = jax.block_until_ready(compiled(state, x))
marks["first steps"] = time.time()
jax.block_until_ready(program.close(state, tally, valid))
marks["first validation"] = time.time()
print(json.dumps(marks))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="file for all figures, JSON")
    chosen = parser.parse_args(argv)
    flags = ["--dataset", chosen.dataset]
    flags += ["--data-dir", str(chosen.data_dir)] if chosen.data_dir else []
    rounds: list[dict[str, dict[str, float]]] = []
    for _ in range(chosen.repeats):
        with tempfile.TemporaryDirectory() as cache:
            found = {"--help": _help()}
            for name in ("first start", "second start"):
                found[name] = _start([*flags, "--cache-dir", cache])
        rounds.append(found)
    print(table(rounds))
    if chosen.out is not None:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        about = {"dataset": chosen.dataset, "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        chosen.out.write_text(json.dumps({**about, "seconds": rounds}, indent=2) + "\n")
    return 0


def _help() -> dict[str, float]:
    began = time.time()
    command = [sys.executable, "-m", "experiments.run", "--help"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return {"until it ends": time.time() - began}


def _start(flags: Sequence[str]) -> dict[str, float]:
    """Seconds of each part, and of all."""
    environment = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    began = time.time()
    command = [sys.executable, "-c", CHILD, *flags]
    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    marks = {"start": began, **json.loads(told.stdout.splitlines()[-1])}
    parts = {name: marks[name] - marks[before] for before, name in pairwise(marks)}
    return {
        **parts,
        "until the first steps": marks["first steps"] - began,
        "until the first epoch": marks["first validation"] - began,
    }


def table(rounds: Sequence[dict[str, dict[str, float]]]) -> str:
    """Medians and ranges over the rounds, in Markdown."""
    lines = [["", *rounds[0]], ["---"] * (1 + len(rounds[0]))]
    for part in {part: None for start in rounds[0].values() for part in start}:
        entries = [part]
        for start in rounds[0]:
            values = [found[start][part] for found in rounds if part in found[start]]
            entries.append(_spread(values))
        lines.append(entries)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _spread(values: Sequence[Any]) -> str:
    """Median and range; nothing for no values."""
    if not values:
        return ""
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


if __name__ == "__main__":
    sys.exit(main())
