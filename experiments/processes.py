"""Several processes of one run, on one machine or many: joining, agreeing, ending together.

Every process runs the same command and the same program; arrays are spread over the devices of all
of them (`cpvae_jax.devices`). The first one alone reads and writes the run folder.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import jax
import numpy as np

from cpvae_jax import UserError, keys

HEARTBEAT = 20
"""Seconds without a sign of life after which a process counts as dead."""

JOINING = 300
"""Seconds that processes wait for each other at the start."""

T = TypeVar("T")


def join(options: argparse.Namespace) -> None:
    """Meet the other processes if the flags speak of any; before anything else of JAX.

    Raises `UserError` where flags are missing or contradict each other, or nobody comes.
    """
    by_hand = (options.coordinator, options.processes, options.process)
    if by_hand == (None, None, None) and not options.distributed:
        return
    if not options.distributed:
        _check(*by_hand)
    elif by_hand[1:] == (None, None):
        by_hand = (options.coordinator, *_of_open_mpi())
    try:
        jax.distributed.initialize(
            *by_hand,
            heartbeat_timeout_seconds=HEARTBEAT,
            initialization_timeout=JOINING,
        )
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(
            f"the processes cannot meet ({_first_line(error)}); start this under a scheduler with "
            "--distributed (Open MPI 5 and later: and with --coordinator), or each process with "
            "--coordinator, --processes and its own --process."
        ) from error
    if not first():
        options.quiet = True
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the process ends


def _of_open_mpi() -> tuple[int | None, int | None]:
    """How many processes mpirun started and which one this is: from its version 5 on JAX does not
    look for them, and nothing tells where the first one listens."""
    found = (os.environ.get(f"OMPI_COMM_WORLD_{name}") for name in ("SIZE", "RANK"))
    processes, process = (None if number is None else int(number) for number in found)
    return processes, process


def _check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    names = ("--coordinator", "--processes", "--process")
    missing = [
        n for n, v in zip(names, (coordinator, processes, process), strict=True) if v is None
    ]
    if coordinator is None or processes is None or process is None:
        raise UserError(f"{' and '.join(missing)} missing; give {', '.join(names)} together.")
    if not coordinator.rpartition(":")[2].isdigit() or ":" not in coordinator:
        raise UserError(f"--coordinator is {coordinator}; it must be HOST:PORT.")
    if not 0 <= process < processes:
        raise UserError(
            f"--process is {process}; with --processes {processes} it must be from 0 to "
            f"{processes - 1}."
        )


def first() -> bool:
    """Whether this process is the one that reads and writes files."""
    return jax.process_index() == 0


def largest(*numbers: int) -> list[int]:
    """The largest of each number over all processes, which all of them call this at once."""
    if jax.process_count() == 1:
        return list(numbers)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(np.array(numbers)).max(axis=0).tolist()


def told(tree: T) -> T:
    """Arrays as the first process has them; the others hand in any of the same shapes."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    got = multihost_utils.broadcast_one_to_all(keys.to_numbers(tree))
    return keys.from_numbers(got, tree)


@contextmanager
def together() -> Iterator[None]:
    """What ends one of several processes ends all: a sentence, and no waiting for the dead."""
    if jax.process_count() == 1:
        yield
        return
    end = _watched()
    try:
        yield
    except BaseException as error:
        # JAX raises what the network met under several types, and begins it with a code in capitals.
        lost = re.match(r"[A-Z_]+: ", str(error)) and not isinstance(error, UserError)
        if not lost and not isinstance(error, UserError | KeyboardInterrupt):
            traceback.print_exc()
        print(f"error: {_LOST if lost else ''}{_first_line(error)}", file=sys.stderr, flush=True)
        end()
        os._exit(2)  # an orderly end would wait for processes that are not there
    end()


_LOST = "this process has lost another one; when all have ended, start them again with --resume: "

_WATCH = """
import sys
if not sys.stdin.read():
    print(sys.argv[1], file=sys.stderr)
"""


def _watched() -> Callable[[], None]:
    """Has this process watched by another, that has the last word if this one is ended from outside.

    JAX aborts a process whose coordinator is gone, in a page of C++ that Python never hears of.
    """
    words = (
        f"error: process {jax.process_index()} of {jax.process_count()} was ended, by a signal or "
        "the loss of another; when all have ended, start them again with --resume."
    )
    command = [sys.executable, "-I", "-S", "-c", _WATCH, words]
    watcher = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def end() -> None:
        watcher.communicate(b"told")

    return end


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
