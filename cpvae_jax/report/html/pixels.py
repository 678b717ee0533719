"""Small pictures inside the page: how many there is room for, and grids of them as PNG."""

from __future__ import annotations

import base64
import io
import math
from typing import NamedTuple

import numpy as np

from cpvae_jax.report.drawing import tile

MOST, FEWEST = 24, 3
"""The most images of a category, and those of a category where there are very many."""

SIDE, SMALLEST_SIDE = 64, 8
"""The most pixels of a side in the page, and the fewest where there are very many categories."""

BYTES = 2_400_000
"""Bytes of all pixels, which PNG at worst keeps and base64 makes a third more: Plotly takes 4.8 MB of
the page's 10."""

ENLARGED = 28
"""Pixels of a side up to which small images are enlarged: the lines between them stay thin. Repeated
pixels cost next to nothing in a PNG."""


class Plan(NamedTuple):
    """How many images of a category are shown, and how large.

    Attributes:
      num: Images per category.
      size: Height and width in pixels.
    """

    num: int
    size: tuple[int, int]


def plan(shape: tuple[int, ...], categories: int) -> Plan:
    """As many images as the page can hold: fewer of many categories, then smaller ones.

    Args:
      shape: that of an image.
      categories: how many there are.

    >>> plan((28, 28), 10), plan((28, 28), 500), plan((200, 100, 3), 10)
    (Plan(num=24, size=(28, 28)), Plan(num=3, size=(26, 26)), Plan(num=19, size=(64, 32)))
    """
    height, width = shape[:2]
    channels = shape[2] if len(shape) == 3 else 1
    scale = min(1.0, SIDE / max(height, width))
    room = BYTES / (categories * channels * height * width)  # in images of full size
    # A sample and its neighbour each, and the first sample again on the button of its category.
    num = int((room / scale**2 - 1) / 2)
    if num < FEWEST:
        num = FEWEST
        smallest = min(1.0, SMALLEST_SIDE / max(height, width))
        scale = max(min(scale, math.sqrt(room / (2 * num + 1))), smallest)
    size = max(1, int(height * scale)), max(1, int(width * scale))
    return Plan(min(num, MOST), size)


def grid(images: np.ndarray, size: tuple[int, int], across: int) -> str:
    """Images [N, *shape] of values 0 to 1 in a grid with white lines between them, as a PNG.

    Args:
      images: the images; N is 1 or a multiple of `across`.
      size: height and width of each in the grid, before very small ones are enlarged.
      across: images side by side.

    Returns:
      A data URI.
    """
    small = np.stack([resized(one, size) for one in images])
    times = max(1, ENLARGED // max(size))
    large = small.repeat(times, axis=1).repeat(times, axis=2)
    shaped = large.reshape(-1, min(across, len(images)), *large.shape[1:])
    return png(tile(shaped)[1:, 1:])  # a line before the first image would only be a margin


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image of values 0 to 1, averaged down to a size; without a last axis of one channel."""
    from PIL import Image

    image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if image.shape[:2] == size:
        return image
    levels = Image.fromarray(np.uint8(np.rint(255 * image)))
    return np.asarray(levels.resize(size[::-1], Image.Resampling.BOX)) / 255


def png(image: np.ndarray) -> str:
    """An image of values 0 to 1 as the data URI of a PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.uint8(np.rint(255 * image))).save(file, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
