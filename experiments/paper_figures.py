"""The paper's figures 3 to 9, each a function of the runs of a sweep. `FIGURES` names them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import matplotlib.image
import numpy as np
from matplotlib.axes import Axes

from cpvae_jax import api
from cpvae_jax.keys import purpose
from cpvae_jax.report import drawing
from cpvae_jax.report.drawing import styled, subplots
from cpvae_jax.report.pictures import COLUMNS
from cpvae_jax.storage import run_folder
from experiments import densities, generation, marks, table1
from experiments.figure_source import NAMES, Source, absent, caption, finish
from experiments.sweep import Cell

ONE_CATEGORY = [Cell("mnist", "cp", 1), Cell("mnist", "vae", 1)]


def figure5(source: Source, path: Path) -> None:
    """Reconstructions with one learned prior and with the fixed one."""
    test = source.data("mnist").test[: 2 * COLUMNS]
    rows, labels = [test / 255], ["original"]
    for cell, name in zip(ONE_CATEGORY, ("CP, K = 1", "VAE"), strict=True):
        params = source.params(cell)
        if params is not None:
            rows.append(np.asarray(api.reconstruct(params, test)))
            labels.append(name)
    shape = (2, COLUMNS, *test.shape[1:])
    stacked = np.stack([row.reshape(shape) for row in rows], axis=1)
    with styled():
        figure, axes = subplots(figsize=(6.4, 0.3 + 0.46 * 2 * len(rows)))
        drawing.show_rows(axes, stacked.reshape(-1, *shape[1:]), 2 * labels, bounds=(0, 1))
        finish(figure, path)


def figure6(source: Source, path: Path) -> None:
    """Samples with one learned prior and with the fixed one."""
    with styled():
        figure, grid = subplots(1, 2, figsize=(8, 4.6))
        for axes, cell in zip(grid, ONE_CATEGORY, strict=True):
            _samples(axes, source, cell, side=10)
        grid[0].set_title(grid[0].get_title().replace("CP", "CP, K = 1", 1))
        finish(figure, path)


def figure7(source: Source, path: Path) -> None:
    """Samples of CP with K = 10 on MNIST, one panel per category."""
    cell = Cell("mnist", "cp", 10)
    params, score = source.params(cell), source.score(cell)
    with styled():
        figure, grid = subplots(2, 5, figsize=(11, 5))
        for k, axes in enumerate(grid.flat):
            _samples(axes, source, cell, category=k)
            share = "" if params is None else f", q(c) = {100 * float(params.aggregate[k]):.0f}%"
            axes.set_title(f"c = {k}{share}")
        if score is not None:
            how = " (chosen and scored on the same samples)" if marks.purity(score) else ""
            figure.suptitle(
                f"{100 * score['purity']['mean']:.1f}% of a category's samples are in its main class, "
                f"says the classifier{how}"
            )
        finish(figure, path)


def figure8(source: Source, path: Path) -> None:
    """Samples of every method on MNIST, by number of components."""
    _methods(source, path, "mnist")


def figure9(source: Source, path: Path) -> None:
    """Samples of every method on Omniglot, by number of components."""
    _methods(source, path, "omniglot")


class PaperFigure(NamedTuple):
    """How a figure is drawn, which cells it shows, whether a cell can be shown, and a table of it."""

    draw: Callable[[Source, Path], None]
    cells: list[Cell]
    has: Callable[[Source, Cell], bool] = Source.trained
    table: Callable[[Source], str] | None = None


FIGURES = {
    3: PaperFigure(densities.figure3, densities.CELLS, table=densities.table),
    4: PaperFigure(densities.figure4, [densities.SURPLUS]),
    5: PaperFigure(figure5, ONE_CATEGORY),
    6: PaperFigure(figure6, ONE_CATEGORY),
    7: PaperFigure(figure7, [Cell("mnist", "cp", 10)]),
    8: PaperFigure(figure8, [c for c in table1.cells() if c.dataset == "mnist"], Source.sampled),
    9: PaperFigure(figure9, [c for c in table1.cells() if c.dataset == "omniglot"], Source.sampled),
}
"""The figures of the paper by number."""


def _samples(
    axes: Axes,
    source: Source,
    cell: Cell,
    *,
    category: int | None = None,
    side: int = generation.SIDE,
) -> None:
    """A square of samples, with the cell's caption."""
    params = source.params(cell)
    title = caption(cell, source.score(cell))
    if params is None:
        return absent(axes, title)
    key = purpose(jax.random.key(0), "paper figures")
    key = jax.random.fold_in(key, 0 if category is None else category)
    x = np.asarray(api.sample(params, key, category=category, num=side**2))
    rows = x.reshape(side, side, *params.config.shape)
    drawing.show_rows(axes, rows, [""] * side, bounds=(0, 1))
    axes.set_title(title)
    return None


def _kept_samples(axes: Axes, source: Source, cell: Cell) -> None:
    """The samples that scoring kept, which outlive the run, or fresh ones."""
    path = source.kept(cell)
    if path is None:
        return _samples(axes, source, cell)
    drawing.show_tiled(axes, matplotlib.image.imread(path))
    axes.set_title(caption(cell, run_folder.result(path.with_suffix(".json"))))
    return None


def _methods(source: Source, path: Path, dataset: str) -> None:
    """One panel per cell that has samples: method by method, with rising K."""
    found = [cell for cell in table1.cells() if cell.dataset == dataset and source.sampled(cell)]
    cells = [cell for model in NAMES for cell in found if cell.model == model]
    width = min(4, len(cells))
    height = -(-len(cells) // width)
    with styled():
        size = (2.4 * width, 2.7 * height)
        figure, grid = subplots(height, width, figsize=size, squeeze=False)
        for axes in grid.flat[len(cells) :]:
            axes.set_axis_off()
        for axes, cell in zip(grid.flat, cells, strict=False):
            _kept_samples(axes, source, cell)
        finish(figure, path)
