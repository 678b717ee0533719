"""How a result was made: the command, the commit, the kind of machine and the versions."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("cpvae-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
FOLDERS = ("--out", "--data-dir", "--manual-dir", "--cache-dir")
"""Flags that name folders of one machine."""


def describe(arguments: Sequence[str], program: str) -> dict[str, Any]:
    """Describes this session, without the machine's name or its folders.

    Args:
      arguments: the command's arguments.
      program: the command without arguments, such as "cpvae fit".

    Returns:
      command, commit, device, python and versions, as JSON can hold them.
    """
    import jax

    devices = jax.devices()
    return {
        "command": _command(arguments, program),
        "commit": _commit(),
        "device": f"{len(devices)} x {devices[0].device_kind}, {_cpus()} processor cores",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _command(arguments: Sequence[str], program: str) -> str:
    """The command as typed, without this machine's folders."""
    kept = []
    skip = False
    for argument in arguments:
        name = argument.split("=")[0]
        if name in FOLDERS:
            skip = "=" not in argument
        elif skip:
            skip = False
        else:
            kept.append(argument)
    return shlex.join([*program.split(), *kept])


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the source, with a plus if tracked files differ from it; None if installed."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout.strip()

    try:
        if not git("ls-files", "--", Path(__file__).name):  # a checkout that only surrounds us
            return None
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
