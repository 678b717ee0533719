"""Colours of categories: distinct ones for the first ten, then evenly turned hues."""

from __future__ import annotations

import colorsys

TEN = (
    "#4269d0",
    "#e0802b",
    "#2f9e6e",
    "#d64550",
    "#8a63c9",
    "#3aa6b9",
    "#b8549f",
    "#8d6b48",
    "#a3a021",
    "#6c7a89",
)
"""Colours that also readers with a colour vision deficiency can mostly tell apart, by lightness."""

TURN = 0.618
"""The part of the circle of hues between two further colours, the golden ratio: never near the last few."""

LIGHTNESS = (0.42, 0.58, 0.5)
"""The lightness of further colours, in turn."""

TRAIN, VALID, INK, GRID, MUTED = "#4269d0", "#e0802b", "#1f2933", "#e4e7eb", "#7b8794"
"""Colours of the training and validation lines, of text, of grid lines and of what stands back."""


def colour(k: int) -> str:
    """The colour of category k.

    >>> colour(0), colour(10) != colour(11), len({colour(k) for k in range(60)})
    ('#4269d0', True, 60)
    """
    if k < len(TEN):
        return TEN[k]
    r, g, b = colorsys.hls_to_rgb((k * TURN) % 1, LIGHTNESS[k % len(LIGHTNESS)], 0.5)
    return f"#{round(255 * r):02x}{round(255 * g):02x}{round(255 * b):02x}"
