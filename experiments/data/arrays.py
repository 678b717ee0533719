"""Data that are larger than memory: a folder of `.npy` files, of which the training part stays there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cpvae_jax.errors import UserError
from cpvae_jax.rows import Rows
from experiments.data.dataset import Dataset
from experiments.data.labels import as_labels


def found_in(path: Path) -> bool:
    """Whether a folder is one of arrays."""
    return bool(_training_files(path))


def _training_files(path: Path) -> list[Path]:
    """The files of training examples in the order of their names; labels of theirs are not used."""
    files = sorted(path.glob("train*.npy"))
    return [file for file in files if not file.stem.endswith("_labels")]


def load(path: Path) -> Dataset:
    """Returns the data set in a folder of `.npy` files.

    `train*.npy`, one file or many in the order of their names, are read a window at a time while
    the training goes on; `valid.npy` and `test.npy`, and labels for scoring in `valid_labels.npy`
    and `test_labels.npy`, are held in memory. Examples `[N, *shape]` are uint8 grey levels or
    float32.

    Raises:
      UserError: a file is missing or damaged, or holds another type or shape.
    """
    train = Rows([_mapped(file) for file in _training_files(path)])
    parts = {name: np.array(_mapped(path / f"{name}.npy")) for name in ("valid", "test")}
    given = {
        name: np.load(path / f"{name}_labels.npy", allow_pickle=False)
        for name in parts
        if (path / f"{name}_labels.npy").is_file()
    }
    labels, class_names = as_labels(str(path), {name: given.get(name) for name in parts})
    return Dataset(
        name=path.name,
        train=train,
        valid=parts["valid"],
        test=parts["test"],
        train_labels=None,
        valid_labels=labels["valid"],
        test_labels=labels["test"],
        likelihood="bernoulli" if train.dtype == np.uint8 else "gaussian",
        source=f"The arrays of {path}, {len(train)} training examples read from the disk.",
        class_names=class_names,
    )


def _mapped(file: Path) -> np.ndarray:
    """Returns the array of a file, of which nothing is read yet."""
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(
            f"There is no file {file}: a folder of arrays holds train*.npy, valid.npy and test.npy."
        ) from error
    # What a damaged header raises depends on the byte where it breaks.
    except Exception as error:
        raise UserError(f"{file} cannot be read ({error}): write it with numpy.save.") from error
    if array.dtype not in (np.uint8, np.float32) or array.ndim < 2 or not array.size:
        raise UserError(
            f"{file} holds {array.dtype} of the shape {array.shape}, but uint8 or float32 with an "
            "axis of examples and one of values is expected: store it so."
        )
    return array
