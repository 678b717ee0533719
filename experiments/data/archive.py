"""Arrays from `.npz` files that nobody vouches for."""

import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

LIMIT = 8 * 2**30
"""Bytes that the arrays of one file, or the images of one folder, take at most."""


def read_npz(
    path: Path, wanted: Callable[[str], bool] = lambda name: True
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Returns the names in an `.npz` file, and the arrays of those that are `wanted`.

    No object is unpickled, and no more is read or reserved than the file says of itself, which
    may be `LIMIT` at most: an array has to fill its member of the archive exactly.

    Raises:
      ValueError, OSError and others: whatever damage leads to; the caller names the file.
    """
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        chosen = {name: info for name, info in members.items() if wanted(name)}
        check_size(sum(info.file_size for info in chosen.values()))
        return list(members), {name: _array(archive, info) for name, info in chosen.items()}


def check_size(size: int) -> None:
    """Raises a ValueError if `size` bytes are more than `LIMIT`."""
    if size > LIMIT:
        raise ValueError(f"{size / 2**30:.1f} GiB of arrays, and at most {LIMIT / 2**30:.0f} fit")


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"{info.filename} has the unknown version {version}")
        shape, _, dtype = read_header(file)
        if dtype.hasobject:
            raise ValueError(f"{info.filename} holds Python objects")
        if file.tell() + math.prod(shape) * dtype.itemsize != info.file_size:
            raise ValueError(f"{info.filename} is shorter or longer than its shape {shape}")
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
