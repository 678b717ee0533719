"""Where a result comes from: the command, the commit, the machine's kind, the versions."""

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


def _command(arguments: Sequence[str], program: str) -> str:
    """The command line as it would be typed, folders of this machine left out."""
    kept = []
    skip = False
    for argument in arguments:
        name = argument.split("=")[0]
        if name in ("--out", "--data-dir", "--manual-dir", "--cache-dir"):
            skip = "=" not in argument
        elif skip:
            skip = False
        else:
            kept.append(argument)
    return shlex.join(["python", "-m", program, *kept])


def describe(arguments: Sequence[str], program: str = "experiments.run") -> dict[str, Any]:
    """Command, commit, device and versions; no name of the machine, no path."""
    import jax

    devices = jax.devices()
    return {
        "command": _command(arguments, program),
        "commit": _commit(),
        "device": f"{len(devices)} x {devices[0].device_kind}, {_cpus()} processor cores",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the source, with a plus if files that git tracks differ from it."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=here, capture_output=True, text=True, check=True, timeout=10
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
