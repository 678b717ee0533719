"""The user's own images, from a folder."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cpvae_jax.data.archive import check_size
from cpvae_jax.data.cache import Arrays, cached
from cpvae_jax.data.dataset import Dataset, gather, split, tenth
from cpvae_jax.data.labels import as_labels
from cpvae_jax.data.places import Places
from cpvae_jax.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm"}


def load(folder: Path, places: Places) -> Dataset:
    """Returns the images in `folder` and its subfolders, split 80/10/10 by a fixed permutation.

    Examples are uint8: `[H, W]` if all images are grey (16 bits are reduced to 8), otherwise
    `[H, W, 3]`. Transparency is dropped, and only the first frame of an animation is read. If
    every image is in a subfolder, the name of the subfolder is its label. Hidden files are
    skipped, and so are symbolic links to folders or to files outside `folder`.

    Args:
      folder: The folder of images, all of one size.
      places: Its `cache_dir` keeps the decoded images.

    Raises:
      UserError: There is no image, an image cannot be read, or their sizes differ.
    """
    root = folder.resolve()
    files = _find(root)
    if not files:
        raise UserError(
            f"The folder {folder} holds no image: give a folder with files that end in "
            f"{', '.join(sorted(_SUFFIXES))}."
        )
    images = cached(places.cache_dir, "images", root, files, lambda: _decode(root, files))["images"]
    inside = [file.relative_to(root).parts for file in files]
    groups = np.array([names[0] for names in inside]) if min(map(len, inside)) > 1 else None
    labels, class_names = as_labels(str(folder), {"all": groups})
    size = tenth(len(images))
    return Dataset(
        name=root.name,
        **gather(images, labels["all"], split(len(images), valid=size, test=size, of=folder)),
        kind="grey" if images.ndim == 3 else "real",
        source=f"The {len(images)} images in {folder}, split 80/10/10 by a fixed permutation.",
        class_names=class_names,
    )


def _find(root: Path) -> list[Path]:
    """Returns the image files under `root`, sorted by path."""
    found = []
    for folder, subfolders, names in os.walk(root):  # does not follow links to folders
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for path in (Path(folder, name) for name in names if not name.startswith(".")):
            inside = path.is_file() and path.resolve().is_relative_to(root)
            if inside and path.suffix.lower() in _SUFFIXES:
                found.append(path)
    return sorted(found)


def _decode(root: Path, files: list[Path]) -> Arrays:
    """Returns all images in one array; compares sizes and modes before it decodes any."""
    sizes: dict[tuple[int, int], Path] = {}
    grey = True
    for file in files:
        with _opened(file) as image:
            if image.mode == "F":
                raise ValueError("it holds floats, whose range is unknown")
            sizes.setdefault(image.size, file.relative_to(root))
            grey &= image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    if len(sizes) > 1:
        (one, first), (other, second) = list(sizes.items())[:2]
        raise UserError(
            f"The images in {root} differ in size: {first} has {one[0]}x{one[1]} pixels and "
            f"{second} {other[0]}x{other[1]}: resize all to one size."
        )
    width, height = next(iter(sizes))
    shape = (len(files), height, width, *(() if grey else (3,)))
    try:
        check_size(math.prod(shape))
    except ValueError as error:
        raise UserError(
            f"The images in {root} do not fit in memory ({error}): make them smaller."
        ) from error
    images = np.empty(shape, np.uint8)
    for target, file in zip(images, files, strict=True):
        with _opened(file) as image:
            target[:] = _grey(image) if grey else _colour(image)
    return {"images": images}


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
    # Damaged files raise OSError, SyntaxError, ValueError and others.
    except Exception as error:
        raise UserError(
            f"The image {file} cannot be read ({error}): repair it or remove it from the folder."
        ) from error


def _grey(image: Image) -> np.ndarray:
    """Returns the grey levels `[H, W]`, uint8, of an image with 1, 8 or 16 bits per pixel."""
    if not image.mode.startswith("I"):
        return np.asarray(image.convert("L"))
    levels = np.asarray(image).astype(np.int64)
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError(f"levels from {levels.min()} to {levels.max()} do not fit 16 bits")
    return ((levels + 128) // 257).astype(np.uint8)  # 65535 = 255 · 257, rounded


def _colour(image: Image) -> np.ndarray:
    """Returns the colours `[H, W, 3]`, uint8, of any image."""
    if image.mode.startswith("I"):
        return np.repeat(_grey(image)[:, :, None], 3, axis=2)
    # Converting a palette directly to RGB makes Pillow warn about its transparency.
    return np.asarray((image.convert("RGBA") if image.mode == "P" else image).convert("RGB"))
