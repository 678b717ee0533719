"""What times depend on; nothing that names the machine or its folders."""

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.problem import UnavailableError

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")

QUIET = 0.5
"""Load, in busy cores, above which a neighbour may well decide the outcome."""


def describe() -> dict[str, Any]:
    """The machine and the versions; a package that is not installed is left out."""
    return {
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "threads": threads(),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def threads() -> int:
    """Cores that this process and its children may use; PyTorch and XLA take as many threads."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cores() -> list[int]:
    """The cores that this process may keep others on, one each.

    Raises `UnavailableError` where the system does not keep a process on a core.
    """
    if not hasattr(os, "sched_setaffinity"):
        raise UnavailableError("this system does not keep a process on a core")
    return sorted(os.sched_getaffinity(0))


def busy_cores(seconds: float = 1.0) -> float:
    """Cores kept busy by others while this process sleeps, 0 where the system does not tell.

    Not the load average, which still holds what this program itself did a minute ago.
    """
    if not Path("/proc/stat").exists():
        return 0.0
    before = _busy_ticks()
    time.sleep(seconds)
    return round((_busy_ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds, 2)


def _busy_ticks() -> int:
    """Ticks of all cores that were neither idle nor waiting for a disk."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _waiting, *others = map(int, first[:8])
    return user + nice + system + sum(others)


def noise(busy: float) -> list[str]:
    """A note, if others kept the machine busy."""
    if busy <= QUIET:
        return []
    return [
        f"other work kept more than {QUIET} cores busy just before, which distorts the ratios; "
        "measure again on a quiet machine"
    ]
