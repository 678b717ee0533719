"""A program whose work is done by several processes, each pinned to a core of its own."""

import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter

from benchmarks import machine
from benchmarks.problem import Case
from benchmarks.turns import Child, Program


def one_per_core(
    case: Case, images: str, *, count: int, joined: bool
) -> Callable[[], tuple[float, float]]:
    """An epoch of `count` processes at the same time.

    Args:
        case: The model, and the batch of all processes together (joined) or of each one.
        images: File of the images.
        count: Processes; at most as many as there are cores.
        joined: Whether the processes share every batch of one training, or each has a training of
            its own.
    """
    given = {"case": case, "images": images, "count": count}
    given["address"] = _free_address() if joined else None
    # No `with`: joined processes leave JAX together, so their inputs must close at the same time,
    # which they do when this process ends.
    children = [
        Child(Program("benchmarks.cores:pinned", {**given, "number": number, "core": core}))
        for number, core in enumerate(machine.cores()[:count])
    ]
    pool = ThreadPoolExecutor(count)

    def run() -> tuple[float, float]:
        start = perf_counter()
        losses = [loss for _, loss in pool.map(Child.run, children)]
        return perf_counter() - start, sum(losses) / count

    return run


def pinned(
    case: Case, images: str, *, core: int, count: int, number: int, address: str | None
) -> Callable[[], tuple[float, float]]:
    """One of the processes; given the address of the first one, it joins the others."""
    os.sched_setaffinity(0, {core})  # before JAX starts its threads
    import jax

    from benchmarks import ours

    if address is not None:
        jax.distributed.initialize(address, count, number, coordinator_bind_address=address)
    return ours.ours(case, images, spread=address is not None)


def _free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"
