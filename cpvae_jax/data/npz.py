"""The user's own arrays, from an `.npz` file."""

import zipfile
from pathlib import Path

import numpy as np

from cpvae_jax.data.archive import read_npz
from cpvae_jax.data.cache import Arrays
from cpvae_jax.data.dataset import Dataset, split, tenth
from cpvae_jax.data.labels import as_labels
from cpvae_jax.errors import UserError

_PARTS = ("train", "valid", "test")
_KEYS = ("x", "y", *_PARTS, *(f"{part}_labels" for part in _PARTS))


def load(path: Path) -> Dataset:
    """Returns the data set in an `.npz` file.

    The file has one of two layouts:

    - `x`, and optionally labels `y`; a fixed permutation splits them 80/10/10.
    - `train`, and optionally `valid`, `test`, `train_labels`, `valid_labels` and `test_labels`.
      A missing part is a tenth of `train`, drawn by a fixed permutation.

    Examples have any shape. Values are converted as follows:

    - True and False become 255 and 0, and so do integers that are all 1 or 0.
    - Other integers in 0..255 become uint8 grey levels. In a table `[N, X]` they become float32,
      unless they are stored as uint8.
    - All other numbers become float32. Fractions from 0 to 1 are grey levels in images, and real
      numbers in a table, unless all are 0 or 1.

    Args:
      path: The `.npz` file.

    Raises:
      UserError: The file is missing or damaged, lacks a known key, or holds anything but numbers.
    """
    arrays = _read(path)
    source = f"The arrays of {path}"
    if "train" in arrays:
        missing = [part for part in _PARTS[1:] if part not in arrays]
        source += ", with the parts as given"
    else:
        missing = list(_PARTS[1:])
        arrays = {{"x": "train", "y": "train_labels"}.get(key, key): a for key, a in arrays.items()}
    if missing:
        _carve(path, arrays, missing)
        source += f", with a tenth of the examples drawn at random for {' and for '.join(missing)}"
    parts = _as_values({part: arrays[part] for part in _PARTS})
    labels, class_names = as_labels(
        str(path), {part: arrays.get(f"{part}_labels") for part in _PARTS}
    )
    return Dataset(
        name=path.stem,
        train=parts["train"],
        valid=parts["valid"],
        test=parts["test"],
        train_labels=labels["train"],
        valid_labels=labels["valid"],
        test_labels=labels["test"],
        kind="grey" if all(map(_are_grey, parts.values())) else "real",
        source=source + ".",
        class_names=class_names,
    )


def _read(path: Path) -> Arrays:
    """Returns the arrays with known keys; examples have at least two axes."""
    if not path.is_file():
        raise UserError(f"{path} does not exist: give the path of an existing .npz file.")
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path} is not an .npz file: write one with numpy.savez.")
    try:
        found, arrays = read_npz(path, _KEYS.__contains__)
    # A damaged file can raise almost any exception.
    except Exception as error:
        raise UserError(
            f"{path} cannot be read ({error}): write plain arrays of numbers, not Python objects, "
            "with numpy.savez."
        ) from error
    if ("x" in arrays) == ("train" in arrays):
        raise UserError(
            f"{path} has the keys {', '.join(found) or '(none)'}, but needs exactly one of x and "
            "train: rename the array of examples to x."
        )
    for key, array in arrays.items():
        is_labels = key == "y" or key.endswith("_labels")
        if array.ndim == 0 or not (is_labels or array.dtype.kind in "biuf"):
            raise UserError(
                f"{path}: {key} has dtype {array.dtype} and shape {array.shape}: store an array of "
                "numbers with one row per example."
            )
        if not is_labels and array.ndim == 1:
            arrays[key] = array[:, None]
    return arrays


def _carve(path: Path, arrays: Arrays, missing: list[str]) -> None:
    """Moves a tenth of `train` and of its labels into each `missing` part."""
    x, labels = arrays["train"], arrays.get("train_labels")
    if labels is not None and len(labels) != len(x):
        raise UserError(
            f"{path} has {len(labels)} labels for {len(x)} examples: give one label per example, or none."
        )
    size = tenth(len(x))
    sizes = {part: size * (part in missing) for part in _PARTS[1:]}
    cut = split(len(x), **sizes, of=path)
    for part, index in zip(_PARTS, cut, strict=True):
        if part == "train" or part in missing:
            arrays[part] = x[index]
            if labels is not None:
                arrays[f"{part}_labels"] = labels[index]


def _as_values(parts: Arrays) -> Arrays:
    """Returns all parts as uint8 if their values are grey levels, otherwise as float32."""
    whole = [a for a in parts.values() if a.size]
    if not all(a.dtype.kind in "biu" for a in whole):
        with np.errstate(over="ignore"):  # a number too large becomes infinity, which is checked
            return {part: a.astype(np.float32, copy=False) for part, a in parts.items()}
    high = max((int(a.max()) for a in whole), default=0)
    counts = high > 1 and any(a.ndim == 2 and a.dtype != np.uint8 for a in whole)
    if high > 255 or counts or any(int(a.min()) < 0 for a in whole):
        return {part: a.astype(np.float32) for part, a in parts.items()}
    parts = {part: a.astype(np.uint8, copy=False) for part, a in parts.items()}
    if high > 1:
        return parts
    # Grey levels 0 and 1 would both be black.
    return {part: a * np.uint8(255) for part, a in parts.items()}


def _are_grey(x: np.ndarray) -> bool:
    """Returns whether values are grey levels; floats in a table are only if all are 0 or 1."""
    if x.dtype == np.uint8 or x.size == 0:
        return x.dtype == np.uint8
    if x.ndim == 2:
        return bool(np.isin(x, (0, 1)).all())
    return bool(x.min() >= 0 and x.max() <= 1)
