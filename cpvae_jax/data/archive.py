"""Reads arrays from `.npz` files that may be damaged or malicious."""

import math
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

LIMIT = 8 * 2**30
"""The most bytes that the arrays of one file, or the images of one folder, may take."""


def read_npz(
    path: Path, wanted: Callable[[str], bool] = lambda name: True
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Returns the names of all arrays in an `.npz` file, and the arrays that are `wanted`.

    Nothing is unpickled. Before any array is read, the sizes that the archive declares are
    checked against `LIMIT`, and the size of each array against that of its member, so that a
    small file cannot claim a large amount of memory.

    Args:
      path: The `.npz` file.
      wanted: Takes the name of an array, and returns whether to read it.

    Raises:
      ValueError, OSError and others: The file is damaged; which error depends on the damage.
        The caller adds the name of the file.
    """
    with zipfile.ZipFile(path) as archive:
        members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        chosen = {name: info for name, info in members.items() if wanted(name)}
        check_size(sum(info.file_size for info in chosen.values()))
        return list(members), {name: _array(archive, info) for name, info in chosen.items()}


def check_size(size: int) -> None:
    """Raises a `ValueError` if `size` bytes exceed `LIMIT`."""
    if size > LIMIT:
        raise ValueError(
            f"it holds {size / 2**30:.1f} GiB of arrays; the limit is {LIMIT / 2**30:.0f} GiB"
        )


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
            raise ValueError(f"the size of {info.filename} does not match its shape {shape}")
    with archive.open(info) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
