"""The most memory that this process has held."""

import sys
from pathlib import Path
from typing import NamedTuple

MIB = 2**20


class Memory(NamedTuple):
    """Peaks in MiB."""

    process: float
    """Resident memory."""
    device: float | None
    """Memory of the accelerator, where there is one."""


def peak() -> Memory:
    """The peaks up to now."""
    return Memory(_resident() / MIB, _on_device())


def _resident() -> int:
    """Bytes. On Linux not `getrusage`, which counts what the parent held when it started this."""
    status = Path("/proc/self/status")
    if status.exists():
        words = status.read_text().split()
        return 1024 * int(words[words.index("VmHWM:") + 1])
    import resource  # not there on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def _on_device() -> float | None:
    """MiB, asked of whichever library this process has loaded."""
    if "torch" in sys.modules:
        cuda = sys.modules["torch"].cuda
        return cuda.max_memory_allocated() / MIB if cuda.is_available() else None
    if "jax" in sys.modules:
        told = sys.modules["jax"].local_devices()[0].memory_stats()  # None on a processor
        return told["peak_bytes_in_use"] / MIB if told else None
    return None
