"""The command `cpvae` and its subcommands.

A subcommand is a module with `main(argv, program=...) -> int` and one line in `COMMANDS`; it is
imported when it is called.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from cpvae_jax.commands.start import start_jax
from cpvae_jax.commands.streams import Streams, any_character
from cpvae_jax.errors import UserError, first_line


class Command(NamedTuple):
    """A subcommand."""

    module: str
    """The module whose `main` runs it"""
    summary: str
    """What `cpvae --help` says about it"""


COMMANDS = {
    "fit": Command("cpvae_jax.commands.fit", "train a model, score it and draw pictures"),
    "predict": Command("cpvae_jax.commands.predict", "assign rows to the categories of a model"),
    "impute": Command("cpvae_jax.commands.impute", "fill the gaps of a table"),
    "export": Command(
        "cpvae_jax.commands.export", "write a trained model as programs for other runtimes"
    ),
    "sample": Command("cpvae_jax.commands.sample", "draw new examples from a trained model"),
    "report": Command("cpvae_jax.commands.report", "write the report of a finished run again"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `cpvae`.

    Args:
      argv: the arguments; None takes those of this process.

    Returns:
      The exit code: 0, 2 for invalid input, or 128 and the number of the signal that stopped it.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="cpvae",
        description="Train and use variational autoencoders that find the modes of their data.",
        usage="cpvae COMMAND ...",
        epilog="cpvae COMMAND --help lists the flags of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_argument_group("commands")
    listed = "\n".join(f"  {name:<8} {command.summary}" for name, command in COMMANDS.items())
    commands.description = listed
    parser.add_argument("command", choices=COMMANDS, help=argparse.SUPPRESS)
    name = parser.parse_args(arguments[:1]).command
    return import_module(COMMANDS[name].module).main(arguments[1:], program=f"cpvae {name}")


def entry() -> int:
    """The console script: `main` in a process of its own."""
    return as_process(main)


def as_process(command: Callable[[], int | None]) -> int:
    """Runs a command as this process's own, whatever the environment, and returns its exit code.

    It changes the streams, the warnings and the umask of the whole process, so only a program's
    entry point may call it.
    """
    streams = Streams()
    silence_late_errors()
    os.environ["MPLBACKEND"] = "agg"  # a notebook sets its own; commands only write files
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # such as on a home without a cache
    os.umask(os.umask(0o077) & 0o077)  # a command reads what it wrote
    try:
        code = command() or 0
    except SystemExit as stop:  # from the parser
        code = int(stop.code or 0)
    return streams.exit_code(code)


def exit_code(command: Callable[..., int | None], *arguments: Any) -> int:
    """Runs a command and returns its exit code.

    An error that the user or the environment caused is printed as one line.
    """
    with any_character():
        try:
            return command(*arguments) or 0
        except Exception as error:
            message = _message(error)
            if message is None:
                raise
            print(f"error: {message}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("stopped by SIGINT; everything saved before remains.", file=sys.stderr)
            return 130


def _message(error: Exception) -> str | None:
    """The sentence for an error that the user or the environment caused; None for any other."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        where = "a file" if error.filename is None else os.fsdecode(error.filename)
        return (
            f"{where} cannot be read or written ({error.strerror or error}); check the path, its "
            "permissions and the disk."
        )
    if isinstance(error, Warning):
        return f"{error} This is a warning, which PYTHONWARNINGS makes an error; unset it."
    if isinstance(error, MemoryError) or str(error).startswith("RESOURCE_EXHAUSTED"):
        return (
            f"there is not enough memory ({first_line(error)}); choose a smaller "
            "model, a smaller --batch-size or fewer --seeds."
        )
    try:
        start_jax()
    except UserError as reason:
        return str(reason)
    return None


def silence_late_errors() -> None:
    """Silence the threads that Orbax leaves behind after a failed write, for the whole process.

    The command has reported the failure by then. Only a program's entry point may call this.
    """
    for name in ("asyncio", "absl"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
    before = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if "Event loop is closed" not in str(unraisable.exc_value):
            before(unraisable)

    sys.unraisablehook = hook


if __name__ == "__main__":
    sys.exit(entry())
