"""Parts of pictures: images in a grid, axes without a frame, files written atomically.

Figures are made without pyplot, which would change the state of a program that uses it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cpvae_jax.storage import files

STYLE: Any = {
    "figure.dpi": 120,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
}
"""Settings of every figure; use as `with styled():`."""


def styled() -> Any:
    """A block in which figures have the style of this package."""
    return mpl.rc_context(STYLE)


def subplots(
    rows: int = 1, columns: int = 1, *, figsize: tuple[float, float], layout: Any = None, **how: Any
) -> tuple[Figure, Any]:
    """A figure and its axes, as pyplot's function of that name."""
    figure = Figure(figsize=figsize, layout=layout)
    return figure, figure.subplots(rows, columns, **how)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure atomically."""
    with files.replacing(path) as partial:
        figure.savefig(partial, format=path.suffix[1:], bbox_inches="tight")


def is_image(shape: Sequence[int]) -> bool:
    """Whether an example can be shown: [height, width], or with 1 or 3 channels at the end.

    >>> is_image((28, 28)), is_image((8, 8, 3)), is_image((8, 8, 2)), is_image((784,))
    (True, True, False, False)
    """
    return len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3))


def tile(rows: np.ndarray, gap: int = 1) -> np.ndarray:
    """Images [rows, columns, H, W(, 3)] as one image, with white lines between them.

    >>> tile(np.zeros((2, 3, 4, 4))).shape
    (10, 15)
    """
    padding = [(0, 0), (0, 0), (gap, 0), (gap, 0)] + [(0, 0)] * (rows.ndim - 4)
    padded = np.pad(rows, padding, constant_values=1.0)
    r, c, h, w = padded.shape[:4]
    return np.moveaxis(padded, 1, 2).reshape(r * h, c * w, *padded.shape[4:])


def save_tiled(path: Path, images: np.ndarray) -> None:
    """Writes grey images [n², H, W] as one PNG of n rows, pixel by pixel.

    Black is 0 and white is 1. Values beyond them, which a Gaussian's mean can have, are clipped.
    """
    from PIL import Image

    side = math.isqrt(len(images))
    tiled = np.clip(tile(images.reshape(side, side, *images.shape[1:])), 0, 1)
    with files.replacing(path) as partial:
        Image.fromarray(np.uint8(np.rint(255 * tiled))).save(partial, format="png", optimize=True)


def show_rows(
    axes: Axes, rows: np.ndarray, labels: Sequence[str], *, bounds: tuple[float, float]
) -> None:
    """Shows images [rows, columns, *shape] as a grid, with a label beside each row.

    Args:
      axes: where to draw.
      rows: the images.
      labels: one for each row.
      bounds: the values shown as black and as white.
    """
    low, high = bounds
    if rows.ndim == 5 and rows.shape[-1] == 1:
        rows = rows[..., 0]
    tiled = tile(np.clip((rows - low) / max(high - low, 1e-12), 0, 1))
    show_tiled(axes, tiled)
    height = tiled.shape[0] / len(rows)
    axes.set_yticks((np.arange(len(rows)) + 0.5) * height, labels)


def show_tiled(axes: Axes, image: np.ndarray) -> None:
    """Shows an image of values 0 to 1, without ticks or a frame."""
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def grid(
    path: Path, x: np.ndarray, title: str, *, bounds: tuple[float, float] | None = None
) -> None:
    """Draws images [N, *shape] as a nearly square grid.

    Args:
      path: the PNG file.
      x: the images.
      title: stands above the grid.
      bounds: the values shown as black and as white; by default 0 and 1, or the images' own
        range if it is wider.
    """
    columns = int(np.ceil(np.sqrt(len(x))))
    rows = -(-len(x) // columns)
    filled = np.concatenate([x, np.full((rows * columns - len(x), *x.shape[1:]), x.max())])
    if bounds is None:
        bounds = min(0.0, float(x.min())), max(1.0, float(x.max()))
    with styled():
        figure, axes = subplots(figsize=(0.5 * columns + 0.5, 0.5 * rows + 0.5))
        shaped = filled.reshape(rows, columns, *x.shape[1:])
        show_rows(axes, shaped, [""] * rows, bounds=bounds)
        axes.set_title(title)
        save(figure, path)
