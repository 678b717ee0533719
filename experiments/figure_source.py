"""What the paper's figures are made of: the runs of a sweep, with their data and scores."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cpvae_jax import api
from cpvae_jax.commands.job import Folders
from cpvae_jax.report import drawing
from cpvae_jax.storage import run_folder
from cpvae_jax.types import Params
from experiments import data as datasets
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


class Source:
    """Trained models, their data and their scores, by cell."""

    def __init__(self, whole: Sweep, folders: Folders) -> None:
        self.whole = whole
        self.data = cache(lambda name: datasets.load(name, **folders.named()))
        self.params = cache(self._params)

    def _params(self, cell: Cell) -> Params | None:
        path = self.whole.finished_run(cell, 0)
        return None if path is None else api.load(path)

    def distances(self, cell: Cell, weights: str) -> list[float]:
        """The 1-Wasserstein distances that the scores of a cell's finished seeds hold.

        Args:
          cell: a cell on one-dimensional data.
          weights: how the categories were drawn, "aggregate" or "uniform"; or "floor", the distance
            of the training set.
        """
        found = []
        for seed in range(self.whole.seeds):
            path = self.whole.finished_run(cell, seed)
            if path is not None:
                of_seeds = run_folder.result(path / run_folder.SCORES)["seeds"]
                found += [one["wasserstein"][weights] for one in of_seeds if one["seed"] == seed]
        return found

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


def absent(axes: Axes, title: str) -> None:
    axes.set(title=title, xticks=[], yticks=[])
    axes.text(0.5, 0.5, "not trained", ha="center", va="center", transform=axes.transAxes)


def finish(figure: Figure, path: Path) -> None:
    figure.set_layout_engine("constrained")
    drawing.save(figure, path)
