"""`--extend FILE`: run files of the user's own, which make priors known, before anything else."""

from __future__ import annotations

import argparse
import runpy
from collections.abc import Sequence
from pathlib import Path


def add_flag(group: argparse._ActionsContainer) -> None:
    """The flag, for every command that trains or loads a model."""
    group.add_argument(
        "--extend",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="Python files to run first, which register priors of your own",
    )


def run(files: Sequence[Path]) -> None:
    """Run the files in order; `UserError` for one that is not there."""
    from cpvae_jax import UserError

    for path in files:
        if not path.is_file():
            raise UserError(f"--extend {path} is not a file; give a Python file of your own.")
        runpy.run_path(str(path))
