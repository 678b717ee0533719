"""A program in a process of its own, run once at a time on the parent's word.

Thread pools of PyTorch and XLA in one process get in each other's way. A child that is
not asked for anything waits for the pipe and uses no core.
"""

import multiprocessing
from multiprocessing.connection import Connection
from pkgutil import resolve_name
from types import TracebackType
from typing import Any, Self

from benchmarks.memory import Memory, peak
from benchmarks.problem import UnavailableError

RUN, PEAK = "run", "peak"


class Child:
    """One program in one process, to be used in a `with` statement.

    `target` is the `module:function` that makes the program, a function without arguments,
    from `arguments`; only the child imports it.
    """

    def __init__(self, target: str, **arguments: Any):
        spawn = multiprocessing.get_context("spawn")
        self._pipe, childs_end = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(childs_end, target, arguments))
        self._process.start()
        childs_end.close()  # so that a child's death is the end of the pipe

    def run(self) -> Any:
        """What one more run returns; the first one also makes the program, and may compile it.

        Raises `UnavailableError` when the program cannot run on this machine.
        """
        return self._ask(RUN)

    def peak_memory(self) -> Memory:
        """The most memory the process has held so far; before the first run, that of imports."""
        return self._ask(PEAK)

    def _ask(self, request: str) -> Any:
        try:
            self._pipe.send(request)
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


def _serve(pipe: Connection, target: str, arguments: dict[str, Any]) -> None:
    """Answer every message until the pipe closes."""
    make, program = resolve_name(target), None
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        try:
            answer: Any
            if request == PEAK:
                answer = peak()
            else:
                program = program or make(**arguments)
                answer = program()
        except UnavailableError as error:
            answer = error
        pipe.send(answer)
