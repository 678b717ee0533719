"""Arrays of the user's own, from an `.npz` file."""

import zipfile
from pathlib import Path

import numpy as np

from cpvae_jax.errors import UserError
from experiments.data.archive import read_npz
from experiments.data.cache import Arrays
from experiments.data.dataset import Dataset, split, tenth
from experiments.data.labels import as_labels

_PARTS = ("train", "valid", "test")
_KEYS = ("x", "y", *_PARTS, *(f"{part}_labels" for part in _PARTS))


def load(path: Path) -> Dataset:
    """Returns the data set in an `.npz` file.

    The file holds either `x`, and optionally labels `y`, which are split 80/10/10 by a fixed
    permutation, or `train` and optionally `valid`, `test`, `train_labels` and so on; a missing
    part is a tenth of `train`. Examples have any shape. True and false become 255 and 0, and so
    do integers that are all 1 or 0; other integers in 0..255 become uint8, and all else float32.
    Rows of a table, `[N, X]`, are grey levels only as uint8: other integers are float32, and
    fractions from 0 to 1 are real numbers, where those of an image are grey levels.

    Raises:
      UserError: the file is missing, damaged, without a known key, or holds anything but numbers.
    """
    arrays = _read(path)
    source = f"The arrays of {path}"
    if "train" in arrays:
        missing = [part for part in _PARTS[1:] if part not in arrays]
        source += ", split as given there"
    else:
        missing = list(_PARTS[1:])
        arrays = {{"x": "train", "y": "train_labels"}.get(key, key): a for key, a in arrays.items()}
    if missing:
        _carve(path, arrays, missing)
        source += (
            f", with a tenth of the examples taken as {' and as '.join(missing)} part at random"
        )
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
        likelihood="bernoulli" if all(map(_are_grey, parts.values())) else "gaussian",
        source=source + ".",
        class_names=class_names,
    )


def _read(path: Path) -> Arrays:
    """Returns the arrays under known keys, each with an axis of examples and one of values."""
    if not path.is_file():
        raise UserError(f"There is no file {path}: give the path of an .npz file that exists.")
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path} is no .npz file (a zip): write one with numpy.savez.")
    try:
        found, arrays = read_npz(path, _KEYS.__contains__)
    # What a damaged file raises depends on the byte where it breaks.
    except Exception as error:
        raise UserError(
            f"{path} cannot be read ({error}): write plain arrays of numbers with numpy.savez, "
            "no Python objects."
        ) from error
    if ("x" in arrays) == ("train" in arrays):
        raise UserError(
            f"{path} has the keys {', '.join(found) or '(none)'}, but exactly one of x and train "
            "is expected: rename the array of examples to x."
        )
    for key, array in arrays.items():
        is_labels = key == "y" or key.endswith("_labels")
        if array.ndim == 0 or not (is_labels or array.dtype.kind in "biuf"):
            raise UserError(
                f"{path}: {key} has the shape {array.shape} and the type {array.dtype}, but an "
                "array of numbers, one row per example, is expected: store it so."
            )
        if not is_labels and array.ndim == 1:
            arrays[key] = array[:, None]
    return arrays


def _carve(path: Path, arrays: Arrays, missing: list[str]) -> None:
    """Moves a tenth of `train` and of its labels into each part that is `missing`."""
    x, labels = arrays["train"], arrays.get("train_labels")
    if labels is not None and len(labels) != len(x):
        raise UserError(
            f"{path} has {len(labels)} labels for {len(x)} examples: give one per example, or none."
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
    """Returns all parts as uint8 grey levels if they can be read so, otherwise as float32."""
    whole = [a for a in parts.values() if a.size]
    if not all(a.dtype.kind in "biu" for a in whole):
        with np.errstate(over="ignore"):  # too large for float32: `check` finds the infinity
            return {part: a.astype(np.float32, copy=False) for part, a in parts.items()}
    high = max((int(a.max()) for a in whole), default=0)
    counts = high > 1 and any(a.ndim == 2 and a.dtype != np.uint8 for a in whole)
    if high > 255 or counts or any(int(a.min()) < 0 for a in whole):
        return {part: a.astype(np.float32) for part, a in parts.items()}
    parts = {part: a.astype(np.uint8, copy=False) for part, a in parts.items()}
    if high > 1:
        return parts
    # Read as grey levels, an image of zeros and ones would be all but black.
    return {part: a * np.uint8(255) for part, a in parts.items()}


def _are_grey(x: np.ndarray) -> bool:
    """Whether values are black and white, or grey levels; of a table's fractions, only the first."""
    if x.dtype == np.uint8 or x.size == 0:
        return x.dtype == np.uint8
    if x.ndim == 2:
        return bool(np.isin(x, (0, 1)).all())
    return bool(x.min() >= 0 and x.max() <= 1)
