"""Tables in Markdown: numbers with their spread, and marks with footnotes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

OLD_MAJORITY, OLD_PURITY, MODIFIED = "†", "†", "‡"

MAJORITY_NOTE = (
    "† With a file in which each category predicts its most frequent label among the very test "
    "labels that are scored, which favours large K."
)
PURITY_NOTE = (
    "† With a file in which the main class of a category is chosen and scored on the same samples, "
    "10,000 / K of them, which favours large K."
)
MODIFIED_NOTE = "‡ With a file from a source tree that had uncommitted changes: a commit in it ends with a plus."


def majority(result: Mapping[str, Any]) -> str:
    """A dagger for a majority accuracy whose map was fitted on the labels that it is scored on."""
    return "" if "majority_from" in result.get("clustering", {}) else OLD_MAJORITY


def purity(result: Mapping[str, Any]) -> str:
    """A dagger for a purity with a number of samples per category that depends on K."""
    return "" if "purity_samples_per_category" in result else OLD_PURITY


def modified(result: Any) -> str:
    """A double dagger for a result with a commit that ends with a plus, wherever it stands."""
    if isinstance(result, Mapping):
        if str(result.get("commit", "")).endswith("+"):
            return MODIFIED
        result = result.values()
    elif isinstance(result, str) or not isinstance(result, Iterable):
        return ""
    return max(map(modified, result), default="")


def footnotes(table: str, *notes: str) -> str:
    """A table, followed by those of the footnotes whose marks it holds."""
    return "\n\n".join([table, *(note for note in notes if note[0] in table)])


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its head.

    >>> print(table([["a", "b"], ["1", "2"]]))
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    head, *others = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *others])


def spread(values: Sequence[float | None], digits: int = 2) -> str:
    """Mean ± standard deviation over seeds, and their number.

    >>> spread([88.0, 89.0]), spread([88.0]), spread([])
    ('88.50 ± 0.71 (2)', '88.00 (1)', '')
    """
    known = [v for v in values if v is not None]
    if not known:
        return ""
    deviation = f" ± {np.std(known, ddof=1):.{digits}f}" if len(known) > 1 else ""
    return f"{np.mean(known):.{digits}f}{deviation} ({len(known)})"


def difference(values: Sequence[float], others: Sequence[float]) -> str:
    """How much larger the first mean is, ± its standard error √(s₁² / n₁ + s₂² / n₂); "" below two values.

    >>> difference([88.0, 89.0], [86.0, 87.0, 88.0]), difference([88.0], [86.0, 87.0])
    ('1.50 ± 0.76', '')
    """
    if min(len(values), len(others)) < 2:
        return ""
    error = np.sqrt(sum(np.var(seeds, ddof=1) / len(seeds) for seeds in (values, others)))
    return f"{np.mean(values) - np.mean(others):.2f} ± {error:.2f}"
