"""Training data that stay on the disk: read a window at a time, each process its own part.

An epoch goes through the data in an order of two levels: blocks of neighbouring examples are
shuffled, windows are cut from that order, and the examples within a window are shuffled again. The
disk is read in long runs, while a batch mixes blocks from all over the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cpvae_jax import checks, devices
from cpvae_jax.config import Config
from cpvae_jax.errors import UserError
from cpvae_jax.rows import Rows

BLOCK = 256
"""Neighbouring examples that stay together until their window is shuffled."""

WINDOW = 64 * 2**20
"""Bytes of a window: a few hundred blocks of images, small beside any memory."""


def readable(
    config: Config, given: jax.typing.ArrayLike | Rows, name: str = "train"
) -> jax.Array | Rows:
    """Data that a model can read: `Rows` as they are, all else as a flat array [N, X].

    Raises `UserError` for others, as `checks.data` does.
    """
    if not isinstance(given, Rows):
        return checks.data(config, given, name)
    for block in given.blocks():
        checks.shape(config, block, name)
        checks.values(config, block, name)
    return given


def layout(rows: Rows, batch: int) -> tuple[int, int]:
    """Windows an epoch, and steps a window; what fills no window is left out of an epoch."""
    batch = min(batch, len(rows))
    steps = len(rows) // batch
    size = int(np.prod(rows.shape[1:])) * rows.dtype.itemsize * batch
    windows = -(-steps // max(1, WINDOW // size))
    return windows, steps // windows


def windows(
    rows: Rows, entropy: Sequence[int], batch: int, mesh: Mesh | None
) -> Iterator[jax.Array]:
    """The windows of an epoch, [steps, B, X] each, in an order that `entropy` decides.

    The next one is read while one is in use. On a mesh the examples of a batch are cut along it,
    and a process reads those of its own devices; the order is the same for any mesh.
    """
    count, steps = layout(rows, batch)
    batch = min(batch, len(rows))
    check_mesh(batch, mesh)
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
        def of(where: Any) -> np.ndarray:
            return rows[index[where[:2]]].reshape(*index[where[:2]].shape, -1)

        if mesh is None:
            return jax.device_put(of((slice(None), slice(None))))
        shape = (steps, batch, int(np.prod(rows.shape[1:])))
        sharding = NamedSharding(mesh, PartitionSpec(None, devices.DATA))
        return jax.make_array_from_callback(shape, sharding, of)

    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(read, indices[0])
        for index in [*indices[1:], None]:
            window = coming.result()
            if index is not None:
                coming = reader.submit(read, index)
            yield window


def check_mesh(batch: int, mesh: Mesh | None) -> None:
    """Raise `UserError` unless a batch can be cut evenly, so that each process can read its own."""
    along = 1 if mesh is None else mesh.shape[devices.DATA]
    if batch % along:
        raise UserError(
            f"a batch of {batch} examples cannot be read by {along} devices in equal parts; give a "
            f"batch_size that is a multiple of {along}."
        )
