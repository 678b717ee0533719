"""Decodes image files to one array of 8 bits, and says what was converted."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cpvae_jax.data import levels
from cpvae_jax.data.archive import check_size
from cpvae_jax.data.cache import Arrays
from cpvae_jax.data.paths import denied, printable
from cpvae_jax.data.survey import Survey, is_deep, is_see_through
from cpvae_jax.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image


Size = tuple[int, int]
"""Height and width in pixels."""


def decode(root: Path, files: Sequence[Path], resize: Size | None = None) -> Arrays:
    """Returns all images in one array, and notes on what was converted.

    Two passes: the first looks at sizes, modes and unusual levels, which are judged over all
    files; the second decodes.

    Args:
      root: The folder, for messages.
      files: The image files, at least one.
      resize: Height and width to bring all images to. Each is scaled to cover them, and what lies
        beyond is cut off at both sides alike.

    Returns:
      "images", uint8 `[N, H, W]` if all are grey, otherwise `[N, H, W, 3]`; and "notes", strings.

    Raises:
      UserError: A file cannot be read, sizes differ, the levels have no known range, or the
        images do not fit in memory.
    """
    survey = Survey(printable(root))
    for file in files:
        with _opened(file) as image:
            survey.add(image, printable(file.relative_to(root)))
    survey.check(one_size=resize is None)
    size = survey.size if resize is None else len(files) * math.prod(resize) * survey.depth
    _check_memory(root, size)
    images: np.ndarray | None = None
    turned = 0
    for number, file in enumerate(files):
        with _opened(file) as image:
            stored = _pixels(image, survey)
            pixels = _upright(image, stored)
        turned += pixels is not stored
        if resize is not None:
            pixels = _resized(pixels, resize)
        if images is None:
            images = np.empty((len(files), *pixels.shape), np.uint8)
        if pixels.shape != images.shape[1:]:
            raise survey.differing(
                _described(root, files[0], images[0]), _described(root, file, pixels)
            )
        images[number] = pixels
    assert images is not None
    notes = survey.notes()
    if resize is not None:
        notes.append(f"images of any size: scaled and cut to {resize[1]}x{resize[0]} pixels")
    if turned:
        notes.append(f"images turned as their EXIF orientation says: {turned}")
    top = levels.few(int(images.max()))
    if top is not None:
        images = levels.scaled(images, top)
        notes.append(levels.note(top, "the images"))
    return {"images": images, "notes": np.array(notes, dtype=np.str_)}


def _resized(pixels: np.ndarray, size: Size) -> np.ndarray:
    """Returns pixels scaled to cover a size and cut at their centre."""
    import PIL.Image
    import PIL.ImageOps

    image = PIL.Image.fromarray(np.ascontiguousarray(pixels))
    fitted = PIL.ImageOps.fit(image, size[::-1], PIL.Image.Resampling.LANCZOS)
    return np.asarray(fitted)


def _check_memory(root: Path, size: int) -> None:
    try:
        check_size(size)
    except ValueError as error:
        raise UserError(
            f"The images in {printable(root)} do not fit in memory ({error}): make them smaller."
        ) from error


def _described(root: Path, file: Path, pixels: np.ndarray) -> tuple[str, tuple[int, int]]:
    """Returns the name of an image, and its width and height."""
    return printable(file.relative_to(root)), (pixels.shape[1], pixels.shape[0])


@contextmanager
def _opened(file: Path) -> Iterator[Image]:
    """Yields the image in `file`; any error while it is open becomes one that names the file."""
    import PIL.Image

    try:
        with warnings.catch_warnings():
            # Most warnings of Pillow are harmless, such as those about metadata. An image that
            # would decompress to an enormous size is not: it is an error here.
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            warnings.filterwarnings("error", category=PIL.Image.DecompressionBombWarning)
            with PIL.Image.open(file) as image:
                yield image
    except PermissionError as error:
        raise denied(file) from error
    # Damaged files raise OSError, SyntaxError, ValueError and others.
    except Exception as error:
        raise UserError(
            f"The image {printable(file)} cannot be read ({error}): repair it or move it out of the "
            "folder."
        ) from error


def _pixels(image: Image, survey: Survey) -> np.ndarray:
    """Returns the pixels of an image as it is stored, uint8 `[H, W]` or `[H, W, 3]`."""
    mode = "L" if survey.grey else "RGB"
    if is_deep(image):
        grey = survey.to_bytes(image)
        return grey if survey.grey else np.repeat(grey[:, :, None], 3, axis=2)
    if is_see_through(image):
        import PIL.Image

        ground = PIL.Image.new("RGBA", image.size, (survey.ground,) * 3)
        ground.alpha_composite(image.convert("RGBA"))
        return np.asarray(ground.convert("RGB").convert(mode))
    return np.asarray(image.convert(mode))


def _upright(image: Image, pixels: np.ndarray) -> np.ndarray:
    """Returns the pixels of a loaded image turned and mirrored as its EXIF orientation says."""
    try:
        orientation = image.getexif().get(0x0112, 1)
    except Exception:  # damaged metadata raise anything; the pixels are sound
        return pixels
    if image.format == "TIFF":  # Pillow has turned it
        return pixels
    across = np.swapaxes(pixels, 0, 1)
    turned = {
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: across,
        6: across[:, ::-1],
        7: across[::-1, ::-1],
        8: across[::-1],
    }
    return turned.get(orientation, pixels)
