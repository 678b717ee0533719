"""The pictures of a run: images as images, one number as a histogram, vectors as curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.axes import Axes

from cpvae_jax import api, priors
from cpvae_jax.report import units, use
from cpvae_jax.report.drawing import grid, is_image, save, show_rows, styled, subplots
from cpvae_jax.types import Params

ROWS = 25
"""The most categories shown; those with the largest weights."""
COLUMNS = 12
"""Samples of a category, or examples, shown side by side."""


def samples(path: Path, params: Params, key: jax.Array, data: np.ndarray) -> None:
    """Draws means of p(x|z, c) at fresh z: one row per category, or a grid without categories.

    Args:
      path: the PNG file.
      params: the model.
      key: a random key.
      data: examples, which say what black and white are.
    """
    if not priors.of(params.config).single:
        samples_by_category(path, params, key, data)
    elif is_image(params.config.shape):
        x = api.sample(params, key, num=COLUMNS**2)
        grid(path, np.asarray(x), "Samples", bounds=units.value_range(params.config, data))
    else:
        rows = np.asarray(api.sample(params, key, num=COLUMNS))
        with styled():
            figure, axes = subplots(figsize=(6.4, 1.5))
            _show_values(axes, params, rows.reshape(1, *rows.shape), [""])
            axes.set_title("Samples")
            save(figure, path)


def samples_by_category(path: Path, params: Params, key: jax.Array, data: np.ndarray) -> None:
    """Draws one row per category, sorted by the weights q(c): means of p(x|z, c) at fresh z."""
    weights = np.asarray(params.shares)
    order = np.argsort(-weights, kind="stable")[:ROWS]
    shape = params.config.shape
    categories = np.repeat(order, COLUMNS)
    x = api.sample(params, key, category=categories, num=len(categories))
    rows = np.asarray(x).reshape(len(order), COLUMNS, *shape)
    labels = [f"c = {k}   {100 * float(weights[k]):.1f}%" for k in order]
    title = "Samples by category, with its weight q(c)"
    if len(order) < len(weights):
        title += f"; the {len(order)} largest of {len(weights)}"
    with styled():
        if is_image(shape):
            figure, axes = subplots(figsize=(6.4, 0.3 + 0.46 * len(order)))
            show_rows(axes, rows, labels, bounds=units.value_range(params.config, data))
        else:
            figure, axes = subplots(figsize=(6.4, 0.5 + 0.2 * len(order)))
            _show_values(axes, params, rows, labels)
        axes.set_title(title)
        save(figure, path)


def _show_values(axes: Axes, params: Params, examples: np.ndarray, labels: Sequence[str]) -> None:
    """Shows examples [rows, columns, *shape] with a label beside each row.

    A single number is a point in its row. Several are a curve, scaled to fit the row.
    """
    rows = units.comparable(params, examples)
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


def _unit(params: Params) -> str:
    standardised = units.is_standardised(params.config) and params.config.size > 1
    return ", standardised" if standardised else ""


def reconstructions(path: Path, params: Params, data: np.ndarray) -> None:
    """Draws test examples next to their reconstructions."""
    config = params.config
    count = min(len(data), 4 * COLUMNS) if is_image(config.shape) else min(len(data), 200)
    originals = data[:count]
    rebuilt = np.asarray(api.reconstruct(params, originals))
    shown = units.in_unit(config, originals)
    with styled():
        if is_image(config.shape) and count >= COLUMNS:
            full = count // COLUMNS * COLUMNS
            shape = (full // COLUMNS, COLUMNS, *config.shape)
            pairs = np.stack([shown[:full].reshape(shape), rebuilt[:full].reshape(shape)], axis=1)
            rows = pairs.reshape(-1, *shape[1:])
            figure, axes = subplots(figsize=(6.4, 0.3 + 0.46 * len(rows)))
            labels = ["original", "rebuilt"] * (len(rows) // 2)
            show_rows(axes, rows, labels, bounds=units.value_range(config, data))
        else:
            figure, axes = subplots(figsize=(4, 4))
            x, y = (units.comparable(params, values).ravel() for values in (shown, rebuilt))
            axes.plot(x, y, ".", markersize=3)
            axes.axline((float(x.min()),) * 2, slope=1, color="gray", linewidth=1)
            axes.set(xlabel=f"original{_unit(params)}", ylabel=f"rebuilt{_unit(params)}")
        axes.set_title("Reconstructions of test examples")
        save(figure, path)


def curves(path: Path, history: Sequence[dict[str, Any]]) -> None:
    """Draws every term of the bound by epoch, for training and validation, one line per seed."""
    names = {
        "bound": "bound",
        "reconstruction": "reconstruction",
        "kl_c": "KL(q(c|x) || p(c))",
        "kl_z": "E KL(q(z|x, c) || p(z|c))",
    }
    epochs = [line["epoch"] for line in history]
    with styled():
        figure, axes_of = subplots(2, 2, figsize=(9, 6), sharex=True, layout="constrained")
        for axes, (name, label) in zip(axes_of.flat, names.items(), strict=True):
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
        for axes in axes_of[1]:
            axes.set_xlabel("epoch")
        save(figure, path)


def _widen(axes: Axes, low: float, high: float, *, first: bool) -> None:
    """Lets an axis show low to high, in addition to what it shows already."""
    margin = 0.05 * (high - low) + 1e-3
    bounds = (low - margin, high + margin)
    if not first:
        bounds = (min(bounds[0], axes.get_ylim()[0]), max(bounds[1], axes.get_ylim()[1]))
    if np.all(np.isfinite(bounds)):
        axes.set_ylim(*bounds)


def aggregate(path: Path, params: Params) -> None:
    """Draws the aggregated posterior q(c), largest first, against the prior p(c)."""
    weights, prior = np.asarray(params.shares), use.shares_of_prior(params)
    order = np.argsort(-weights, kind="stable")
    with styled():
        figure, axes = subplots(figsize=(6.4, 3))
        axes.bar(np.arange(len(order)), weights[order], width=0.9)
        if np.ptp(prior) < 1e-6:
            axes.axhline(1 / len(order), color="tab:orange", linewidth=1, label="p(c) = 1 / K")
        else:
            axes.plot(prior[order], "_", color="tab:orange", label="p(c)")
        if len(order) <= ROWS:
            axes.set_xticks(np.arange(len(order)), order)
        axes.set(xlabel="category, by weight", ylabel="q(c)", title="Aggregated posterior")
        axes.legend()
        save(figure, path)


def densities(path: Path, draws: dict[str, np.ndarray], distances: dict[str, float]) -> None:
    """Draws histograms of the truth and of the model's draws, as in the paper's figures 3 and 4.

    Args:
      path: the PNG file.
      draws: what `scores.densities` returns.
      distances: what `scores.density_distances` returns.
    """
    titles = {
        "truth": "truth",
        "aggregate": "model, c from q(c)",
        "uniform": "model, c uniform",
    }
    low, high = np.quantile(draws["truth"], [0, 1])
    margin = 0.25 * (high - low)
    bins = np.linspace(low - margin, high + margin, 120)
    with styled():
        figure, axes_of = subplots(1, 3, figsize=(10, 3), sharex=True, sharey=True)
        for axes, (name, title) in zip(axes_of, titles.items(), strict=True):
            axes.hist(draws[name], bins=bins, density=True, color="tab:blue")
            if name != "truth":
                axes.hist(draws["truth"], bins=bins, density=True, histtype="step", color="black")
                title += f"\n1-Wasserstein distance {distances[name]:.4f}"
            axes.set(title=title, xlabel="x")
        axes_of[0].set_ylabel("density")
        save(figure, path)
