"""The paper's figures 3 and 4: densities of one-dimensional models, and their distances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from cpvae_jax import api
from cpvae_jax.registry import PRIORS, parts_of_model
from cpvae_jax.report import scores as scoring
from cpvae_jax.report.drawing import styled, subplots
from experiments.figure_source import NAMES, Source, absent, finish
from experiments.sweep import Cell

KNOWN, UNKNOWN = 2, 150
"""Components given to the synthetic models: as many as there are, and many more."""

CELLS = [
    Cell("synthetic", "vae", 1),
    *(Cell("synthetic", model, K) for K in (KNOWN, UNKNOWN) for model in ("cp", "mg", "vp")),
]
"""The cells of figure 3."""

SURPLUS = Cell("synthetic", "cp", UNKNOWN)
"""The cell of figure 4."""


def figure3(source: Source, path: Path) -> None:
    """Histograms of the truth and of every method, for a known and an unknown number of components."""
    truth = source.data("synthetic").test.ravel()
    bins = _bins(truth)
    with styled():
        figure, grid = subplots(2, 5, figsize=(12, 4.6), sharex=True, sharey=True)
        for row, (K, known) in zip(grid, ((KNOWN, "known"), (UNKNOWN, "unknown")), strict=True):
            row[0].hist(truth, bins=bins, density=True, color="0.4")
            row[0].set(title="truth", ylabel=f"{known} number, K = {K}")
            for axes, model in zip(row[1:], ("cp", "vae", "mg", "vp"), strict=True):
                cell = Cell("synthetic", model, 1 if model == "vae" else K)
                _density(axes, source, cell, None, bins, NAMES[model])
        finish(figure, path)


def figure4(source: Source, path: Path) -> None:
    """Too many categories: their weights, and the density with q(c) and with uniform weights."""
    cell = SURPLUS
    bins = _bins(source.data("synthetic").test)
    with styled():
        figure, (left, middle, right) = subplots(1, 3, figsize=(11, 3))
        params = source.params(cell)
        if params is not None:
            weights = np.sort(np.asarray(params.aggregate))[::-1]
            left.bar(np.arange(len(weights)), weights, width=1.0)
            left.axhline(1 / len(weights), color="tab:orange", linewidth=1, label="p(c) = 1 / K")
            left.set(title="aggregated posterior", xlabel="category, by weight", ylabel="q(c)")
            left.legend()
        _density(middle, source, cell, "aggregate", bins, "c from q(c)")
        _density(right, source, cell, "uniform", bins, "c uniform")
        finish(figure, path)


def table(source: Source) -> str:
    """The distances of all finished seeds as Markdown, by the rule that draws the categories."""
    lines = ["| model | K | c from q(c) | c uniform |", "| --- | --- | --- | --- |"]
    floors = []
    for cell in CELLS:
        rules = [source.distances(cell, weights) for weights in ("aggregate", "uniform")]
        floors += source.distances(cell, "floor")
        if rules[0]:
            entries = " | ".join(map(spread, rules))
            lines.append(f"| {NAMES[cell.model]} | {cell.K} | {entries} |")
    if floors:
        lines.append(f"| training set | | {floors[0]:.4f} | |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """The mean of the seeds, with their standard deviation and number if there are several.

    >>> spread([0.004]), spread([0.003, 0.005])
    ('0.0040', '0.0040 ± 0.0014 (2 seeds)')
    """
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f} ({len(values)} seeds)"


def _bins(truth: np.ndarray) -> list[float]:
    margin = 0.25 * (truth.max() - truth.min())
    return np.linspace(truth.min() - margin, truth.max() + margin, 120).tolist()


def _density(
    axes: Axes,
    source: Source,
    cell: Cell,
    weights: str | None,
    bins: Sequence[float],
    title: str,
) -> None:
    """The histogram of the draws of seed 0, the truth as a line, and the distance of all seeds."""
    params = source.params(cell)
    if params is None:
        return absent(axes, title)
    if weights is None:
        inferred = PRIORS[parts_of_model(cell.model)[0]].inferred
        weights = "aggregate" if inferred else "uniform"
    key = scoring.Keys.of(0).density
    x = api.sample(params, key, num=scoring.DENSITY_SAMPLES, weights=weights, draw=True)
    axes.hist(np.ravel(x), bins=bins, density=True, color="tab:blue")
    truth = source.data("synthetic").test.ravel()
    axes.hist(truth, bins=bins, density=True, histtype="step", color="black", linewidth=0.8)
    axes.set(title=f"{title}\nW₁ = {spread(source.distances(cell, weights))}", xlabel="x")
    return None
