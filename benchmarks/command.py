"""What the five commands share: flags, and the loop over cases."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import Results
from benchmarks.turns import ProgramError
from cpvae_jax.errors import UserError

DEVICES = {"cpu": "cpu", "gpu": "cuda"}
"""What JAX and PyTorch call a device, by the value of --device. No GPU has been measured yet."""

NOT_SETTINGS = ("out", "data_dir", "against", "dataset", "model", "K", "batch", "tasks")
"""Flags that are no settings of a results file: paths, and those that name its cases."""


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least 1")
    return int(text)


def parser(name: str, description: str, *, repeats: int = 5) -> argparse.ArgumentParser:
    """The parser of `python -m benchmarks.NAME`, with the flags of every command."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--repeats", type=positive, default=repeats, help="rounds")
    made.add_argument("--device", choices=tuple(DEVICES), default="cpu")
    made.add_argument(
        "--out", type=Path, help="results file (JSON); an unfinished one is completed"
    )
    return made


def add_sizes(made: argparse.ArgumentParser, *, steps: int, **defaults: list[int]) -> None:
    """Flags for the sizes of the cases, such as --K and --batch, and for the length of an epoch."""
    for name, values in defaults.items():
        made.add_argument(f"--{name}", type=positive, nargs="+", default=values)
    made.add_argument("--steps", type=positive, default=steps, help="steps per epoch")


def parse(made: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments, and choose the device for the processes to be started."""
    args = made.parse_args(argv)
    os.environ["JAX_PLATFORMS"] = DEVICES[args.device]
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # several programs share a GPU
    if args.device != "cpu" and not _is_there():
        made.error(
            f"--device is {args.device}, but JAX finds no such device here; give --device cpu"
        )
    return args


def _is_there() -> bool:
    """Whether JAX starts its device, in a process of its own: this one must not hold it."""
    program = [sys.executable, "-c", "import jax; jax.devices()"]
    return subprocess.run(program, stderr=subprocess.DEVNULL).returncode == 0


def measured(
    made: argparse.ArgumentParser,
    args: argparse.Namespace,
    cases: Sequence[dict[str, Any]],
    measure: Callable[..., dict[str, Any]],
    **setting: Any,
) -> list[dict[str, Any]]:
    """The records of all cases: read from --out, or measured now by `measure(**case)`.

    Exits with a message if a case cannot be measured.
    """
    chosen = {name: value for name, value in vars(args).items() if name not in NOT_SETTINGS}
    try:
        results = Results(args.out, {"program": made.prog, **chosen, **setting})
        return [results.once(case, measure) for case in cases]
    except (UserError, ProgramError) as error:
        made.error(str(error))
