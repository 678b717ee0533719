"""`cpvae report RUN`: write the report of a finished run again, from the files in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cpvae_jax.commands import flags
from cpvae_jax.commands.flags import option
from cpvae_jax.commands.main import exit_code


@dataclass(frozen=True)
class Which:
    """Which run to report on, and where to write the page."""

    run: Path = option(help="folder of a finished run", positional=True)
    out: Path | None = option(
        None, "file to write, by default report.html in the folder of the run"
    )


def main(argv: Sequence[str] | None = None, *, program: str = "cpvae report") -> int:
    """Runs the command; returns its exit code, 2 for invalid input."""
    (which,) = flags.parse(
        argv,
        program=program,
        description="Write the report of a finished run again, as one HTML file. It needs neither the "
        "data nor the model.",
        groups={"report": [Which]},
    )
    return exit_code(write_report, which)


def write_report(which: Which) -> None:
    """Writes the report of a run.

    Args:
      which: the run and the file.

    Raises:
      UserError: there is no finished run, an earlier version made it, or the file cannot be written.
    """
    from cpvae_jax.report.html import page
    from cpvae_jax.storage import files, run_folder

    out = which.run / run_folder.PAGE if which.out is None else which.out
    text = page.of_folder(which.run)
    with run_folder.writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        files.replace(out, text)
    print(f"report: {out}")
