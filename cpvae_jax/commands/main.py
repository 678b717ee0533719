"""The command `cpvae` and its subcommands.

A subcommand is a module with `main(argv, program=...) -> int` and one line in `COMMANDS`; it is
imported when it is called.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from cpvae_jax.errors import UserError


class Command(NamedTuple):
    """A subcommand."""

    module: str
    """The module whose `main` runs it"""
    summary: str
    """What `cpvae --help` says about it"""


COMMANDS = {
    "fit": Command("cpvae_jax.commands.fit", "train a model, score it and draw pictures"),
    "sample": Command("cpvae_jax.commands.sample", "draw new examples from a trained model"),
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
    silence_late_errors()
    return main()


def exit_code(command: Callable[..., int | None], *arguments: Any) -> int:
    """Runs a command and returns its exit code; a user's error is printed as one line."""
    try:
        return command(*arguments) or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by SIGINT; everything saved before remains.", file=sys.stderr)
        return 130


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
