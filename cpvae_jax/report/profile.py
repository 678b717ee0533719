"""What tells a category of a table from the rest: its columns against those of all rows.

This is the only module of the report that knows how rows become columns with names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cpvae_jax import columns as kinds
from cpvae_jax import likelihoods
from cpvae_jax.config import Config
from cpvae_jax.data import coding

Table = Mapping[str, np.ndarray]
"""Columns by name, [N] each: numbers, with NaN where missing, or levels, with None where missing."""


MISSING = "(missing)"
"""What a missing entry of a column of levels is called."""


def table(config: Config, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Rows [N, *shape] as columns with names.

    Args:
      config: the model; if it has columns of the user's, these give names, levels and units.
      rows: examples or samples in the unit of the data.
    """
    columns = config.columns
    if columns is not None:
        coded = likelihoods.of(config).coded
        decoded = coding.decode(columns, np.asarray(rows), coded=coded)
        levels = {column.name for column in columns if column.kind in kinds.LEVELS}
        return {k: v.astype(object) if k in levels else v for k, v in decoded.items()}
    flat = np.asarray(rows).reshape(len(rows), -1)
    return {f"column {at}": values for at, values in enumerate(flat.T)}


def text(value: Any) -> str:
    """An entry of a table as text: four digits of a number, a level as it is, "" where missing.

    >>> text(3.14159), text(0.5), text(12345678.0), text("red"), text(None), text(float("nan"))
    ('3.142', '0.5', '1.235e+07', 'red', '', '')
    """
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{float(value):.4g}"
    return str(value)


def of_categories(
    columns: Table, categories: np.ndarray, num: int, most: int
) -> list[list[dict[str, Any]]]:
    """The columns of each category against those of all rows, the most telling first.

    A column of numbers is compared by the difference of means in standard deviations of all rows. A
    column of levels is compared by sqrt(Σ (p − q)² / q), where p are the shares of its levels in the
    category and q those in all rows; for two levels this is the same difference of means. From the
    square of either, what chance alone gives in so few rows is subtracted before the columns are put
    in order. Source: Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988.

    Args:
      columns: the table.
      categories: of each row, [N].
      num: how many categories there are.
      most: the most columns to return per category.

    Returns:
      Per category, records with the keys "column", "here" and "all" (means, or the category's most
      frequent level with its share), and "difference", signed for numbers. A category without rows
      has none.

    >>> x = {"a": np.array([0.0, 0, 1, 1]), "b": np.array(["u", "v", "u", "v"], object)}
    >>> of_categories(x, np.array([0, 0, 1, 1]), 2, most=1)[1]
    [{'column': 'a', 'here': '1', 'all': '0.5', 'difference': 1.0}]
    """
    found = [[] for _ in range(num)]  # type: list[list[tuple[float, dict[str, Any]]]]
    members = [np.flatnonzero(categories == k) for k in range(num)]
    for name, values in columns.items():
        compare = _numbers if np.asarray(values).dtype.kind in "fiu" else _levels
        for ranked, record in zip(found, compare(np.asarray(values), members), strict=True):
            if record is not None:
                ranked.append((record.pop("telling"), {"column": name, **record}))
    return [
        [record for _, record in sorted(ranked, key=lambda pair: -pair[0])[:most]]
        for ranked in found
    ]


def _numbers(values: np.ndarray, members: Sequence[np.ndarray]) -> list[dict[str, Any] | None]:
    """A column of numbers in each category; None where the category has no number."""
    x = values.astype(np.float64)
    known = ~np.isnan(x)
    whole = float(x[known].mean()) if known.any() else 0.0
    spread = float(x[known].std()) if known.any() else 0.0
    found: list[dict[str, Any] | None] = []
    for chosen in members:
        inside = x[chosen][known[chosen]]
        if not len(inside):
            found.append(None)
            continue
        mean = float(inside.mean())
        # A spread of rounding errors only is that of a constant column.
        constant = spread <= 1e-12 * max(1.0, abs(whole))
        difference = 0.0 if constant else (mean - whole) / spread
        found.append(
            {
                "here": text(mean),
                "all": text(whole),
                "difference": difference,
                "telling": difference**2 - 1 / len(inside),
            }
        )
    return found


def _levels(values: np.ndarray, members: Sequence[np.ndarray]) -> list[dict[str, Any] | None]:
    """A column of levels in each category; None where the category has no row."""
    words = [MISSING if value is None else str(value) for value in values.tolist()]
    levels, codes = np.unique(np.array(words, object).astype(str), return_inverse=True)
    whole = np.bincount(codes, minlength=len(levels)) / len(codes)
    found: list[dict[str, Any] | None] = []
    for chosen in members:
        if not len(chosen):
            found.append(None)
            continue
        shares = np.bincount(codes[chosen], minlength=len(levels)) / len(chosen)
        square = float(np.sum((shares - whole) ** 2 / whole))
        mode = int(shares.argmax())
        found.append(
            {
                "here": f"{levels[mode]}, {100 * shares[mode]:.0f}%",
                "all": f"{100 * whole[mode]:.0f}%",
                "difference": float(np.sqrt(square)),
                "levels": True,
                "telling": square - (len(levels) - 1) / len(chosen),
            }
        )
    return found
