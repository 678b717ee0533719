"""`cpvae export RUN --format onnx --out FOLDER`: write a model as programs for other runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cpvae_jax.commands import extend, flags
from cpvae_jax.commands.extend import Extend
from cpvae_jax.commands.flags import option
from cpvae_jax.commands.main import exit_code
from cpvae_jax.commands.start import start_jax
from cpvae_jax.deployment import FORMATS


@dataclass(frozen=True)
class Export:
    """What to export, and where to write it."""

    run: Path = option(help="folder of a run, or of a saved model", positional=True)
    format: str = option(
        help="onnx, for onnxruntime and others; or stablehlo, for jax.export", choices=FORMATS
    )
    out: Path = option(help="folder to write, missing or empty")


def main(argv: Sequence[str] | None = None, *, program: str = "cpvae export") -> int:
    """Runs the command; returns its exit code, 2 for invalid input."""
    wanted, files = flags.parse(
        argv,
        program=program,
        description="Write the encoder, decoder and sampler of a model as programs that run without "
        "this library, with a card and the weights.",
        groups={"export": [Export], "your own parts": [Extend]},
    )
    return exit_code(write, wanted, files.extend)


def write(wanted: Export, files: Sequence[Path] = ()) -> None:
    """Loads a model and exports it.

    Args:
      wanted: what to export, and where to write it.
      files: the user's own files to run first.

    Raises:
      UserError: there is no such model, a package is missing, or the folder cannot be written.
    """
    from cpvae_jax import api
    from cpvae_jax.deployment import folder

    start_jax()
    extend.run(files)
    params = api.load(wanted.run)
    folder.export(wanted.out, params, format=wanted.format, run=wanted.run)
    print(f"wrote the encoder, decoder and sampler of {wanted.run} to {wanted.out}")
