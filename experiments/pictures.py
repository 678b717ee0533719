"""The pictures of a run: images as images, one number as a histogram, vectors as curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np

import cpvae_jax
from cpvae_jax import files, likelihoods, priors
from cpvae_jax.types import Params
from experiments import grey

mpl.use("Agg")
import matplotlib.pyplot as plt

ROWS = 25
"""Categories shown at most: those of the largest weight."""
COLUMNS = 12
"""Samples of a category, or examples, shown side by side."""
SIDE = 6
"""Samples along each side of a square of them."""
STYLE: Any = {
    "figure.dpi": 120,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}


def save(figure: plt.Figure, path: Path) -> None:
    """Write a figure, whole or not at all."""
    try:
        with files.replacing(path) as partial:
            figure.savefig(partial, format=path.suffix[1:], bbox_inches="tight")
    finally:
        plt.close(figure)


def is_image(shape: Sequence[int]) -> bool:
    """[height, width], grey, or [height, width, 3], colour."""
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))


def tile(rows: np.ndarray, gap: int = 1) -> np.ndarray:
    """Images [rows, columns, H, W(, 3)] as one, white lines between them."""
    padding = [(0, 0), (0, 0), (gap, 0), (gap, 0)] + [(0, 0)] * (rows.ndim - 4)
    padded = np.pad(rows, padding, constant_values=1.0)
    r, c, h, w = padded.shape[:4]
    return np.moveaxis(padded, 1, 2).reshape(r * h, c * w, *padded.shape[4:])


def save_tiled(path: Path, images: np.ndarray) -> None:
    """Grey images [n², H, W], 0 black and 1 white, as one of n rows, its pixels as they are.

    What lies beyond black or white, as a Gaussian's mean may, is shown as these.
    """
    from PIL import Image

    side = math.isqrt(len(images))
    tiled = np.clip(tile(images.reshape(side, side, *images.shape[1:])), 0, 1)
    with files.replacing(path) as partial:
        Image.fromarray(np.uint8(np.rint(255 * tiled))).save(partial, format="png", optimize=True)


def show_rows(
    axes: plt.Axes, rows: np.ndarray, labels: Sequence[str], *, bounds: tuple[float, float]
) -> None:
    """Images [rows, columns, *shape] as a grid with a label beside each row."""
    low, high = bounds
    if rows.ndim == 5 and rows.shape[-1] == 1:
        rows = rows[..., 0]
    tiled = tile(np.clip((rows - low) / max(high - low, 1e-12), 0, 1))
    show_tiled(axes, tiled)
    height = tiled.shape[0] / len(rows)
    axes.set_yticks((np.arange(len(rows)) + 0.5) * height, labels)


def show_tiled(axes: plt.Axes, image: np.ndarray) -> None:
    """An image of values 0 to 1, and nothing around it."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def comparable(params: Params, x: np.ndarray) -> np.ndarray:
    """Examples [..., *shape] as [..., X], of real numbers standardised as the networks see them: the
    entries of a table have units of their own. A single number stays what it is."""
    flat = x.reshape(*x.shape[: x.ndim - len(params.config.shape)], -1)
    if flat.shape[-1] == 1:
        return flat
    standardise = likelihoods.of(params.config).standardise
    return np.asarray(standardise(params.likelihood, jnp.asarray(flat)))


def _unit(params: Params) -> str:
    real = params.config.likelihood == "gaussian" and params.config.size > 1
    return ", standardised" if real else ""


def _show_values(
    axes: plt.Axes, params: Params, examples: np.ndarray, labels: Sequence[str]
) -> None:
    """Examples [rows, columns, *shape] with a label beside each row: a number as a point of its row,
    X of them as a curve that is scaled to fit the row."""
    rows = comparable(params, examples)
    low, high = rows.min(), rows.max()
    for at, row in enumerate(rows):
        if rows.shape[2] == 1:
            axes.plot(row.ravel(), np.full(row.size, at), "|", color="tab:blue")
        else:
            curves = 0.4 - 0.8 * (row - low) / max(high - low, 1e-12)
            axes.plot(at + curves.T, color="tab:blue", linewidth=0.7, alpha=0.6)
    axes.set_yticks(np.arange(len(rows)), labels)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    values = f"entry of x, values {low:.3g} to {high:.3g}{_unit(params)}"
    axes.set_xlabel("mean of x" if rows.shape[2] == 1 else values)


def samples(path: Path, params: Params, key: jax.Array, data: np.ndarray) -> None:
    """Means of p(x|z, c) at fresh z: a row a category, or a grid where there are none."""
    if not priors.of(params.config).single:
        samples_by_category(path, params, key, data)
    elif is_image(params.config.shape):
        x = cpvae_jax.sample(params, key, num=COLUMNS**2)
        grid(path, np.asarray(x), "Samples", bounds=grey.value_range(params.config, data))
    else:
        rows = np.asarray(cpvae_jax.sample(params, key, num=COLUMNS))
        with plt.rc_context(STYLE):
            figure, axes = plt.subplots(figsize=(6.4, 1.5))
            _show_values(axes, params, rows.reshape(1, *rows.shape), [""])
            axes.set_title("Samples")
            save(figure, path)


def samples_by_category(path: Path, params: Params, key: jax.Array, data: np.ndarray) -> None:
    """One row a category, in the order of the weights q(c): means of p(x|z, c), fresh z."""
    order = np.argsort(-np.asarray(params.aggregate), kind="stable")[:ROWS]
    shape = params.config.shape
    categories = np.repeat(order, COLUMNS)
    x = cpvae_jax.sample(params, key, category=categories, num=len(categories))
    rows = np.asarray(x).reshape(len(order), COLUMNS, *shape)
    labels = [f"c = {k}   {100 * float(params.aggregate[k]):.1f}%" for k in order]
    title = "Samples by category, with its weight q(c)"
    if len(order) < params.config.K:
        title += f"; the {len(order)} largest of {params.config.K}"
    with plt.rc_context(STYLE):
        if is_image(shape):
            figure, axes = plt.subplots(figsize=(6.4, 0.3 + 0.46 * len(order)))
            show_rows(axes, rows, labels, bounds=grey.value_range(params.config, data))
        else:
            figure, axes = plt.subplots(figsize=(6.4, 0.5 + 0.2 * len(order)))
            _show_values(axes, params, rows, labels)
        axes.set_title(title)
        save(figure, path)


def reconstructions(path: Path, params: Params, data: np.ndarray) -> None:
    """Test examples next to what the model makes of them."""
    count = min(len(data), 4 * COLUMNS) if is_image(params.config.shape) else min(len(data), 200)
    originals = data[:count]
    rebuilt = np.asarray(cpvae_jax.reconstruct(params, originals))
    with plt.rc_context(STYLE):
        shown = grey.as_given(params.config, originals)
        if is_image(params.config.shape) and count >= COLUMNS:
            full = count // COLUMNS * COLUMNS
            shape = (full // COLUMNS, COLUMNS, *params.config.shape)
            pairs = np.stack([shown[:full].reshape(shape), rebuilt[:full].reshape(shape)], axis=1)
            rows = pairs.reshape(-1, *shape[1:])
            figure, axes = plt.subplots(figsize=(6.4, 0.3 + 0.46 * len(rows)))
            labels = ["original", "rebuilt"] * (len(rows) // 2)
            show_rows(axes, rows, labels, bounds=grey.value_range(params.config, data))
        else:
            figure, axes = plt.subplots(figsize=(4, 4))
            x, y = (comparable(params, values).ravel() for values in (shown, rebuilt))
            axes.plot(x, y, ".", markersize=3)
            axes.axline((float(x.min()),) * 2, slope=1, color="gray", linewidth=1)
            axes.set(xlabel=f"original{_unit(params)}", ylabel=f"rebuilt{_unit(params)}")
        axes.set_title("Reconstructions of test examples")
        save(figure, path)


def curves(path: Path, history: Sequence[dict[str, Any]]) -> None:
    """Every term of the bound by epoch, training and validation; a line a seed."""
    names = {
        "bound": "bound",
        "reconstruction": "reconstruction",
        "kl_c": "KL(q(c|x) || p(c))",
        "kl_z": "E KL(q(z|x, c) || p(z|c))",
    }
    epochs = [line["epoch"] for line in history]
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(2, 2, figsize=(9, 6), sharex=True, layout="constrained")
        for axes, (name, label) in zip(grid.flat, names.items(), strict=True):
            for part, colour in (("train", "tab:blue"), ("valid", "tab:orange")):
                values = np.array([np.atleast_1d(line[f"{part}_{name}"]) for line in history])
                axes.plot(epochs, values, color=colour, linewidth=1, alpha=0.8)
                axes.plot([], [], color=colour, label=part)
                # The first epochs are far off the scale of all others.
                settled = values[min(len(values) - 1, len(values) // 20) :]
                low, high = np.nanmin(settled), np.nanmax(settled)
                _widen(axes, low, high, first=part == "train")
            axes.set(title=label, ylabel="nats")
            axes.legend()
        for axes in grid[1]:
            axes.set_xlabel("epoch")
        save(figure, path)


def _widen(axes: plt.Axes, low: float, high: float, *, first: bool) -> None:
    """Let an axis show low to high, and what it shows already."""
    margin = 0.05 * (high - low) + 1e-3
    bounds = (low - margin, high + margin)
    if not first:
        bounds = (min(bounds[0], axes.get_ylim()[0]), max(bounds[1], axes.get_ylim()[1]))
    if np.all(np.isfinite(bounds)):
        axes.set_ylim(*bounds)


def aggregate(path: Path, params: Params) -> None:
    """The aggregated posterior q(c), largest first, against the uniform prior p(c)."""
    weights = np.asarray(params.aggregate)
    order = np.argsort(-weights, kind="stable")
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.4, 3))
        axes.bar(np.arange(len(order)), weights[order], width=0.9)
        axes.axhline(1 / len(order), color="tab:orange", linewidth=1, label="p(c) = 1 / K")
        if len(order) <= ROWS:
            axes.set_xticks(np.arange(len(order)), order)
        axes.set(xlabel="category, by weight", ylabel="q(c)", title="Aggregated posterior")
        axes.legend()
        save(figure, path)


def densities(path: Path, draws: dict[str, np.ndarray], distances: dict[str, float]) -> None:
    """Histograms of the truth and of the model's draws, as the paper's figures 3 and 4."""
    titles = {
        "truth": "truth",
        "aggregate": "model, c from q(c)",
        "uniform": "model, c uniform",
    }
    low, high = np.quantile(draws["truth"], [0, 1])
    margin = 0.25 * (high - low)
    bins = np.linspace(low - margin, high + margin, 120)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(1, 3, figsize=(10, 3), sharex=True, sharey=True)
        for axes, (name, title) in zip(grid, titles.items(), strict=True):
            axes.hist(draws[name], bins=bins, density=True, color="tab:blue")
            if name != "truth":
                axes.hist(draws["truth"], bins=bins, density=True, histtype="step", color="black")
                title += f"\n1-Wasserstein distance {distances[name]:.4f}"
            axes.set(title=title, xlabel="x")
        grid[0].set_ylabel("density")
        save(figure, path)


def grid(
    path: Path, x: np.ndarray, title: str, *, bounds: tuple[float, float] | None = None
) -> None:
    """Images [N, *shape] as a near-square grid; `bounds` are what black and white stand for."""
    columns = int(np.ceil(np.sqrt(len(x))))
    rows = -(-len(x) // columns)
    filled = np.concatenate([x, np.full((rows * columns - len(x), *x.shape[1:]), x.max())])
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(0.5 * columns + 0.5, 0.5 * rows + 0.5))
        shaped = filled.reshape(rows, columns, *x.shape[1:])
        show_rows(
            axes,
            shaped,
            [""] * rows,
            bounds=bounds or (min(0.0, float(x.min())), max(1.0, float(x.max()))),
        )
        axes.set_title(title)
        save(figure, path)
