"""A program in a process of its own, run one epoch at a time on the parent's word.

Thread pools of PyTorch and XLA in one process get in each other's way. A child that is
not asked for an epoch waits for the pipe and uses no core.
"""

import multiprocessing
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pkgutil import resolve_name
from types import TracebackType
from typing import Any, Self

import numpy as np

from benchmarks.problem import UnavailableError


class Child:
    """One program in one process, to be used in a `with` statement.

    `target` is the `module:function` that builds the program from `K`, `images`, `batch`
    and `options`; only the child imports it.
    """

    def __init__(
        self, target: str, options: Mapping[str, Any], K: int, images: np.ndarray, batch: int
    ):
        spawn = multiprocessing.get_context("spawn")
        self._pipe, childs_end = spawn.Pipe()
        self._process = spawn.Process(
            target=_serve, args=(childs_end, target, options, K, images, batch)
        )
        self._process.start()
        childs_end.close()  # so that a child's death is the end of the pipe

    def run_epoch(self) -> tuple[float, float]:
        """Seconds and mean loss of one more epoch; the first one also builds and compiles.

        Raises `UnavailableError` when the program cannot run on this machine.
        """
        try:
            self._pipe.send("epoch")
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise RuntimeError("a program of the benchmark died; its error is above") from error
        if isinstance(answer, UnavailableError):
            raise answer
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pipe.close()
        self._process.join()


def _serve(
    pipe: Connection,
    target: str,
    options: Mapping[str, Any],
    K: int,
    images: np.ndarray,
    batch: int,
) -> None:
    """Build the program, then answer every message with an epoch until the pipe closes."""
    try:
        run_epoch = resolve_name(target)(K, images, batch, **options)
    except UnavailableError as error:
        pipe.recv()  # a pipe closed before the request is read would lose the answer
        pipe.send(error)
        return
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        pipe.send(run_epoch())
