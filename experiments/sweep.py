"""Many runs of `experiments.run`, one after another: the cells of a table, each done once.

A cell is a data set, a model and K. Its runs train in folders of their own, from which a sweep
that was interrupted goes on; their scores land, as each run ends, in one small file a seed. The
table and the figures are made of those files and folders. What is done is not done again, and what
another sweep has in hand is left to it: several at once share the work.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

from cpvae_jax import UserError, checks
from experiments import folder, options, run


class Budget(NamedTuple):
    """A fixed number of epochs, turned to account by a large step size that falls to 0."""

    epochs: int = 100
    warmup: int = 10
    learning_rate: float = 3e-3

    def flags(self) -> list[str]:
        """As `experiments.run` takes them."""
        names: dict[str, float] = {"epochs": self.epochs, "decay-epochs": self.epochs}
        names |= {"warmup": self.warmup, "temperature-epochs": self.warmup}
        names |= {"learning-rate": self.learning_rate}
        return [part for name, value in names.items() for part in (f"--{name}", str(value))]


SHORT = {
    **dict.fromkeys(("mnist-hcp", "mnist-hvae", "mnist-hvp"), Budget(learning_rate=1e-3)),
    "omniglot": Budget(warmup=30, learning_rate=1e-3),
    "synthetic": Budget(epochs=40, warmup=5),
}
"""The short schedule of data sets, or of models on them, for which it is not `Budget()`. Two levels
take smaller steps: at 3e-3 HVP came apart in its 40th epoch, HVAE with one of two seeds in its 50th."""

LONG = Budget(epochs=400, warmup=40, learning_rate=1e-3)
"""The long schedule, of every cell: for what a hundred epochs leave unsaid."""

SCHEDULES = {
    "paper": "the paper's: step size 5e-4, warm-up over 100 epochs, early stopping",
    "long": "400 epochs, step size 1e-3 falling to 0 by half a cosine, warm-up over 40",
    "short": "100 epochs (synthetic: 40), step size 3e-3 (omniglot, hvae, hvp, hcp: 1e-3) falling to 0 "
    "by half a cosine, warm-up over 10 (omniglot: 30, synthetic: 5)",
}


class Cell(NamedTuple):
    """A cell of a table."""

    dataset: str
    model: str
    K: int

    @property
    def name(self) -> str:
        """As in the names of folders and files, and for `--only`: mnist-cp-K10."""
        return f"{self.dataset}-{self.model}-K{self.K}"


class Sweep(NamedTuple):
    """Where a sweep trains and writes, and how."""

    schedule: str
    runs: Path
    results: Path
    seeds: int
    side_by_side: int
    flags: Sequence[str]
    """For `experiments.run`, of every cell"""

    def training_flags(self, cell: Cell) -> list[str]:
        """The schedule as flags of `experiments.run`."""
        if self.schedule == "paper":
            return []
        if self.schedule == "long":
            return LONG.flags()
        of_data = SHORT.get(cell.dataset, Budget())
        return SHORT.get(f"{cell.dataset}-{cell.model}", of_data).flags()

    def run_folder(self, cell: Cell, seed: int) -> Path | None:
        """The folder of the finished run that holds a seed of a cell; None if there is none."""
        for first, number in self.groups():
            path = self._folder(cell, first, number)
            if first <= seed < first + number and (path / folder.SCORES).exists():
                return path
        return None

    def groups(self) -> Iterator[tuple[int, int]]:
        """First seed and number of seeds of each program."""
        for first in range(0, self.seeds, self.side_by_side):
            yield first, min(self.side_by_side, self.seeds - first)

    def _folder(self, cell: Cell, first: int, number: int) -> Path:
        last = f"seeds{first}-{first + number - 1}" if number > 1 else f"seed{first}"
        return self.runs / f"{cell.name}-{last}"

    def result(self, cell: Cell, seed: int) -> Path:
        """The file of a seed's scores."""
        return self.results / f"{cell.name}-seed{seed}.json"

    def done(self, cell: Cell) -> list[dict[str, Any]]:
        """The scores of a cell that are there, of any seed."""
        paths = sorted(self.results.glob(f"{cell.name}-seed*.json"))
        return [folder.result(path) for path in paths]

    def train(self, cells: Iterable[Cell]) -> int:
        """Train and score what is missing; returns the exit code of the last run that failed.

        A run that a mistake ends, or that diverges, leaves the others their turn; a signal
        ends the sweep. What another one has in hand is left to it.
        """
        failed = 0
        for cell in cells:
            for first, number in self.groups():
                code = self._train_once(cell, first, number)
                if code >= 128:
                    return code
                failed = code or failed
        return failed

    def _train_once(self, cell: Cell, first: int, number: int) -> int:
        """Train and score some seeds of a cell, unless that is done, or another sweep does it."""
        results = [self.result(cell, seed) for seed in range(first, first + number)]
        if all(path.exists() for path in results):
            return 0
        with ExitStack() as stack:
            locks = (self.runs / f".{path.stem}.lock" for path in results)
            mine = all(stack.enter_context(folder.locked(path)) for path in locks)
            if mine and all(path.exists() for path in results):  # by another one, meanwhile
                return 0
            title = f"== {cell.name}, seed {first}"
            title += f" and {number - 1} more" if number > 1 else ""
            print(title if mine else f"{title}: another sweep has it in hand", flush=True)
            return self._run(cell, first, number) if mine else 0

    def _run(self, cell: Cell, first: int, number: int) -> int:
        path = self._folder(cell, first, number)
        names = {"dataset": cell.dataset, "model": cell.model, "K": cell.K}
        names |= {"seed": first, "seeds": number, "out": path}
        flags = [part for name, value in names.items() for part in (f"--{name}", str(value))]
        if (path / folder.CONFIG).exists():
            flags.append("--resume")
        code = run.main([*flags, *self.training_flags(cell), *self.flags])
        if code == 0:
            self._collect(cell, path)
        return code

    def _collect(self, cell: Cell, path: Path) -> None:
        """The scores of a run folder, one file a seed."""
        scores = folder.result(path / folder.SCORES)
        seeds = scores.pop("seeds")
        with folder.writing(self.results):
            self.results.mkdir(parents=True, exist_ok=True)
        for of_seed in seeds:
            target = folder.RunFolder(self.results)
            entry = {"cell": cell._asdict(), "schedule": self.schedule, **of_seed}
            entry |= {**scores, "trained_side_by_side": len(seeds)}
            target.write_json(self.result(cell, of_seed["seed"]).name, entry)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of every command that sweeps."""
    options.add_data(parser.add_argument_group("data"), dataset=False)
    group = parser.add_argument_group("sweep")
    group.add_argument(
        "--schedule",
        choices=SCHEDULES,
        default="short",
        help="; ".join(f"{name}: {text}" for name, text in SCHEDULES.items()),
    )
    group.add_argument(
        "--only",
        nargs="+",
        default=["*"],
        metavar="CELL",
        help="cells by name or pattern, such as mnist-cp-K10 or '*-K50'",
    )
    group.add_argument("--seeds", type=int, default=1, help="seeds of each cell: 0, 1, …")
    group.add_argument(
        "--side-by-side",
        type=int,
        default=1,
        metavar="R",
        help="seeds trained in one program; more than 1 pays on a GPU",
    )
    group.add_argument("--runs", type=Path, help="folder of the runs; runs/SCHEDULE if not given")
    group.add_argument(
        "--results", type=Path, help="folder of the scores; results/SCHEDULE if not given"
    )
    group.add_argument(
        "--log-likelihood", type=int, default=5000, metavar="S", help="importance samples; 0: none"
    )
    group.add_argument(
        "--likelihood-images",
        type=int,
        default=1000,
        metavar="N",
        help="test examples that they are drawn for, see experiments.run --help",
    )


def of(arguments: argparse.Namespace) -> Sweep:
    """The sweep that the flags describe."""
    for name in ("seeds", "side_by_side"):
        checks.at_least(f"--{name.replace('_', '-')}", getattr(arguments, name), 1)
    flags = ["--quiet", "--log-likelihood", str(arguments.log_likelihood)]
    flags += ["--likelihood-images", str(arguments.likelihood_images)]
    flags += options.place_flags(arguments)
    return Sweep(
        schedule=arguments.schedule,
        runs=arguments.runs or Path("runs") / arguments.schedule,
        results=arguments.results or Path("results") / arguments.schedule,
        seeds=arguments.seeds,
        side_by_side=arguments.side_by_side,
        flags=flags,
    )


def chosen(cells: Sequence[Cell], patterns: Sequence[str]) -> list[Cell]:
    """The cells that one of the patterns names; `UserError` for a pattern that names none.

    >>> cells = [Cell("mnist", "cp", 10), Cell("omniglot", "cp", 50)]
    >>> [cell.name for cell in chosen(cells, ["mnist-*"])]
    ['mnist-cp-K10']
    """
    for pattern in patterns:
        if not any(fnmatch(cell.name, pattern) for cell in cells):
            raise UserError(
                f"--only {pattern} names no cell; choose from "
                f"{', '.join(cell.name for cell in cells)}."
            )
    return [cell for cell in cells if any(fnmatch(cell.name, p) for p in patterns)]
