"""`--extend FILE`: run the user's own Python files first, which register parts of their own."""

from __future__ import annotations

import os
import runpy
import traceback
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
      UserError: a file does not exist, or an error ended it.
    """
    for path in files:
        if not os.path.isfile(path):
            raise UserError(f"--extend {path} is not a file; give a Python file of your own.")
        if path.resolve() not in _done:
            _run(path)
            _done.add(path.resolve())


def _run(path: Path) -> None:
    try:
        runpy.run_path(str(path))
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        words = traceback.format_exception_only(error)[-1].strip()
        raise UserError(
            f"--extend {path} ended with an error{_line(error, path)}: {words}; mend it, and try it "
            f"alone with python {path}."
        ) from error


def _line(error: BaseException, path: Path) -> str:
    """The last line of the file that was running, if it got that far."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f" in line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f" in line {lines[-1]}" if lines else ""
