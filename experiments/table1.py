"""The paper's Table 1, with true bounds and spreads: `python -m experiments.table1`.

Trains and scores every cell that has no result yet, and prints the table; `--print` only prints.
Beside the paper's rows stand two models that compose its parts: `hcp`, two levels with the
conditional prior on top, and `full`, conditional priors with full covariances.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cpvae_jax import UserError, priors
from experiments import sweep
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
"""Negative bounds by row and column. The paper gives no seeds and no spread, and its figures for
"cp" pass through a relaxed category, which makes them no bounds."""


def cell(model: str, column: tuple[str, int]) -> Cell | None:
    """The cell of a row in a column; None where a prior without categories has been told."""
    dataset, K = column
    if not priors.PRIORS[model if model in priors.PRIORS else model[1:]].single:
        return Cell(dataset, model, K)
    first = next(c for c in COLUMNS if c[0] == dataset)
    return Cell(dataset, model, 1) if column == first else None


def cells() -> list[Cell]:
    """All cells, small K first: what costs least comes first."""
    found = [(column[1], cell(model, column)) for column in COLUMNS for model in PAPER]
    return [c for _, c in sorted(found, key=lambda pair: pair[0]) if c is not None]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.table1",
        description="Train and score what is missing of the paper's Table 1, and print it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    sweep.add_flags(parser)
    parser.add_argument("--print", action="store_true", help="only print what there is")
    arguments = parser.parse_args(argv)
    try:
        wanted = sweep.chosen(cells(), arguments.only)
        whole = sweep.of(arguments)
        code = 0 if arguments.print else whole.train(wanted)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(tables(whole))
    return code


def tables(whole: Sweep) -> str:
    """The table in Markdown: negative true bounds beside the paper's, log-likelihoods, gaps."""
    missing = [c.name for c in cells() if not whole.done(c)]
    return "\n\n".join(
        [
            "Negative true bound on the test set, nats, lower is better / the paper's figure",
            _table(whole, lambda r: -r["test_bound"]["mean"], PAPER),
            "Negative relaxed figure, which is no bound",
            _table(
                whole,
                lambda r: -r["relaxed_figure"]["mean"] if "relaxed_figure" in r else None,
                dict.fromkeys(("cp", "full", "hcp")),
            ),
            "Test log-likelihood, nats, higher is better",
            _table(
                whole,
                lambda r: r["log_likelihood"]["mean"] if "log_likelihood" in r else None,
                dict.fromkeys(PAPER),
            ),
            f"Missing cells: {', '.join(missing) or 'none'}",
        ]
    )


def _table(
    whole: Sweep,
    value: Callable[[dict[str, Any]], float | None],
    rows: Mapping[str, tuple[float | None, ...] | None],
) -> str:
    head = ["", *(f"{dataset}, K = {K}" for dataset, K in COLUMNS)]
    lines = [head, ["---"] * len(head)]
    for model, papers in rows.items():
        entries = []
        for column, paper in zip(COLUMNS, papers or (None,) * len(COLUMNS), strict=True):
            at = cell(model, column)
            ours = "" if at is None else _spread([value(r) for r in whole.done(at)])
            entries.append(ours if paper is None else f"{ours or '–'} / {paper:.2f}")
        lines.append([model, *entries])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _spread(values: Sequence[float | None]) -> str:
    """Mean ± standard deviation over seeds, and their number.

    >>> _spread([88.0, 89.0]), _spread([88.0]), _spread([])
    ('88.50 ± 0.71 (2)', '88.00 (1)', '')
    """
    known = [v for v in values if v is not None]
    if not known:
        return ""
    spread = f" ± {np.std(known, ddof=1):.2f}" if len(known) > 1 else ""
    return f"{np.mean(known):.2f}{spread} ({len(known)})"


if __name__ == "__main__":
    sys.exit(main())
