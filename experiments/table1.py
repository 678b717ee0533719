"""The paper's Table 1, with true bounds and spreads: `python -m experiments.table1`.

It trains and scores every cell that has no result yet, and prints the table; `--print` only
prints. Two models are ours, made of the paper's parts: `hcp`, two levels with the conditional prior
on top, and `full`, conditional priors with full covariances.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cpvae_jax.commands import flags
from cpvae_jax.commands.flags import option
from cpvae_jax.commands.job import Folders
from cpvae_jax.commands.main import as_process, exit_code
from cpvae_jax.registry import PRIORS, parts_of_model
from experiments import marks, sweep
from experiments.sweep import Cell, Sweep

COLUMNS = (("mnist", 10), ("mnist", 150), ("mnist", 500), ("omniglot", 50), ("omniglot", 500))

PAPER: dict[str, tuple[float | None, ...]] = {
    "cp": (84.76, 86.84, 88.63, 114.31, 114.14),
    "vae": (88.75, None, None, 115.06, None),
    "mg": (89.43, 88.96, 88.85, 116.31, 116.12),
    "vp": (87.94, 86.55, 86.07, 114.01, 113.74),
    "hvae": (86.7, None, None, 110.81, None),
    "hvp": (85.90, 85.09, 85.01, 110.50, 110.16),
    "full": (None,) * 5,
    "hcp": (None,) * 5,
}
"""Negative bounds by row and column. The paper gives no seeds and no spread. Its figures for "cp" are
computed with a relaxed category, so they are not bounds."""


def cell(model: str, column: tuple[str, int]) -> Cell | None:
    """The cell of a row in a column.

    A prior without categories has one cell per data set, in its first column; elsewhere None.
    """
    dataset, K = column
    if not PRIORS[parts_of_model(model)[0]].single:
        return Cell(dataset, model, K)
    first = next(c for c in COLUMNS if c[0] == dataset)
    return Cell(dataset, model, 1) if column == first else None


def cells() -> list[Cell]:
    """All cells, cheap ones (small K) first."""
    found = [(column[1], cell(model, column)) for column in COLUMNS for model in PAPER]
    return [c for _, c in sorted(found, key=lambda pair: pair[0]) if c is not None]


@dataclass(frozen=True)
class Print:
    """What to do besides training."""

    print: bool = option(False, "only print the table of the cells that are done")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    folders, options, only = flags.parse(
        argv,
        program="python -m experiments.table1",
        description="Train and score the missing cells of the paper's Table 1, and print it.",
        groups={"data": [Folders], "sweep": [sweep.SweepOptions], "table": [Print]},
    )
    return exit_code(run, options, folders, only.print)


def run(options: sweep.SweepOptions, folders: Folders, only_print: bool) -> int:
    """Trains the missing cells unless told not to, and prints the table."""
    wanted = sweep.chosen(cells(), options.only)
    whole = sweep.of(options, folders)
    code = 0 if only_print else whole.train(wanted)
    print(tables(whole))
    return code


def tables(whole: Sweep) -> str:
    """The tables in Markdown: negative true bounds beside the paper's, log-likelihoods, accuracies.

    Marks and footnotes tell majority accuracies of an earlier kind, and cells with a file from a
    source tree that had uncommitted changes.
    """
    with_categories = [model for model in PAPER if not PRIORS[parts_of_model(model)[0]].single]
    missing = [c.name for c in cells() if not whole.done(c)]
    text = "\n\n".join(
        [
            "Negative true bound on the test set, nats, lower is better / the paper's figure",
            _table(whole, lambda r: -r["test_bound"]["mean"], PAPER),
            *_differences(whole),
            "Negative relaxed figure, which is not a bound",
            _table(
                whole,
                lambda r: -r["relaxed_figure"]["mean"] if "relaxed_figure" in r else None,
                dict.fromkeys(("cp", "full", "hcp")),
            ),
            *_refined(whole),
            "Test log-likelihood, nats, higher is better",
            _table(
                whole,
                lambda r: r["log_likelihood"]["mean"] if "log_likelihood" in r else None,
                dict.fromkeys(PAPER),
            ),
            "Hungarian accuracy of the categories on the test set",
            _table(
                whole,
                lambda r: r.get("clustering", {}).get("accuracy_hungarian"),
                dict.fromkeys(with_categories),
                digits=3,
            ),
            "Majority accuracy of the categories on the test set",
            _table(
                whole,
                lambda r: r.get("clustering", {}).get("accuracy_majority"),
                dict.fromkeys(with_categories),
                digits=3,
                old=marks.majority,
            ),
        ]
    )
    text = marks.footnotes(text, marks.MAJORITY_NOTE, marks.MODIFIED_NOTE)
    return f"{text}\n\nMissing cells: {', '.join(missing) or 'none'}"


def _differences(whole: Sweep) -> list[str]:
    """How much better each model's bound is than CP's, with its title, where both have several seeds.

    The test images are the same in all cells, so the difference varies with the seeds alone. A prior
    without categories is compared with CP at every K.
    """

    def results(model: str, column: tuple[str, int]) -> list[dict[str, Any]]:
        """The results of a model's seeds; without categories, those of its only cell."""
        first = next(c for c in COLUMNS if c[0] == column[0])
        found = cell(model, column) or cell(model, first)
        return whole.done(found) if found is not None else []

    baselines = {column: results("cp", column) for column in COLUMNS}

    def entry(model: str, column: tuple[str, int]) -> str:
        both = results(model, column), baselines[column]
        text = marks.difference(*([r["test_bound"]["mean"] for r in found] for found in both))
        return text and " ".join(filter(None, [text, marks.modified(both)]))

    rows = [[model, *(entry(model, c) for c in COLUMNS)] for model in PAPER if model != "cp"]
    if not any(entry for _, *entries in rows for entry in entries):
        return []
    return [
        "Nats by which the bound is better than cp's, ± its standard error over seeds",
        _by_column(rows),
    ]


def _refined(whole: Sweep) -> list[str]:
    """The table of refined bounds with its title, if a cell has one."""
    if not any("refined_bound" in result for c in cells() for result in whole.done(c)):
        return []
    return [
        "Negative refined bound, a true bound with q fitted to each test image",
        _table(
            whole,
            lambda r: -r["refined_bound"]["mean"] if "refined_bound" in r else None,
            dict.fromkeys(PAPER),
        ),
    ]


def _table(
    whole: Sweep,
    value: Callable[[dict[str, Any]], float | None],
    rows: Mapping[str, tuple[float | None, ...] | None],
    *,
    digits: int = 2,
    old: Callable[[dict[str, Any]], str] = lambda result: "",
) -> str:
    lines = []
    for model, papers in rows.items():
        entries = []
        for column, paper in zip(COLUMNS, papers or (None,) * len(COLUMNS), strict=True):
            at = cell(model, column)
            found = [] if at is None else [r for r in whole.done(at) if value(r) is not None]
            found = [r for r in found if not old(r)] or found  # never a mean of two kinds
            marked = max(map(old, found), default="") + max(map(marks.modified, found), default="")
            ours = " ".join(filter(None, [marks.spread([value(r) for r in found], digits), marked]))
            entries.append(ours if paper is None else f"{ours or '–'} / {paper:.2f}")
        lines.append([model, *entries])
    return _by_column(lines)


def _by_column(rows: list[list[str]]) -> str:
    """A table with a row per model, under the columns of Table 1."""
    return marks.table([["", *(f"{dataset}, K = {K}" for dataset, K in COLUMNS)], *rows])


if __name__ == "__main__":
    sys.exit(as_process(main))
