"""Keeps decoded arrays on disk, so that the second start decodes nothing."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from cpvae_jax.data.archive import read_npz

_log = logging.getLogger(__name__)

# Increase it when a loader decodes differently: every existing cache is then rebuilt.
_FORMAT = 2

Arrays = dict[str, np.ndarray]
"""Arrays by name."""


def cached(
    cache_dir: Path, name: str, root: Path, files: Iterable[Path], build: Callable[[], Arrays]
) -> Arrays:
    """Returns what `build()` returns, from the cache if the source files have not changed.

    A damaged cache file is rebuilt; the checksums of the zip format detect the damage. If the
    cache cannot be written, a warning is logged and the arrays are returned all the same.

    Args:
      cache_dir: The folder of the cache, created when needed.
      name: The first part of the file name.
      root: The folder of the source. There is one cache file per `name` and `root`; it is
        replaced when the source changes.
      files: The source files under `root`. The cache is valid while their names, sizes and
        modification times stay the same.
      build: Decodes the source into arrays by name, without Python objects.
    """
    key = _key(root, files)
    place = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:12]
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
    """Returns a digest that changes when a file is added, removed, renamed or modified."""
    digest = hashlib.sha256(str(_FORMAT).encode())
    for file in sorted(files):
        stat = file.stat()
        digest.update(b"\0" + os.fsencode(file.relative_to(root)))  # a name may not be UTF-8
        digest.update(f"\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
    return digest.hexdigest()


def _read(path: Path, key: str) -> Arrays | None:
    """Returns the arrays in the cache file `path`, or None if it is missing, outdated or damaged."""
    if not os.path.exists(path):  # False also for a name that is too long, or a closed folder
        return None
    try:
        _, kept = read_npz(path, "key".__eq__)
        if str(kept["key"]) != key:
            return None
        return read_npz(path, "key".__ne__)[1]
    except Exception as error:  # damage can raise anything; rebuilding repairs it in each case
        _log.warning("%s is damaged (%s): decoding again.", path, error)
        return None


def _write(path: Path, arrays: Arrays) -> None:
    """Writes `arrays` to `path` atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A random name, because several processes may write the same cache at the same time.
    handle, temporary = tempfile.mkstemp(prefix=path.stem, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
