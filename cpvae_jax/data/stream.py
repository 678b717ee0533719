"""Reads training data that stay on disk one window at a time; each process reads its own part.

The order of an epoch has two levels. Blocks of neighbouring examples are shuffled, the order is
cut into windows, and the examples within each window are shuffled again. So the disk is read in
long runs, and a batch still mixes blocks from the whole data set.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cpvae_jax import devices
from cpvae_jax.data.rows import Rows
from cpvae_jax.errors import UserError

BLOCK = 256
"""Neighbouring examples that stay together until their window is shuffled."""

WINDOW = 64 * 2**20
"""The size of a window in bytes: some hundred blocks of images, and little memory anywhere."""


def layout(rows: Rows, batch: int) -> tuple[int, int]:
    """Returns the number of windows per epoch, and of steps per window.

    All windows have the same number of steps; an epoch leaves out the examples that do not fill
    a window.
    """
    batch = min(batch, len(rows))
    steps = len(rows) // batch
    size = math.prod(rows.shape[1:]) * rows.dtype.itemsize * batch
    windows = -(-steps // max(1, WINDOW // size))
    return windows, steps // windows


def windows(
    rows: Rows, entropy: Sequence[int], batch: int, mesh: Mesh | None
) -> Iterator[jax.Array]:
    """Yields the windows of an epoch, [steps, B, *shape] each.

    The next window is read while the caller uses the current one.

    Args:
      rows: The training examples.
      entropy: Whole numbers that decide the order of the examples, the same for any mesh.
      batch: The number of examples per step, over all devices; at most all examples are used.
      mesh: The devices, or None for one. The examples of a batch are spread over its data axis,
        and each process reads those of its own devices.

    Raises:
      UserError: The devices cannot share a batch equally.
    """
    count, steps = layout(rows, batch)
    batch = min(batch, len(rows))
    _check_mesh(batch, mesh)
    rng = np.random.default_rng(entropy)
    order = np.concatenate(
        [
            np.arange(start, min(start + BLOCK, len(rows)))
            for start in rng.permutation(np.arange(0, len(rows), BLOCK))
        ]
    )
    pieces = order[: count * steps * batch].reshape(count, steps * batch)
    indices = [rng.permutation(piece).reshape(steps, batch) for piece in pieces]

    def read(index: np.ndarray) -> jax.Array:
        if mesh is None:
            return jax.device_put(rows[index])

        def on_device(where: tuple[slice, ...] | Any) -> np.ndarray:
            return rows[index[where[:2]]]  # only the first two axes are ever cut

        shape = (steps, batch, *rows.shape[1:])
        sharding = NamedSharding(mesh, PartitionSpec(None, devices.DATA))
        return jax.make_array_from_callback(shape, sharding, on_device)

    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read, indices[0])
        for index in [*indices[1:], None]:
            window = coming.result()
            if index is not None:
                coming = reader.submit(read, index)
            yield window


def _check_mesh(batch: int, mesh: Mesh | None) -> None:
    """Raises a `UserError` unless the devices along the data axis can share a batch equally."""
    along = 1 if mesh is None else mesh.shape[devices.DATA]
    if batch % along:
        raise UserError(
            f"a batch of {batch} examples is not divisible by {along} devices; give a batch_size "
            f"that is a multiple of {along}."
        )
