"""Programs that take turns, and ratios of their times within a round.

Whatever slows the machine for a while slows both sides of a ratio that is formed within a round.
Each program runs in a process of its own, because the thread pools of PyTorch and XLA disturb each
other; a process that waits for its turn uses no core.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Self

from benchmarks import machine

ROOT = Path(__file__).resolve().parents[1]
"""The folder of this checkout."""


class ProgramError(RuntimeError):
    """Raised when a program fails or its process dies."""


@dataclass(frozen=True)
class Program:
    """`module:function` and its arguments.

    The function returns `run() -> (seconds, value)`; equal values show that two programs compute
    the same thing.
    """

    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Child:
    """A program in a process of its own. Use it in a `with` statement.

    Args:
        program: What the process runs; the first request to run makes it, and may compile it.
        folder: The checkout that `benchmarks` and `cpvae_jax` are imported from.
    """

    def __init__(self, program: Program, folder: Path = ROOT):
        self._process = subprocess.Popen(
            [sys.executable, "-P", Path(__file__).with_name("child.py")],
            cwd=folder,
            env=environment(PYTHONPATH=str(folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._send(json.dumps([program.target, dict(program.arguments)], default=_plain))

    def run(self) -> Any:
        """Run the program once more; returns its answer."""
        return self._ask("run")

    def where(self) -> Path:
        """The folder that the process imports `cpvae_jax` from."""
        return Path(self._ask("where"))

    def _ask(self, request: str) -> Any:
        self._send(request)
        assert self._process.stdout is not None
        answer = json.loads(self._process.stdout.readline() or '{"error": "its process died"}')
        if "error" in answer:
            raise ProgramError(answer["error"])
        return answer["answer"]

    def _send(self, line: str) -> None:
        with suppress(BrokenPipeError):  # of a process that died, as the missing answer shows
            print(line, file=self._process.stdin, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()  # closes its input, which ends it


def environment(**changes: str) -> dict[str, str]:
    """The environment, without a folder of compiled programs that would hide compile times."""
    kept = {name: value for name, value in os.environ.items() if "COMPILATION_CACHE" not in name}
    return {**kept, **changes}


def _plain(value: Any) -> Any:
    """A value that JSON can hold, for an argument that it cannot."""
    return str(value) if isinstance(value, Path) else asdict(value)


class Ratio(NamedTuple):
    """A ratio over the rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


def ratio(these: Sequence[float], those: Sequence[float]) -> Ratio:
    """These over those, round by round."""
    ratios = [a / b for a, b in zip(these, those, strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios))


def by_turns(programs: Mapping[str, Program], repeats: int, title: object) -> dict[str, Any]:
    """Run each program once to warm up, then all of them by turns, once in each round.

    Args:
        programs: The programs by name. The ratios are over the first one. Another one that fails
            in the warm-up is left out, with a note.
        repeats: Rounds after the warm-up.
        title: The title of the progress messages.

    Returns:
        A record for the results file: `notes` and `busy_cores`, then for each program `over` (the
        ratio of seconds), and per round `seconds` and `value`.

    Raises:
        ProgramError: The first program fails in the warm-up, or any program later.
    """
    first = next(iter(programs))
    busy = machine.busy_cores()
    notes: list[str] = []
    children: dict[str, Child] = {}
    with ExitStack() as stack:
        for name, program in programs.items():
            progress(f"{title}: warming up {name}")
            child = stack.enter_context(Child(program))
            try:
                child.run()
                children[name] = child
            except ProgramError as error:
                if name == first:
                    raise
                notes.append(f"{name} is left out: {error}")
        answers: dict[str, list[Any]] = {name: [] for name in children}
        for number in range(1, repeats + 1):
            progress(f"{title}: round {number} of {repeats}")
            for name, child in children.items():
                answers[name].append(child.run())
    seconds = {name: [one for one, _ in runs] for name, runs in answers.items()}
    return {
        "notes": notes,
        "busy_cores": busy,
        "over": {name: ratio(times, seconds[first])._asdict() for name, times in seconds.items()},
        "seconds": seconds,
        "value": {name: [one for _, one in runs] for name, runs in answers.items()},
    }


def progress(text: str) -> None:
    """Report progress on the error stream."""
    print(text, file=sys.stderr, flush=True)
