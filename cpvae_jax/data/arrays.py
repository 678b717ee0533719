"""Data sets larger than memory: a folder of `.npy` files whose training examples stay on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cpvae_jax.data.dataset import Dataset
from cpvae_jax.data.labels import as_labels
from cpvae_jax.data.rows import Rows
from cpvae_jax.errors import UserError


def found_in(path: Path) -> bool:
    """Returns whether a folder holds a training file, and so is a folder of arrays."""
    return bool(_training_files(path))


def _training_files(path: Path) -> list[Path]:
    """Returns the files of training examples, sorted by name; labels are not used in training."""
    files = sorted(path.glob("train*.npy"))
    return [file for file in files if not file.stem.endswith("_labels")]


def load(path: Path) -> Dataset:
    """Returns the data set in a folder of `.npy` files.

    Training reads `train*.npy`, one file or several in the order of their names, one window at a
    time. `valid.npy` and `test.npy` are loaded into memory, and so are `valid_labels.npy` and
    `test_labels.npy`, which are optional and used for scoring only.

    Args:
      path: The folder. Its examples are `[N, *shape]`, uint8 grey levels or float32.

    Raises:
      UserError: A file is missing or damaged, or has another type or shape.
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
        kind="grey" if train.dtype == np.uint8 else "real",
        source=f"The arrays in {path}; {len(train)} training examples are read from disk.",
        class_names=class_names,
    )


def _mapped(file: Path) -> np.ndarray:
    """Returns the memory-mapped array of a file."""
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(
            f"{file} does not exist: a folder of arrays needs train*.npy, valid.npy and test.npy."
        ) from error
    # A damaged header can raise almost any exception.
    except Exception as error:
        raise UserError(f"{file} cannot be read ({error}): write it with numpy.save.") from error
    if array.dtype not in (np.uint8, np.float32) or array.ndim < 2 or not array.size:
        raise UserError(
            f"{file} has dtype {array.dtype} and shape {array.shape}: store uint8 or float32 of "
            "shape (N, ...), with at least one example."
        )
    return array
