"""Checks the files of a checkpoint before anything opens them.

A manifest lists every file of a folder with its length and SHA-256, and the arrays that must be
among them. It is written last, so a folder without one is unfinished. A stranger's files may come with a manifest that fits, so the
arrays are also compared with the model that the configuration describes, by their plain zarr
metadata, and no file is opened whose length does not follow from it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cpvae_jax.storage import files
from cpvae_jax.storage.files import DamagedError

FILE = "manifest.json"

ARRAY = ".zarray"
"""The file that describes an array, in the folder of the array."""

FORMAT = 3
"""The format of checkpoints: raise it when earlier versions cannot read new ones.

3: the manifest lists the arrays, and the kind of random keys among them
2: arrays keep the shape of x
1: x is flat, and arrays have other names (`legacy`)
"""


class MisfitError(DamagedError):
    """Raised for whole arrays of another model."""


class NewerError(ValueError):
    """Raised for a folder in a format that this version does not know."""


class About(NamedTuple):
    """What a manifest says about a checkpoint.

    Attributes:
      format: Its format.
      keys: The implementations of the random keys in it; None if the manifest does not say.
    """

    format: int
    keys: list[str] | None


def write(
    folder: Path, arrays: Mapping[str, Mapping[str, Any]] | None = None, keys: Sequence[str] = ()
) -> None:
    """Write the manifest of a folder, atomically.

    Args:
      folder: The checkpoint.
      arrays: The arrays that must be there: by item, shape and type of each array by name.
      keys: The implementations of the random keys among them.

    Raises:
      DamagedError: Not all of them are there. No manifest is written then.
    """
    for item, leaves in (arrays or {}).items():
        fits(folder / item, leaves)
    about = {
        "format": FORMAT,
        "keys": list(keys),
        "arrays": {item: sorted(leaves) for item, leaves in (arrays or {}).items()},
        "files": {name: _facts(folder / name) for name in _names(folder)},
    }
    files.replace(folder / FILE, json.dumps(about, indent=1))


def verify(folder: Path, items: Sequence[str]) -> About:
    """What the manifest of a checkpoint says, after checking the files against it.

    Args:
      folder: The checkpoint.
      items: The folders in it to check.

    Raises:
      DamagedError: A file is missing, added or changed.
      NewerError: A newer version wrote it.
      OSError: A file cannot be read; it may be whole.
    """
    found = files.read_json(folder / FILE)
    if not (isinstance(found, dict) and isinstance(found.get("files"), dict)):
        raise DamagedError(f"{FILE} is not a manifest")
    if isinstance(found.get("format"), int) and found["format"] > FORMAT:
        raise NewerError(f"format {found['format']}")
    listed = {n: facts for n, facts in found["files"].items() if n.split("/")[0] in items}
    there = [name for item in items for name in _names(folder, item)]
    for name in sorted(listed.keys() ^ set(there)):
        raise DamagedError(f"{name} {'is missing' if name in listed else 'is not listed'}")
    for name, facts in listed.items():
        if not isinstance(facts, list) or (folder / name).stat().st_size != facts[0]:
            raise DamagedError(f"{name} has another length")
        if _facts(folder / name) != facts:
            raise DamagedError(f"{name} has other contents")
    for item, names in _listed_arrays(found).items():
        for name in names if item in items else ():
            if f"{item}/{name}/{ARRAY}" not in listed:
                raise DamagedError(f"the array {item}/{name} is missing")
    version = found["format"] if isinstance(found.get("format"), int) else FORMAT
    keys = found.get("keys")
    return About(version, [str(key) for key in keys] if isinstance(keys, list) else None)


def _listed_arrays(found: Mapping[str, Any]) -> dict[str, list[Any]]:
    arrays = found.get("arrays", {})
    if not (isinstance(arrays, dict) and all(isinstance(names, list) for names in arrays.values())):
        raise DamagedError(f"{FILE} is not a manifest")
    return arrays


def stored(folder: Path) -> dict[str, Path]:
    """The description of each array in a folder of zarr arrays, by the array's name."""
    return {path.parent.name: path for path in sorted(folder.glob(f"*/{ARRAY}"))}


def fits(folder: Path, leaves: Mapping[str, Any]) -> None:
    """Raise `DamagedError` unless a folder of zarr arrays holds exactly `leaves`.

    The error is a `MisfitError` where an array has another name, shape or type.

    Arrays are stored uncompressed, so reading takes the memory of the model, whoever wrote them. A
    type of 32 bits fits one of 64, and the reverse.

    Args:
      folder: The folder of arrays.
      leaves: Shape and type of each array, by name.
    """
    for name in _names(folder):
        if name.split("/")[0] not in leaves and (folder / name).stat().st_size > files.SMALL:
            raise DamagedError(f"{name} is larger than {files.SMALL} bytes")
    there = stored(folder)
    for name in sorted(there.keys() ^ leaves.keys()):
        raise MisfitError(
            f"the array {name} {'is missing' if name in leaves else 'is not part of the model'}"
        )
    for name, leaf in leaves.items():
        about = files.read_json(there[name])
        if not isinstance(about, dict) or about.get("compressor") or about.get("filters"):
            raise DamagedError(f"the array {name} is compressed")
        dtype = _dtype(about)
        if about.get("shape") != list(leaf.shape) or not _alike(dtype, np.dtype(leaf.dtype)):
            raise MisfitError(
                f"the array {name} is {about.get('dtype')} of shape {about.get('shape')} and not "
                f"{leaf.dtype} of shape {list(leaf.shape)}"
            )
        if not _divide(leaf.shape, about.get("chunks")):
            raise DamagedError(f"the array {name} is split into pieces of {about.get('chunks')}")
        pieces = [path for path in there[name].parent.iterdir() if path.name != ARRAY]
        if sum(path.stat().st_size for path in pieces) != math.prod(leaf.shape) * dtype.itemsize:
            raise DamagedError(f"the array {name} has another length")


def _divide(shape: Sequence[int], pieces: Any) -> bool:
    """Whether pieces of one shape fill an array of another without a remainder."""
    return (
        isinstance(pieces, list)
        and len(pieces) == len(shape)
        and all(
            isinstance(p, int) and 0 < p <= n and n % p == 0
            for n, p in zip(shape, pieces, strict=True)
        )
    )


def _alike(found: Any, wanted: np.dtype) -> bool:
    """Whether an array of one type can be read as the other: with JAX_ENABLE_X64=1 both occur."""
    if found is None or found == wanted:
        return found == wanted
    sizes = {found.itemsize, wanted.itemsize}
    return found.kind == wanted.kind and found.kind in "iuf" and sizes == {4, 8}


def _dtype(about: Mapping[str, Any]) -> Any:
    try:
        return np.dtype(about["dtype"])
    except (KeyError, TypeError, ValueError):
        return None


def _facts(path: Path) -> list[Any]:
    """Length in bytes and SHA-256."""
    with path.open("rb") as file:
        return [path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()]


def _names(folder: Path, below: str = "") -> Iterator[str]:
    """All files below a folder, relative to it; `DamagedError` for anything but plain files."""
    for entry in sorted(os.scandir(folder / below), key=lambda entry: entry.name):
        name = f"{below}/{entry.name}" if below else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _names(folder, name)
        elif not entry.is_file(follow_symlinks=False):
            raise DamagedError(f"{name} is not a regular file")
        elif name != FILE and not name.startswith("."):
            yield name
