"""Flags that several commands of the benchmark share."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.problem import MODELS, Case, cases, load_images
from benchmarks.results import Results
from cpvae_jax.errors import UserError

DEVICES = {"cpu": "cpu", "gpu": "cuda"}
"""What JAX and PyTorch call a device, by what the flag calls it."""


def positive(text: str) -> int:
    """A whole number of at least 1, for argparse."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number of at least 1")
    return number


def command(module: str, description: str) -> argparse.ArgumentParser:
    """A parser with what every command takes."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{module}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--repeats", type=positive, default=5, help="rounds after the warm-up")
    parser.add_argument("--device", choices=tuple(DEVICES), default="cpu")
    parser.add_argument(
        "--out", type=Path, help="JSON file for every number; one that is there is completed"
    )
    return parser


def add_cases(parser: argparse.ArgumentParser, *, K: list[int]) -> None:
    """Which models, at which K."""
    parser.add_argument(
        "--model", choices=MODELS, nargs="+", default=["cp"], help="models, one after another"
    )
    parser.add_argument("--K", type=positive, nargs="+", default=K, help="numbers of categories")


def add_images(parser: argparse.ArgumentParser) -> None:
    """Which images."""
    parser.add_argument("--data", choices=("mnist", "random"), default="mnist")
    parser.add_argument("--data-dir", help="where the data sets are kept")


def use_device(device: str) -> None:
    """Set what the children read: they start as copies of this process's environment."""
    os.environ["JAX_PLATFORMS"] = DEVICES[device]
    # Children of several programs share the memory of a GPU, and its peaks are asked for.
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"


def require_torch(parser: argparse.ArgumentParser) -> None:
    """End with a sentence where PyTorch is missing."""
    if find_spec("torch") is None:
        parser.error("PyTorch is not installed; it comes with: pip install -e '.[bench]'")


def measured(
    parser: argparse.ArgumentParser,
    chosen: argparse.Namespace,
    setting: dict[str, Any],
    measure: Callable[[Case], dict[str, Any]],
) -> list[dict[str, Any]]:
    """What was measured of each case that the flags name, now or before; ends with a sentence where
    that cannot be."""
    try:
        results = Results(chosen.out, setting)
        return [
            results.once(asdict(case), partial(measure, case))
            for case in cases(chosen.model, chosen.K, chosen.batch)
        ]
    except UserError as error:
        parser.error(str(error))


def images(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> np.ndarray:
    """The images that the flags name; ends with a sentence where they cannot be had."""
    try:
        return load_images(chosen.data, chosen.data_dir)
    except UserError as error:
        parser.error(str(error))
