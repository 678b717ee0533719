"""Data sets larger than memory: a folder of `.npy` files whose training examples stay on disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np

from cpvae_jax.data import kinds
from cpvae_jax.data.conversion import kind_of
from cpvae_jax.data.dataset import Dataset
from cpvae_jax.data.labels import as_labels
from cpvae_jax.data.paths import denied, printable
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
      path: The folder. Its examples are `[N, *shape]`, numbers of any type. Grey levels, which are
        uint8, are "grey" or "real" by their histogram (`kinds`); all else is "real".

    Raises:
      UserError: A file is missing or damaged, or has another type or shape.
    """
    train = Rows([_examples(file) for file in _training_files(path)])
    parts = {name: np.array(_examples(path / f"{name}.npy")) for name in ("valid", "test")}
    files = {name: path / f"{name}_labels.npy" for name in parts}
    given = {n: np.array(_mapped(file)) for n, file in files.items() if os.path.lexists(file)}
    shown = printable(path)
    labels, class_names = as_labels(shown, {name: given.get(name) for name in parts})
    kind, reason = kinds.of(train) if train.dtype == np.uint8 else ("real", "")
    source = f"The arrays in {shown}; {len(train)} training examples are read from disk."
    return Dataset(
        name=printable(path.resolve().name),
        train=train,
        valid=parts["valid"],
        test=parts["test"],
        train_labels=None,
        valid_labels=labels["valid"],
        test_labels=labels["test"],
        kind=kind,
        source=f"{source} {reason}".rstrip(),
        class_names=class_names,
    )


def whole(path: Path) -> Rows:
    """Returns all examples of a folder: those for training, for validation and for testing, in this order."""
    held = [path / f"{name}.npy" for name in ("valid", "test")]
    files = [*_training_files(path), *(file for file in held if os.path.lexists(file))]
    return Rows([_examples(file) for file in files])


def _mapped(file: Path) -> np.ndarray:
    """Returns the memory-mapped array of a file, of any dtype but objects."""
    shown = printable(file)
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ValueError("it is no regular file")  # opening a pipe would wait forever
        array = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is an archive of arrays")
    except FileNotFoundError as error:
        raise UserError(
            f"{shown} does not exist: a folder of arrays needs train*.npy, valid.npy and test.npy."
        ) from error
    except PermissionError as error:
        raise denied(file) from error
    # A damaged header can raise almost any exception.
    except Exception as error:
        raise UserError(
            f"{shown} cannot be read ({error}): write a plain array of numbers or strings with "
            "numpy.save."
        ) from error
    return array


def _examples(file: Path) -> np.ndarray:
    """Returns the memory-mapped examples of a file."""
    array = _mapped(file)
    if not kind_of(array.dtype) or array.ndim < 2 or not array.size:
        raise UserError(
            f"{printable(file)} has dtype {array.dtype} and shape {array.shape}: store numbers of shape "
            "(N, ...), with at least one example."
        )
    return array
