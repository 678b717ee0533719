"""Facts of the machine that times depend on; nothing that names the machine or its folders."""

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "torch")


def describe() -> dict[str, Any]:
    """The machine, and the versions of the packages that are installed."""
    installed = {one.name: one.version for one in metadata.distributions()}
    return {
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "threads": len(cores()),
        "python": platform.python_version(),
        "versions": {name: installed[name] for name in PACKAGES if name in installed},
    }


def cores() -> list[int]:
    """The cores that this process and its children may use; PyTorch and XLA take a thread each."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def busy_cores(seconds: float = 1.0) -> float:
    """Cores kept busy by other programs while this process sleeps; 0 where the system has no count.

    Not the load average: that still counts what this program did a minute ago.
    """
    if not Path("/proc/stat").exists():
        return 0.0
    before = _busy_ticks()
    time.sleep(seconds)
    return round((_busy_ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds, 2)


def _busy_ticks() -> int:
    """Ticks of all cores, without those spent idle or waiting for a disk."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _waiting, *others = map(int, first[:8])
    return user + nice + system + sum(others)
