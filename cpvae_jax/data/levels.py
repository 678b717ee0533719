"""Grey levels that use fewer bits than they are stored in: which level is white."""

import numpy as np

_TOPS = (1, 3, 15, 16)
"""White in images of 1, 2 and 4 bits, and of the 17 levels that UCI's digits have."""


def top_of(high: int) -> int:
    """Returns white for whole-numbered levels that go up to `high`: the most that its bits hold.

    >>> [top_of(high) for high in (200, 1000, 4000, 16_000, 65_535)]
    [255, 1023, 4095, 16383, 65535]
    """
    return next(2**bits - 1 for bits in (8, 10, 12, 14, 16) if high < 2**bits)


def scaled(levels: np.ndarray, top: int) -> np.ndarray:
    """Returns whole-numbered levels 0..top as uint8 levels 0..255, rounded.

    >>> scaled(np.array([0, 1, 2, 3]), 3).tolist()
    [0, 85, 170, 255]
    """
    wide = levels.astype(np.uint16 if top < 256 else np.int64)  # room for 255 · top
    return ((wide * 255 + top // 2) // top).astype(np.uint8)


def few(high: int) -> int | None:
    """Returns white for images of 8 bits that use fewer, or None if they use all, or are just dark.

    Args:
      high: The brightest level of all images.

    >>> few(15), few(14), few(255)
    (15, None, None)
    """
    return high if high in _TOPS else None


def note(top: int, what: str) -> str:
    """Returns the note on images that `scaled` has changed."""
    return f"levels 0 to {top} in {what}: scaled by {top}"
