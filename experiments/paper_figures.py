"""The paper's figures 3 to 9, each a function of the runs of a sweep. `FIGURES` names them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import cpvae_jax
from cpvae_jax import Params
from cpvae_jax.rows import sample_of
from experiments import data as datasets
from experiments import evaluate, folder, pictures, table1
from experiments.data import Dataset
from experiments.pictures import plt
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
    """What figures are made of: trained models, their data and their scores, by cell."""

    def __init__(self, whole: Sweep, places: dict[str, Path | None]) -> None:
        self.whole = whole
        self.data = cache(lambda name: datasets.load(name, **places))
        self.params = cache(self._params)

    def _params(self, cell: Cell) -> Params | None:
        path = self.whole.run_folder(cell, 0)
        return None if path is None else cpvae_jax.load(path)

    def score(self, cell: Cell) -> dict[str, Any] | None:
        """The generation scores of the run that holds a cell's seed 0, if they were taken."""
        run = self.whole.run_folder(cell, 0)
        path = None if run is None else scores(self.whole) / f"{run.name}.json"
        return None if path is None or not path.exists() else folder.result(path)

    def kept(self, cell: Cell) -> Path | None:
        """The picture of a cell's samples that scoring left beside the scores, of its first seed."""
        scored = scores(self.whole).glob(f"{cell.name}-seed*.json")
        beside = (path.with_suffix(".png") for path in scored)
        return min(filter(Path.exists, beside), default=None)

    def trained(self, cell: Cell) -> bool:
        """Whether the run of a cell is there."""
        return self.params(cell) is not None

    def sampled(self, cell: Cell) -> bool:
        """Whether there are samples of a cell, kept or to be drawn."""
        return self.kept(cell) is not None or self.trained(cell)


def caption(cell: Cell, score: Mapping[str, Any] | None) -> str:
    """The name of a cell's model, and what its samples score."""
    name = NAMES[cell.model] + (f", K = {cell.K}" if cell.K > 1 else "")
    return name if score is None else f"{name}\nFréchet distance {score['frechet']['mean']:.1f}"


def scores(whole: Sweep) -> Path:
    """The folder of the generation scores of a sweep."""
    return whole.results / "generation"


def figure3(source: Source, path: Path) -> None:
    """Histograms of the truth and of every method, known and unknown number of components."""
    truth = source.data("synthetic").test.ravel()
    bins = _bins(truth)
    with plt.rc_context(pictures.STYLE):
        figure, grid = plt.subplots(2, 5, figsize=(12, 4.6), sharex=True, sharey=True)
        for row, (K, known) in zip(grid, ((KNOWN, "known"), (UNKNOWN, "unknown")), strict=True):
            row[0].hist(truth, bins=bins, density=True, color="0.4")
            row[0].set(title="truth", ylabel=f"{known} number, K = {K}")
            for axes, model in zip(row[1:], ("cp", "vae", "mg", "vp"), strict=True):
                cell = Cell("synthetic", model, 1 if model == "vae" else K)
                _density(axes, source, cell, None, bins, NAMES[model])
        _finish(figure, path)


def figure4(source: Source, path: Path) -> None:
    """Excess categories: their weights, and what uniform weights do to the density."""
    cell = Cell("synthetic", "cp", UNKNOWN)
    bins = _bins(source.data("synthetic").test)
    with plt.rc_context(pictures.STYLE):
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3))
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
    """Reconstructions by one learned prior and by the fixed one."""
    test = source.data("mnist").test[: 2 * pictures.COLUMNS]
    rows, labels = [test / 255], ["original"]
    for cell, name in zip(ONE_CATEGORY, ("CP, K = 1", "VAE"), strict=True):
        params = source.params(cell)
        if params is not None:
            rows.append(np.asarray(cpvae_jax.reconstruct(params, test)))
            labels.append(name)
    shape = (2, pictures.COLUMNS, *test.shape[1:])
    stacked = np.stack([row.reshape(shape) for row in rows], axis=1)
    with plt.rc_context(pictures.STYLE):
        figure, axes = plt.subplots(figsize=(6.4, 0.3 + 0.46 * 2 * len(rows)))
        pictures.show_rows(axes, stacked.reshape(-1, *shape[1:]), 2 * labels, bounds=(0, 1))
        _finish(figure, path)


def figure6(source: Source, path: Path) -> None:
    """Generations by one learned prior and by the fixed one."""
    with plt.rc_context(pictures.STYLE):
        figure, grid = plt.subplots(1, 2, figsize=(8, 4.6))
        for axes, cell in zip(grid, ONE_CATEGORY, strict=True):
            _samples(axes, source, cell, side=10)
        grid[0].set_title(grid[0].get_title().replace("CP", "CP, K = 1", 1))
        _finish(figure, path)


def figure7(source: Source, path: Path) -> None:
    """MNIST, each panel one category of CP with K = 10."""
    cell = Cell("mnist", "cp", 10)
    params, score = source.params(cell), source.score(cell)
    with plt.rc_context(pictures.STYLE):
        figure, grid = plt.subplots(2, 5, figsize=(11, 5))
        for k, axes in enumerate(grid.flat):
            _samples(axes, source, cell, category=k)
            share = "" if params is None else f", q(c) = {100 * float(params.aggregate[k]):.0f}%"
            axes.set_title(f"c = {k}{share}")
        if score is not None:
            figure.suptitle(
                "of the samples of a category, "
                f"{100 * score['purity']['mean']:.1f}% are of its main class by the classifier"
            )
        _finish(figure, path)


def figure8(source: Source, path: Path) -> None:
    """MNIST generations of every method by number of components."""
    _methods(source, path, "mnist")


def figure9(source: Source, path: Path) -> None:
    """Omniglot generations of every method by number of components."""
    _methods(source, path, "omniglot")


class Figure(NamedTuple):
    """How a figure is drawn, the cells that it shows, and whether one of them can be shown."""

    draw: Callable[[Source, Path], None]
    cells: list[Cell]
    has: Callable[[Source, Cell], bool] = Source.trained


FIGURES = {
    3: Figure(figure3, DENSITIES),
    4: Figure(figure4, [Cell("synthetic", "cp", UNKNOWN)]),
    5: Figure(figure5, ONE_CATEGORY),
    6: Figure(figure6, ONE_CATEGORY),
    7: Figure(figure7, [Cell("mnist", "cp", 10)]),
    8: Figure(figure8, [c for c in table1.cells() if c.dataset == "mnist"], Source.sampled),
    9: Figure(figure9, [c for c in table1.cells() if c.dataset == "omniglot"], Source.sampled),
}
"""The figures of the paper by number."""


def _bins(truth: np.ndarray) -> list[float]:
    margin = 0.25 * (truth.max() - truth.min())
    return np.linspace(truth.min() - margin, truth.max() + margin, 120).tolist()


def _density(
    axes: plt.Axes,
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
    key = evaluate.Keys.of(0).density
    x = cpvae_jax.sample(params, key, num=evaluate.DENSITY_SAMPLES, weights=weights, draw=True)
    distance = evaluate.density_distances(
        {"truth": truth, "model": np.ravel(x)}, sample_of(data.train)
    )
    axes.hist(np.ravel(x), bins=bins, density=True, color="tab:blue")
    axes.hist(truth, bins=bins, density=True, histtype="step", color="black", linewidth=0.8)
    axes.set(title=f"{title}, W₁ = {distance['model']:.4f}", xlabel="x")
    return None


def _samples(
    axes: plt.Axes,
    source: Source,
    cell: Cell,
    *,
    category: int | None = None,
    side: int = pictures.SIDE,
) -> None:
    """A square of samples, with the cell's caption."""
    params = source.params(cell)
    title = caption(cell, source.score(cell))
    if params is None:
        return _absent(axes, title)
    key = jax.random.fold_in(jax.random.key(0), 0 if category is None else category)
    x = np.asarray(cpvae_jax.sample(params, key, category=category, num=side**2))
    rows = x.reshape(side, side, *params.config.shape)
    pictures.show_rows(axes, rows, [""] * side, bounds=(0, 1))
    axes.set_title(title)
    return None


def _kept_samples(axes: plt.Axes, source: Source, cell: Cell) -> None:
    """The samples that scoring kept, which outlive the run; where there are none, fresh ones."""
    path = source.kept(cell)
    if path is None:
        return _samples(axes, source, cell)
    pictures.show_tiled(axes, plt.imread(path))
    axes.set_title(caption(cell, folder.result(path.with_suffix(".json"))))
    return None


def _methods(source: Source, path: Path, dataset: str) -> None:
    """A panel a cell that has samples: method by method, the number of components rising."""
    found = [cell for cell in table1.cells() if cell.dataset == dataset and source.sampled(cell)]
    cells = [cell for model in NAMES for cell in found if cell.model == model]
    width = min(4, len(cells))
    height = -(-len(cells) // width)
    with plt.rc_context(pictures.STYLE):
        figure, grid = plt.subplots(
            height, width, figsize=(2.4 * width, 2.7 * height), squeeze=False
        )
        for axes in grid.flat[len(cells) :]:
            axes.set_axis_off()
        for axes, cell in zip(grid.flat, cells, strict=False):
            _kept_samples(axes, source, cell)
        _finish(figure, path)


def _absent(axes: plt.Axes, title: str) -> None:
    axes.set(title=title, xticks=[], yticks=[])
    axes.text(0.5, 0.5, "not trained", ha="center", va="center", transform=axes.transAxes)


def _finish(figure: plt.Figure, path: Path) -> None:
    figure.set_layout_engine("constrained")
    pictures.save(figure, path)
