"""Starting and ending several processes of one run, on one machine or many.

Every process runs the same command. Arrays are spread over the devices of all processes
(`cpvae_jax.devices`); only the first process reads and writes the run folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax

from cpvae_jax.commands.job import Devices
from cpvae_jax.errors import UserError, first_line
from cpvae_jax.processes import first

HEARTBEAT = 20
"""Seconds without a sign of life after which a process counts as dead."""

JOINING = 300
"""Seconds that processes wait for each other at the start."""


def join(given: Devices) -> None:
    """Connects to the other processes, if the flags ask for any; call it before any use of JAX.

    All but the first process print nothing from here on.

    Raises:
      UserError: flags are missing or contradict each other, or the processes cannot connect.
    """
    by_hand = (given.coordinator, given.processes, given.process)
    if by_hand == (None, None, None) and not given.distributed:
        return
    if not given.distributed:
        _check(*by_hand)
    elif by_hand[1:] == (None, None):
        by_hand = (given.coordinator, *_from_open_mpi())
    try:
        jax.distributed.initialize(
            *by_hand,
            heartbeat_timeout_seconds=HEARTBEAT,
            initialization_timeout=JOINING,
        )
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(
            f"the processes cannot connect ({first_line(error)}); start the command under a "
            "scheduler with --distributed (Open MPI 5 and later: and with --coordinator), or each "
            "process with --coordinator, --processes and its own --process."
        ) from error
    if not first():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the process ends


def _from_open_mpi() -> tuple[int | None, int | None]:
    """The number of processes that mpirun started, and the number of this one.

    JAX does not read them from Open MPI 5 on, which does not say where the first one listens.
    """
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


@contextmanager
def together() -> Iterator[None]:
    """A block that all processes end together: an error in one ends the others, with one message."""
    if jax.process_count() == 1:
        yield
        return
    end = _watched()
    try:
        yield
    except BaseException as error:
        # JAX raises network errors of several types, whose message starts with a code in capitals.
        lost = re.match(r"[A-Z_]+: ", str(error)) and not isinstance(error, UserError)
        if not lost and not isinstance(error, UserError | KeyboardInterrupt):
            traceback.print_exc()
        print(f"error: {_LOST if lost else ''}{first_line(error)}", file=sys.stderr, flush=True)
        end()
        os._exit(2)  # an orderly exit would wait for processes that no longer exist
    end()


_LOST = "this process lost another one; when all have ended, start them again with --resume: "

_WATCH = """
import sys
if not sys.stdin.read():
    print(sys.argv[1], file=sys.stderr)
"""


def _watched() -> Callable[[], None]:
    """Starts a child that prints a message if this process is killed; returns what dismisses it.

    JAX aborts a process that lost its coordinator with a page of C++, and Python gets no say.
    """
    words = (
        f"error: process {jax.process_index()} of {jax.process_count()} was ended, by a signal or "
        "because it lost another one; when all have ended, start them again with --resume."
    )
    command = [sys.executable, "-I", "-S", "-c", _WATCH, words]
    watcher = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def end() -> None:
        watcher.communicate(b"dismissed")

    return end
