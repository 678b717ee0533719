"""Checks the files of a checkpoint before anything opens them.

A manifest lists every file of a folder with its length and SHA-256. It is written last, so a
folder without one is unfinished. A stranger's files may come with a manifest that fits, so the
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
from typing import Any

import numpy as np

from cpvae_jax.storage import files
from cpvae_jax.storage.files import DamagedError

FILE = "manifest.json"

FORMAT = 2
"""The format of checkpoints: raise it when earlier versions cannot read new ones."""


class MisfitError(DamagedError):
    """Raised for whole arrays of another model."""


class NewerError(ValueError):
    """Raised for a folder in a format that this version does not know."""


def write(folder: Path) -> None:
    """Write the manifest of a folder, atomically."""
    facts = {name: _facts(folder / name) for name in _names(folder)}
    text = json.dumps({"format": FORMAT, "files": facts}, indent=1)
    files.replace(folder / FILE, text)


def verify(folder: Path, items: Sequence[str]) -> int:
    """The format of a checkpoint, after checking its files against the manifest.

    Args:
      folder: The checkpoint.
      items: The folders in it to check.

    Raises:
      DamagedError: A file is missing, added or changed.
      NewerError: A newer version wrote it.
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
    return found["format"] if isinstance(found.get("format"), int) else FORMAT


def fits(folder: Path, leaves: Mapping[str, Any]) -> None:
    """Raise `DamagedError` unless a folder of zarr arrays holds exactly `leaves`.

    The error is a `MisfitError` where an array has another name, shape or type.

    Arrays are stored uncompressed, so reading takes the memory of the model, whoever wrote them.

    Args:
      folder: The folder of arrays.
      leaves: Shape and type of each array, by name.
    """
    for name in _names(folder):
        if name.split("/")[0] not in leaves and (folder / name).stat().st_size > files.SMALL:
            raise DamagedError(f"{name} is larger than {files.SMALL} bytes")
    there = {path.parent.name: path for path in sorted(folder.glob("*/.zarray"))}
    for name in sorted(there.keys() ^ leaves.keys()):
        raise MisfitError(
            f"the array {name} {'is missing' if name in leaves else 'is not part of the model'}"
        )
    for name, leaf in leaves.items():
        about = files.read_json(there[name])
        if not isinstance(about, dict) or about.get("compressor") or about.get("filters"):
            raise DamagedError(f"the array {name} is compressed")
        if about.get("shape") != list(leaf.shape) or _dtype(about) != leaf.dtype:
            raise MisfitError(
                f"the array {name} is {about.get('dtype')} of shape {about.get('shape')} and not "
                f"{leaf.dtype} of shape {list(leaf.shape)}"
            )
        if not _divide(leaf.shape, about.get("chunks")):
            raise DamagedError(f"the array {name} is split into pieces of {about.get('chunks')}")
        pieces = [path for path in there[name].parent.iterdir() if path.name != ".zarray"]
        if (
            sum(path.stat().st_size for path in pieces)
            != math.prod(leaf.shape) * leaf.dtype.itemsize
        ):
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
