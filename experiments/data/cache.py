"""Decoded arrays kept on disk, so that a second start decodes nothing."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from experiments.data.archive import read_npz

_log = logging.getLogger(__name__)

# Raise it when a loader decodes differently: all that was kept before is then decoded anew.
_FORMAT = 1

Arrays = dict[str, np.ndarray]


def cached(
    cache_dir: Path, name: str, root: Path, files: Iterable[Path], build: Callable[[], Arrays]
) -> Arrays:
    """Returns what `build()` returns, from the cache where it is kept and still holds.

    Args:
      cache_dir: the folder to keep it in, made when something is to be written.
      name: first part of the file name.
      root, files: the source; the name, size and time of change of each file under `root`
        are the key. One file is kept per name and root: a changed source replaces it.
      build: decodes the source into arrays by name; no array may hold Python objects.

    A damaged file is decoded again (zip's checksums tell). A cache that cannot be written is
    logged, and does without.
    """
    key = _key(root, files)
    place = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
    path = cache_dir / f"{name}-{place}.npz"
    arrays = _read(path, key)
    if arrays is None:
        arrays = build()
        try:
            _write(path, arrays | {"key": np.array(key)})
        except OSError as error:
            _log.warning("%s cannot be written (%s): the next start decodes again.", path, error)
    return arrays


def _key(root: Path, files: Iterable[Path]) -> str:
    """Returns a digest that changes when a file is added, removed, renamed or rewritten."""
    digest = hashlib.sha256(str(_FORMAT).encode())
    for file in sorted(files):
        stat = file.stat()
        digest.update(f"\0{file.relative_to(root)}\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def _read(path: Path, key: str) -> Arrays | None:
    """Returns the arrays kept in `path`, or None if it is missing, outdated or damaged."""
    if not path.exists():
        return None
    try:
        _, kept = read_npz(path, "key".__eq__)
        if str(kept["key"]) != key:
            return None
        return read_npz(path, "key".__ne__)[1]
    except Exception as error:  # bytes gone wrong raise anything, and all of it is mended alike
        _log.warning("%s is damaged (%s): decoding again.", path, error)
        return None


def _write(path: Path, arrays: Arrays) -> None:
    """Writes `arrays` to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=path.stem, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
