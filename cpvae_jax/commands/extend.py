"""`--extend FILE`: run the user's own Python files first, which register parts of their own."""

from __future__ import annotations

import runpy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cpvae_jax.commands.flags import option
from cpvae_jax.errors import UserError


@dataclass(frozen=True)
class Extend:
    """The flag, for every command that trains or loads a model."""

    extend: tuple[Path, ...] = option(
        (),
        "Python files to run first; they register networks, priors, likelihoods, regularisers, "
        "recipes, callbacks or data sets of your own",
        metavar="FILE",
    )


_done: set[Path] = set()
"""Files that this process has run."""


def run(files: Sequence[Path]) -> None:
    """Runs the files in order, each of them once per process: they register their parts once.

    Raises:
      UserError: a file does not exist.
    """
    for path in files:
        if not path.is_file():
            raise UserError(f"--extend {path} is not a file; give a Python file of your own.")
        if path.resolve() not in _done:
            runpy.run_path(str(path))
            _done.add(path.resolve())
