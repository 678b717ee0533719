"""The user's own images, from a folder."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from cpvae_jax.data import kinds, notes
from cpvae_jax.data.cache import cached
from cpvae_jax.data.dataset import Dataset, gather, split, tenth
from cpvae_jax.data.decode import Size, decode
from cpvae_jax.data.labels import as_labels
from cpvae_jax.data.parts import PARTS, Split, carve, own_split
from cpvae_jax.data.paths import denied, printable
from cpvae_jax.data.places import Places
from cpvae_jax.errors import UserError

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm"}


def load(folder: Path, places: Places, resize: str | int | None = None) -> Dataset:
    """Returns the images in `folder` and its subfolders.

    Examples are uint8: `[H, W]` if all images are grey, otherwise `[H, W, 3]`. Levels of more than
    8 bits are scaled by the most that their bits hold, judged over all images; 16 bits are rounded
    to 8. Images are turned as their EXIF orientation says. Transparent pixels are laid over white,
    or over black if the visible ones are white. Of an animation or a file with pages, the first
    image is read. A warning says what was converted or left out.

    Folders named `train`, `valid` and `test`, or similarly, are the parts; a missing part is a tenth
    of `train`. Otherwise a fixed permutation splits all images 80/10/10. If every image is in a
    subfolder, the name of the subfolder is its label. Hidden files are skipped, and so are symbolic
    links to folders or to files outside `folder`.

    Grey images are "grey" or "real" by their histogram (`kinds`), and colours are "real".

    Args:
      folder: The folder of images, all of one size unless `resize` is given.
      places: Its `cache_dir` keeps the decoded images.
      resize: Size to bring all images to, such as 32 or "64x48", width x height; see `decode`.

    Raises:
      UserError: There is no image, a file or folder cannot be read, the sizes differ, the levels
        have no known range, or only some images are in folders of parts.
    """
    root = folder.resolve()
    files, skipped = _files(folder, root)
    shown = printable(folder)
    inside = [file.relative_to(root) for file in files]
    own = own_split(inside, shown)
    found = _decoded(root, files, places, resize)
    images, told = found["images"], [*found["notes"].tolist(), *skipped]
    # Too few examples may be due to what was left out.
    of = f"{shown} ({'; '.join(told)})" if told else shown
    if own is None:
        folders = [path.parts[:-1] for path in inside]
        labels, class_names = as_labels(shown, {"all": _classes(folders)})
        size = tenth(len(images))
        cut = split(len(images), valid=size, test=size, of=of)
        fields = gather(images, labels["all"], cut)
        how = f"The {len(images)} images in {shown}, split 80/10/10 by a fixed permutation."
    else:
        fields, class_names, how = _as_split(images, own, shown, of)
    kind, reason = kinds.of(fields["train"]) if images.ndim == 3 else ("real", "")
    return Dataset(
        name=printable(root.name),
        **fields,
        kind=kind,
        source=" ".join(filter(None, (how, reason, notes.say(f"the images in {shown}", told)))),
        class_names=class_names,
    )


def whole(
    folder: Path, places: Places, resize: str | int | None = None
) -> tuple[list[str], np.ndarray]:
    """Returns the names of all images in a folder, from there, and their pixels, as `load` reads them."""
    root = folder.resolve()
    files, _ = _files(folder, root)
    names = [printable(file.relative_to(root)) for file in files]
    return names, _decoded(root, files, places, resize)["images"]


def _files(folder: Path, root: Path) -> tuple[list[Path], list[str]]:
    """Returns the images in a folder, at least one, and notes on what was left out."""
    files, skipped = _find(root)
    if not files:
        raise UserError(
            f"The folder {printable(folder)} holds no image{f' ({skipped[0]})' if skipped else ''}: give a "
            f"folder with files that end in {', '.join(sorted(_SUFFIXES))}."
        )
    return files, skipped


def _decoded(
    root: Path, files: Sequence[Path], places: Places, resize: str | int | None
) -> dict[str, np.ndarray]:
    """Returns what `decode` does, from the cache if it is there."""
    to = None if resize is None else as_size(resize)
    name = "images" if to is None else f"images-{to[1]}x{to[0]}"
    return cached(places.cache_dir, name, root, files, lambda: decode(root, files, to))


def as_size(given: str | int) -> Size:
    """Height and width, from one number or from width x height.

    Raises:
      UserError: It is no such size.

    >>> as_size(32), as_size("64x48")
    ((32, 32), (48, 64))
    """
    found = re.fullmatch(r"([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", str(given))
    if not found:
        raise UserError(
            f"resize is {given!r}: give a number of pixels such as 32, or width x height, such as 64x48."
        )
    return int(found[2] or found[1]), int(found[1])


def _as_split(
    images: np.ndarray, own: Split, shown: str, of: str
) -> tuple[dict[str, Any], tuple[str, ...] | None, str]:
    """Returns the six array fields of a `Dataset`, the names of the classes, and the source."""
    index = {part: np.flatnonzero(own.parts == part) for part in PARTS}
    missing = [part for part in PARTS if not len(index[part])]
    if missing:
        drawn = carve(len(index["train"]), missing, of=of)
        index |= {part: index["train"][chosen] for part, chosen in drawn.items()}
    folders = {part: [own.classes[i] for i in index[part]] for part in PARTS}
    labels, class_names = as_labels(shown, {part: _classes(folders[part]) for part in PARTS})
    fields: dict[str, Any] = {part: images[index[part]] for part in PARTS}
    fields |= {f"{part}_labels": labels[part] for part in PARTS}
    names = ", ".join(
        f"{own.spelled[part]} ({part})" if own.spelled[part] != part else part
        for part in PARTS
        if part not in missing
    )
    how = f"The {len(images)} images in {shown}, with its folders {names} as parts"
    if missing:
        how += f", and a tenth of train drawn at random for {' and for '.join(missing)}"
    return fields, class_names, how + "."


def _classes(folders: Sequence[tuple[str, ...]]) -> np.ndarray | None:
    """Returns the class of each image, the first of its folders; None if one is in no folder."""
    return np.array([printable(names[0]) for names in folders]) if all(folders) else None


def _find(root: Path) -> tuple[list[Path], list[str]]:
    """Returns the image files under `root`, sorted by path, and a note on those left out."""
    found, skipped = [], []
    # Does not follow links to folders.
    for folder, subfolders, names in os.walk(root, onerror=_refuse):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for path in (Path(folder, name) for name in names if not name.startswith(".")):
            if path.suffix.lower() not in _SUFFIXES:
                continue
            if os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(root):
                skipped.append(path)
            elif _is_file(path):
                found.append(path)
            else:
                skipped.append(path)
    first = f", such as {printable(min(skipped).relative_to(root))}" if skipped else ""
    note = (
        f"links out of the folder, broken links and special files ({len(skipped)}{first}): left out"
    )
    return sorted(found), [note] if skipped else []


def _is_file(path: Path) -> bool:
    """Returns whether a path is a regular file; no broken link, pipe or device."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError as error:
        raise denied(path) from error
    except OSError:
        return False


def _refuse(error: OSError) -> NoReturn:
    """Raises a `UserError` for a folder that cannot be listed."""
    if isinstance(error, PermissionError):
        raise denied(error.filename) from error
    raise UserError(
        f"The folder {printable(error.filename)} cannot be read ({error.strerror}): check the disk, "
        "or move the folder out of the data."
    ) from error
