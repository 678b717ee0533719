"""Pictures of the user's own, from a folder."""

import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cpvae_jax.errors import UserError
from experiments.data.archive import check_size
from experiments.data.cache import Arrays, cached
from experiments.data.dataset import Dataset, gather, split, tenth
from experiments.data.labels import as_labels
from experiments.data.places import Places

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm"}


def load(folder: Path, places: Places) -> Dataset:
    """Returns the images in `folder` and below, split 80/10/10 by a fixed permutation.

    They are `[H, W]` uint8 if all are grey (16 bits are brought to 8), and `[H, W, 3]`
    otherwise; transparency is dropped, and of an animation the first frame is taken. If all
    lie in subfolders, the name of the subfolder is the label. Hidden files are passed over,
    and so are symbolic links to folders or out of `folder`.

    Raises:
      UserError: there is no image, one cannot be read, or their sizes differ.
    """
    root = folder.resolve()
    files = _find(root)
    if not files:
        raise UserError(
            f"The folder {folder} holds no image: name one with files that end in "
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
        likelihood="bernoulli" if images.ndim == 3 else "gaussian",
        source=f"The {len(images)} images in {folder}, split 80/10/10 by a fixed permutation.",
        class_names=class_names,
    )


def _find(root: Path) -> list[Path]:
    """Returns the image files under `root`, sorted by their paths."""
    found = []
    for folder, subfolders, names in os.walk(root):  # which follows no links to folders
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for path in (Path(folder, name) for name in names if not name.startswith(".")):
            inside = path.is_file() and path.resolve().is_relative_to(root)
            if inside and path.suffix.lower() in _SUFFIXES:
                found.append(path)
    return sorted(found)


def _decode(root: Path, files: list[Path]) -> Arrays:
    """Returns all files in one array; sizes and modes are compared before any is decoded."""
    sizes: dict[tuple[int, int], Path] = {}
    grey = True
    for file in files:
        with _opened(file) as image:
            if image.mode == "F":
                raise ValueError("its values are fractions without a known range")
            sizes.setdefault(image.size, file.relative_to(root))
            grey &= image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    if len(sizes) > 1:
        (one, first), (other, second) = list(sizes.items())[:2]
        raise UserError(
            f"The images in {root} differ in size: {first} has {one[0]}x{one[1]} pixels and "
            f"{second} {other[0]}x{other[1]}; bring all to one size."
        )
    width, height = next(iter(sizes))
    shape = (len(files), height, width, *(() if grey else (3,)))
    try:
        check_size(math.prod(shape))
    except ValueError as error:
        raise UserError(
            f"The images in {root} cannot be held ({error}); make them smaller."
        ) from error
    images = np.empty(shape, np.uint8)
    for target, file in zip(images, files, strict=True):
        with _opened(file) as image:
            target[:] = _grey(image) if grey else _colour(image)
    return {"images": images}


@contextmanager
def _opened(file: Path) -> Iterator:
    """Gives the image in `file`; any failure while it is open is told as of that file."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Pillow warns of much that does no harm, as of metadata it cannot read; not so of
            # a picture that would swell to fill the memory: that is an error here.
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
            with Image.open(file) as image:
                yield image
    # Besides OSError, damaged files raise SyntaxError, ValueError and what not.
    except Exception as error:
        raise UserError(
            f"The image {file} cannot be read ({error}): repair it or take it out of the folder."
        ) from error


def _grey(image) -> np.ndarray:
    """Returns `[H, W]` uint8 of a grey image of 1, 8 or 16 bits."""
    if not image.mode.startswith("I"):
        return np.asarray(image.convert("L"))
    levels = np.asarray(image).astype(np.int64)
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError(f"levels from {levels.min()} to {levels.max()} do not fit 16 bits")
    return ((levels + 128) // 257).astype(np.uint8)  # 65535 = 255 · 257, rounded


def _colour(image) -> np.ndarray:
    """Returns `[H, W, 3]` uint8."""
    if image.mode.startswith("I"):
        return np.repeat(_grey(image)[:, :, None], 3, axis=2)
    # A palette goes by way of RGBA, because Pillow warns of its transparency otherwise.
    return np.asarray((image.convert("RGBA") if image.mode == "P" else image).convert("RGB"))
