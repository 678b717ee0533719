"""What the files of a checkpoint have to be, checked before anything opens them.

A manifest lists every file of a folder with its length and SHA-256. It is written last, so that
a folder without one is unfinished. What a stranger made may come with a manifest that fits: the
arrays are therefore held against the model that the configuration describes, by their plain
zarr metadata, and no file is opened whose length does not follow from it.
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

from cpvae_jax import files
from cpvae_jax.files import DamagedError

FILE = "manifest.json"

FORMAT = 1
"""Raise it when a checkpoint written anew cannot be read by the versions before."""


class NewerError(ValueError):
    """The folder was written in a format that this version does not know."""


def write(folder: Path) -> None:
    """List the files of a folder in its manifest, whole or not at all."""
    facts = {name: _facts(folder / name) for name in _names(folder)}
    text = json.dumps({"format": FORMAT, "files": facts}, indent=1)
    files.replace(folder / FILE, text)


def verify(folder: Path, items: Sequence[str]) -> None:
    """Raise `DamagedError` unless the items, folders in it, hold what the manifest lists, to the bit."""
    found = files.read_json(folder / FILE)
    if not (isinstance(found, dict) and isinstance(found.get("files"), dict)):
        raise DamagedError(f"{FILE} is no manifest")
    if isinstance(found.get("format"), int) and found["format"] > FORMAT:
        raise NewerError(f"format {found['format']}")
    listed = {n: facts for n, facts in found["files"].items() if n.split("/")[0] in items}
    there = [name for item in items for name in _names(folder, item)]
    for name in sorted(listed.keys() ^ set(there)):
        raise DamagedError(f"{name} {'is missing' if name in listed else 'is not of it'}")
    for name, facts in listed.items():
        if not isinstance(facts, list) or (folder / name).stat().st_size != facts[0]:
            raise DamagedError(f"{name} has another length")
        if _facts(folder / name) != facts:
            raise DamagedError(f"{name} has other contents")


def fits(folder: Path, leaves: Mapping[str, Any]) -> None:
    """Raise `DamagedError` unless a folder of zarr arrays holds `leaves`, by shape and type.

    `leaves` are shapes and types by name. Arrays are stored as they are, not packed, so that
    reading takes the memory that the model takes, whoever wrote them.
    """
    for name in _names(folder):
        if name.split("/")[0] not in leaves and (folder / name).stat().st_size > files.SMALL:
            raise DamagedError(f"{name} is larger than {files.SMALL} bytes")
    there = {path.parent.name: path for path in sorted(folder.glob("*/.zarray"))}
    for name in sorted(there.keys() ^ leaves.keys()):
        raise DamagedError(f"the array {name} {'is missing' if name in leaves else 'is not of it'}")
    for name, leaf in leaves.items():
        about = files.read_json(there[name])
        if not isinstance(about, dict) or about.get("compressor") or about.get("filters"):
            raise DamagedError(f"the array {name} is packed")
        if about.get("shape") != list(leaf.shape) or _dtype(about) != leaf.dtype:
            raise DamagedError(
                f"the array {name} is {about.get('dtype')} of shape {about.get('shape')} and not "
                f"{leaf.dtype} of shape {list(leaf.shape)}"
            )
        if not _divide(leaf.shape, about.get("chunks")):
            raise DamagedError(f"the array {name} is cut into pieces of {about.get('chunks')}")
        pieces = [path for path in there[name].parent.iterdir() if path.name != ".zarray"]
        if (
            sum(path.stat().st_size for path in pieces)
            != math.prod(leaf.shape) * leaf.dtype.itemsize
        ):
            raise DamagedError(f"the array {name} has another length")


def _divide(shape: Sequence[int], pieces: Any) -> bool:
    """Whether pieces of a shape fill an array of another without a remainder."""
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
    """All files in and below a folder, relative to it; `DamagedError` for a link, a pipe, a device."""
    for entry in sorted(os.scandir(folder / below), key=lambda entry: entry.name):
        name = f"{below}/{entry.name}" if below else entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _names(folder, name)
        elif not entry.is_file(follow_symlinks=False):
            raise DamagedError(f"{name} is no file of its own")
        elif name != FILE and not name.startswith("."):
            yield name
