"""Programs that take turns, and ratios of their times within a round.

What slows the whole machine for a while slows both halves of a ratio that is formed within a
round.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any, NamedTuple

from benchmarks.children import Child
from benchmarks.problem import UnavailableError


@dataclass(frozen=True)
class Program:
    """What a child runs: `module:function`, and what it is called with."""

    target: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class Ratio(NamedTuple):
    """Ratios over the rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


def ratio(these: Sequence[float], those: Sequence[float]) -> Ratio:
    """Round by round, these over those."""
    ratios = [a / b for a, b in zip(these, those, strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios))


@contextmanager
def warmed_up(
    programs: Mapping[str, Program], title: object
) -> Iterator[tuple[dict[str, Child], list[str]]]:
    """Children that have run once, by name; and notes on programs that this machine cannot run."""
    children: dict[str, Child] = {}
    notes: list[str] = []
    with ExitStack() as stack:
        for name, program in programs.items():
            progress(f"{title}: warming up {name}")
            child = stack.enter_context(Child(program.target, **program.arguments))
            try:
                child.run()
            except UnavailableError as error:
                notes.append(f"{name} is left out: {error}")
            else:
                children[name] = child
        yield children, notes


def take_turns(children: Mapping[str, Child], repeats: int, title: object) -> dict[str, list[Any]]:
    """What each child answers, a run a round."""
    answers: dict[str, list[Any]] = {name: [] for name in children}
    for number in range(1, repeats + 1):
        progress(f"{title}: round {number} of {repeats}")
        for name, child in children.items():
            answers[name].append(child.run())
    return answers


def progress(text: str) -> None:
    """Tell whoever waits."""
    print(text, file=sys.stderr, flush=True)
