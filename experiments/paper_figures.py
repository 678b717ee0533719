"""The paper's figures 3 to 9, each a function of the runs of a sweep. `FIGURES` names them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import matplotlib.image
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cpvae_jax import api
from cpvae_jax.commands.job import Folders
from cpvae_jax.data import Dataset
from cpvae_jax.data.rows import sample_of
from cpvae_jax.report import drawing
from cpvae_jax.report import scores as scoring
from cpvae_jax.report.drawing import styled, subplots
from cpvae_jax.report.pictures import COLUMNS
from cpvae_jax.storage import run_folder
from cpvae_jax.types import Params
from experiments import data as datasets
from experiments import generation, table1
from experiments.sweep import Cell, Sweep

NAMES = {
    "cp": "CP",
    "full": "CP, full covariance",
    "vae": "VAE",
    "mg": "MG",
    "vp": "VP",
    "hvae": "HVAE",
    "hvp": "HVP",
    "hcp": "HCP",
}
"""The models as the paper calls them."""

KNOWN, UNKNOWN = 2, 150
"""Components given to the synthetic models: as many as there are, and many more."""

DENSITIES = [
    Cell("synthetic", "vae", 1),
    *(Cell("synthetic", model, K) for K in (KNOWN, UNKNOWN) for model in ("cp", "mg", "vp")),
]
ONE_CATEGORY = [Cell("mnist", "cp", 1), Cell("mnist", "vae", 1)]


class Source:
    """Trained models, their data and their scores, by cell."""

    def __init__(self, whole: Sweep, folders: Folders) -> None:
        self.whole = whole
        self.data = cache(lambda name: datasets.load(name, **folders.named()))
        self.params = cache(self._params)

    def _params(self, cell: Cell) -> Params | None:
        path = self.whole.finished_run(cell, 0)
        return None if path is None else api.load(path)

    def score(self, cell: Cell) -> dict[str, Any] | None:
        """The generation scores of the run with a cell's seed 0; None if it was not scored."""
        run = self.whole.finished_run(cell, 0)
        path = None if run is None else scores(self.whole) / f"{run.name}.json"
        return None if path is None or not path.exists() else run_folder.result(path)

    def kept(self, cell: Cell) -> Path | None:
        """The picture of samples that scoring kept for a cell, of its first seed; None if there is none."""
        scored = scores(self.whole).glob(f"{cell.name}-seed*.json")
        beside = (path.with_suffix(".png") for path in scored)
        return min(filter(Path.exists, beside), default=None)

    def trained(self, cell: Cell) -> bool:
        """Whether the run of a cell exists."""
        return self.params(cell) is not None

    def sampled(self, cell: Cell) -> bool:
        """Whether samples of a cell were kept or can be drawn."""
        return self.kept(cell) is not None or self.trained(cell)


def caption(cell: Cell, score: Mapping[str, Any] | None) -> str:
    """The name of a cell's model, with the score of its samples if there is one."""
    name = NAMES[cell.model] + (f", K = {cell.K}" if cell.K > 1 else "")
    return name if score is None else f"{name}\nFréchet distance {score['frechet']['mean']:.1f}"


def scores(whole: Sweep) -> Path:
    """The folder of the generation scores of a sweep."""
    return whole.results / "generation"


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
        _finish(figure, path)


def figure4(source: Source, path: Path) -> None:
    """Too many categories: their weights, and the density with q(c) and with uniform weights."""
    cell = Cell("synthetic", "cp", UNKNOWN)
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
        _finish(figure, path)


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
        _finish(figure, path)


def figure6(source: Source, path: Path) -> None:
    """Samples with one learned prior and with the fixed one."""
    with styled():
        figure, grid = subplots(1, 2, figsize=(8, 4.6))
        for axes, cell in zip(grid, ONE_CATEGORY, strict=True):
            _samples(axes, source, cell, side=10)
        grid[0].set_title(grid[0].get_title().replace("CP", "CP, K = 1", 1))
        _finish(figure, path)


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
            figure.suptitle(
                f"{100 * score['purity']['mean']:.1f}% of a category's samples are in its main class, "
                "says the classifier"
            )
        _finish(figure, path)


def figure8(source: Source, path: Path) -> None:
    """Samples of every method on MNIST, by number of components."""
    _methods(source, path, "mnist")


def figure9(source: Source, path: Path) -> None:
    """Samples of every method on Omniglot, by number of components."""
    _methods(source, path, "omniglot")


class PaperFigure(NamedTuple):
    """How a figure is drawn, which cells it shows, and whether a cell can be shown."""

    draw: Callable[[Source, Path], None]
    cells: list[Cell]
    has: Callable[[Source, Cell], bool] = Source.trained


FIGURES = {
    3: PaperFigure(figure3, DENSITIES),
    4: PaperFigure(figure4, [Cell("synthetic", "cp", UNKNOWN)]),
    5: PaperFigure(figure5, ONE_CATEGORY),
    6: PaperFigure(figure6, ONE_CATEGORY),
    7: PaperFigure(figure7, [Cell("mnist", "cp", 10)]),
    8: PaperFigure(figure8, [c for c in table1.cells() if c.dataset == "mnist"], Source.sampled),
    9: PaperFigure(figure9, [c for c in table1.cells() if c.dataset == "omniglot"], Source.sampled),
}
"""The figures of the paper by number."""


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
    """The histogram of a model's draws, the truth as a line, and their distance."""
    params = source.params(cell)
    if params is None:
        return _absent(axes, title)
    data: Dataset = source.data("synthetic")
    truth = data.test.ravel()
    key = scoring.Keys.of(0).density
    x = api.sample(params, key, num=scoring.DENSITY_SAMPLES, weights=weights, draw=True)
    distance = scoring.density_distances(
        {"truth": truth, "model": np.ravel(x)}, sample_of(data.train)
    )
    axes.hist(np.ravel(x), bins=bins, density=True, color="tab:blue")
    axes.hist(truth, bins=bins, density=True, histtype="step", color="black", linewidth=0.8)
    axes.set(title=f"{title}, W₁ = {distance['model']:.4f}", xlabel="x")
    return None


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
        return _absent(axes, title)
    key = jax.random.fold_in(jax.random.key(0), 0 if category is None else category)
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
        _finish(figure, path)


def _absent(axes: Axes, title: str) -> None:
    axes.set(title=title, xticks=[], yticks=[])
    axes.text(0.5, 0.5, "not trained", ha="center", va="center", transform=axes.transAxes)


def _finish(figure: Figure, path: Path) -> None:
    figure.set_layout_engine("constrained")
    drawing.save(figure, path)
