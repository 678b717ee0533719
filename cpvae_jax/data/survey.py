"""What the image files of a folder hold, judged over all of them before they are decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cpvae_jax.data import levels
from cpvae_jax.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

_WHITE = 230
"""Visible pixels whose mean level is above this are white ink, which needs a black ground."""

_FEW_LEVELS = 64
"""16-bit colours below this level of 255 have lost too much when they are read with 8 bits."""

# Formats with animations or pages. The further images of a photograph from a phone (MPO) are not.
_SEVERAL = {"GIF", "PNG", "WEBP", "TIFF", "AVIF"}


def is_deep(image: Image) -> bool:
    """Returns whether an image has one number of more than 8 bits per pixel."""
    return image.mode.startswith(("I", "F"))


def is_see_through(image: Image) -> bool:
    """Returns whether an image may have transparent pixels."""
    return not is_deep(image) and (
        image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info
    )


def _stored_as(image: Image) -> str:
    """Returns how Pillow reads the pixels of an image that is not loaded yet, as text."""
    return str([(tile[0], tile[3]) for tile in getattr(image, "tile", [])[:1]])


def _is_grey(image: Image) -> bool:
    if image.mode == "P":
        colours = np.array(image.getpalette("RGB")).reshape(-1, 3)
        return bool((colours == colours[:, :1]).all())
    # Pillow makes RGBA of grey levels of 16 bits with transparency.
    return is_deep(image) or image.mode in ("1", "L", "LA") or "LA;16" in _stored_as(image)


class Survey:
    """Collects what `add` finds in one image after another.

    Args:
      root: The folder, for messages.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._sizes: dict[tuple[int, ...], tuple[str, tuple[int, int]]] = {}
        self._greys = self._colours = 0
        # One whole number per pixel, of more than 8 bits.
        self._whole = self._whole_low = self._whole_high = 0
        self._is_full = True
        # One float per pixel.
        self._floats = 0
        self._low, self._high = np.inf, -np.inf
        # Several numbers per pixel, of more than 8 bits, which Pillow cuts to 8.
        self._wide = self._wide_high = 0
        # Transparent pixels; the sum of the alphas, and of the levels times alpha.
        self._clear = 0
        self._weight = self._light = 0.0
        # Files with several frames or pages; those after the first.
        self._several = self._dropped = 0

    def add(self, image: Image, name: str) -> None:
        """Looks at an image that was just opened; decodes it only if its mode is unusual."""
        self._sizes.setdefault(tuple(sorted(image.size)), (name, image.size))
        grey = _is_grey(image)
        self._greys += grey
        self._colours += not grey
        if is_deep(image):
            self._add_deep(image)
        elif ";16" in _stored_as(image):
            self._wide += 1
            self._wide_high = max(self._wide_high, int(np.asarray(image.convert("RGB")).max()))
        if is_see_through(image):
            self._add_see_through(image)
        frames = getattr(image, "n_frames", 1) if image.format in _SEVERAL else 1
        self._several += frames > 1
        self._dropped += frames - 1

    def _add_deep(self, image: Image) -> None:
        # Pillow scales the levels of a PGM file by the white that its header declares.
        declared = "'ppm'" in _stored_as(image)
        pixels = np.asarray(image)
        low, high = pixels.min(), pixels.max()
        if image.mode == "F":
            self._floats += 1
            # Unlike min and max, these keep NaN.
            self._low = np.minimum(self._low, low)
            self._high = np.maximum(self._high, high)
            return
        self._whole += 1
        self._whole_low = min(self._whole_low, int(low))
        self._whole_high = max(self._whole_high, int(high))
        # 8 bits become 16 by the factor 257: 255 · 257 = 65535.
        self._is_full &= declared or not (pixels.astype(np.int64) % 257).any()

    def _add_see_through(self, image: Image) -> None:
        alpha = np.asarray(image.convert("RGBA"))[:, :, 3].astype(np.float64)
        if alpha.min() < 255:
            self._clear += 1
            self._weight += alpha.sum()
            self._light += (alpha * np.asarray(image.convert("RGBA").convert("L"))).sum()

    def check(self, *, one_size: bool = True) -> None:
        """Raises a `UserError` unless all images can become one array of 8 bits."""
        if one_size and len(self._sizes) > 1:
            raise self.differing(*list(self._sizes.values())[:2])
        is_black_ink = self._wide_high == 0 and self._clear
        if self._wide and self._wide_high < _FEW_LEVELS and not is_black_ink:
            raise UserError(
                f"The {self._wide} images in {self.root} with 16 bits per colour use only the lowest "
                f"{8 + self._wide_high.bit_length()} of them, but are read with the highest 8: "
                "convert them to 8 bits per colour."
            )
        if self._whole_low < 0 or self._whole_high > 65535:
            raise UserError(
                f"The {self._whole} images in {self.root} with more than 8 bits have levels from "
                f"{self._whole_low} to {self._whole_high}, so that black and white are unknown: scale "
                "them to 0..255 or 0..65535."
            )
        if self._floats and not (self._low >= 0 and self._high <= 255):
            raise UserError(
                f"The {self._floats} images of floats in {self.root} range from {self._low:g} to "
                f"{self._high:g}, so that black and white are unknown: scale them to 0..1 or 0..255."
            )

    def differing(
        self, one: tuple[str, tuple[int, int]], other: tuple[str, tuple[int, int]]
    ) -> UserError:
        """Returns the error for two images, each by name, width and height, that differ in size."""
        (first, (w1, h1)), (second, (w2, h2)) = one, other
        return UserError(
            f"The images in {self.root} differ in size: {first} has {w1}x{h1} pixels and {second} "
            f"{w2}x{h2}: resize all to one size, such as by --resize {min(w1, w2)}x{min(h1, h2)}."
        )

    @property
    def grey(self) -> bool:
        """Whether all images are grey."""
        return self._colours == 0

    @property
    def size(self) -> int:
        """The number of bytes that all images take with 8 bits."""
        width, height = next(iter(self._sizes))
        return (self._greys + self._colours) * width * height * self.depth

    @property
    def depth(self) -> int:
        """The numbers per pixel: 1, or 3 with colours."""
        return 1 if self.grey else 3

    @property
    def ground(self) -> int:
        """The level that is laid under transparent images: white, but black under white ink."""
        return 0 if self._light > _WHITE * self._weight else 255

    @property
    def _top(self) -> int:
        return 65535 if self._is_full else levels.top_of(self._whole_high)

    def to_bytes(self, image: Image) -> np.ndarray:
        """Returns the levels `[H, W]` of an image with more than 8 bits as uint8."""
        pixels = np.asarray(image)
        if image.mode == "F":
            return np.rint(pixels.astype(np.float64) * self._float_factor).astype(np.uint8)
        return levels.scaled(pixels, self._top)

    @property
    def _float_factor(self) -> int:
        return 255 if self._high <= 1 else 1

    def notes(self) -> list[str]:
        """Returns what is converted or left out, beside 16 bits that become 8."""
        notes = []
        if self._whole and self._top != 65535:
            bits = self._top.bit_length()
            notes.append(
                f"{bits}-bit levels in 16-bit files ({self._whole}): scaled by {self._top}"
            )
        if self._floats:
            notes.append(
                f"floats from {self._low:g} to {self._high:g} ({self._floats} files): multiplied by "
                f"{self._float_factor}"
            )
        if self._clear:
            ground = "white" if self.ground else "black, because the visible ones are white"
            notes.append(f"transparent pixels ({self._clear} files): laid over {ground}")
        if self._several:
            notes.append(
                f"frames or pages after the first ({self._several} files): {self._dropped} left out"
            )
        if self._greys and self._colours:
            total = self._greys + self._colours
            notes.append(
                f"grey images among those with colours ({self._greys} of {total}): read as colours"
            )
        return notes
