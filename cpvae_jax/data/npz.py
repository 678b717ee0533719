"""The user's own arrays, from an `.npz` file."""

import math
import zipfile
from pathlib import Path

import numpy as np

from cpvae_jax.data import kinds, levels, notes
from cpvae_jax.data.archive import check_size, read_npz
from cpvae_jax.data.cache import Arrays
from cpvae_jax.data.conversion import finite
from cpvae_jax.data.dataset import Dataset
from cpvae_jax.data.labels import as_labels
from cpvae_jax.data.parts import PARTS, carve
from cpvae_jax.data.paths import denied, printable
from cpvae_jax.errors import UserError

_KEYS = ("x", "y", *PARTS, *(f"{part}_labels" for part in PARTS))
_SPARSE = {"data", "indices", "indptr", "shape"}
"""The keys of a matrix that `scipy.sparse.save_npz` wrote."""


def _spellings() -> dict[str, str]:
    """Other names of the keys, as Keras, MedMNIST and scikit-learn write them, in lower case."""
    found = dict.fromkeys(("data", "images", "features"), "x")
    found |= dict.fromkeys(("labels", "label", "target", "targets"), "y")
    for part, names in {"train": ("train",), "valid": ("valid", "val"), "test": ("test",)}.items():
        for name in names:
            examples = (
                f"x_{name}",
                f"{name}_x",
                f"{name}_images",
                f"{name}_data",
                f"{name}_features",
                name,
            )
            found |= dict.fromkeys(examples, part)
            labels = (f"y_{name}", f"{name}_y", f"{name}_label", f"{name}_labels", f"{name}_target")
            found |= dict.fromkeys((*labels, f"{name}_targets"), f"{part}_labels")
    return found | {key: key for key in _KEYS}


_SPELLINGS = _spellings()
_LISTED = 5  # unknown keys in a message; an archive may have thousands


def load(path: Path) -> Dataset:
    """Returns the data set in an `.npz` file.

    The file has one of two layouts:

    - `x`, and optionally labels `y`; a fixed permutation splits them 80/10/10.
    - `train`, and optionally `valid`, `test`, `train_labels`, `valid_labels` and `test_labels`.
      A missing part is a tenth of `train`, drawn by a fixed permutation.

    Usual names stand for these: `X`, `data`, `images`; `target`, `labels`; `x_train`, `train_images`,
    `y_test`, `val_labels`, … A matrix of `scipy.sparse.save_npz` is read too, and so is an `.npy` file,
    as `x`.

    Examples have any shape. Values are converted as follows:

    - True and False become 255 and 0, and so do integers that are all 1 or 0.
    - Other integers in 0..255 become uint8 grey levels. In a table `[N, X]` they become float32,
      unless they are stored as uint8.
    - All other numbers become float32, or float64 where float32 would round them. Fractions from 0
      to 1 are grey levels in images, and real numbers in a table, unless all are 0 or 1.
    - Images whose brightest level is white in 2 or 4 bits, or in 17 levels, are scaled to 255.

    Grey levels are "grey" or "real" by their histogram (`kinds`); all else is "real".

    Args:
      path: The `.npz` file.

    Raises:
      UserError: The file is missing or damaged, lacks a known key, or holds anything but finite
        numbers.
    """
    arrays = _read(path)
    shown = printable(path)
    # Before the split, so that a message names the rows of the file.
    finite({f"{shown}: {key}": a for key, a in arrays.items() if key in ("x", *PARTS)})
    source = f"The arrays of {shown}"
    if "train" in arrays:
        missing = [part for part in PARTS[1:] if part not in arrays]
        source += ", with the parts as given"
    else:
        missing = list(PARTS[1:])
        arrays = {{"x": "train", "y": "train_labels"}.get(key, key): a for key, a in arrays.items()}
    if missing:
        _carve(shown, arrays, missing)
        source += f", with a tenth of the examples drawn at random for {' and for '.join(missing)}"
    parts, told = _as_values({part: arrays[part] for part in PARTS})
    labels, class_names = as_labels(shown, {part: arrays.get(f"{part}_labels") for part in PARTS})
    grey = all(map(_are_grey, parts.values())) and parts["train"].size > 0
    kind, reason = kinds.of(parts["train"]) if grey else ("real", "")
    return Dataset(
        name=printable(path.stem),
        train=parts["train"],
        valid=parts["valid"],
        test=parts["test"],
        train_labels=labels["train"],
        valid_labels=labels["valid"],
        test_labels=labels["test"],
        kind=kind,
        source=" ".join(filter(None, (source + ".", reason, notes.say(shown, told)))),
        class_names=class_names,
    )


def whole(path: Path) -> np.ndarray:
    """Returns all examples of a file in its order, converted as `load` does: those of x, or of all parts."""
    arrays = _read(path)
    parts = [arrays[key] for key in ("x", *PARTS) if key in arrays]
    values, _ = _as_values({str(number): part for number, part in enumerate(parts)})
    found = np.concatenate(list(values.values()))
    finite({printable(path): found})
    return found


def _read(path: Path) -> Arrays:
    """Returns the arrays with known keys; examples have at least two axes."""
    shown = printable(path)
    found, arrays = _opened(path)
    if ("x" in arrays) == ("train" in arrays):
        names = ", ".join(found[:_LISTED]) + f" and {len(found) - _LISTED} more" * (
            len(found) > _LISTED
        )
        raise UserError(
            f"{shown} has the keys {names or '(none)'}, but needs exactly one of x and train: rename "
            "the array of examples to x."
        )
    for key, array in arrays.items():
        is_labels = key == "y" or key.endswith("_labels")
        if array.ndim == 0 or not (is_labels or array.dtype.kind in "biuf"):
            raise UserError(
                f"{shown}: {key} has dtype {array.dtype} and shape {array.shape}: store an array of "
                "numbers with one row per example."
            )
        if not is_labels and array.ndim == 1:
            arrays[key] = array[:, None]
    return arrays


def _opened(path: Path) -> tuple[list[str], Arrays]:
    """Returns the keys of a file, and its arrays under the names that `load` describes."""
    shown = printable(path)
    try:
        with path.open("rb") as file:
            if file.read(6) == np.lib.format.MAGIC_PREFIX:
                file.seek(0)
                check_size(path.stat().st_size)
                return ["x"], {"x": np.lib.format.read_array(file, allow_pickle=False)}
            if not zipfile.is_zipfile(file):
                raise UserError(
                    f"{shown} is not an .npz file: write one with numpy.savez, or give a table that ends in "
                    ".csv, .tsv, .parquet, .feather or .xlsx."
                )
        found, _ = read_npz(path, lambda key: False)
        if set(found) >= _SPARSE:
            return ["x"], {"x": _dense(path)}
        chosen = _chosen(found, shown)
        arrays = read_npz(path, chosen.__contains__)[1]
        return found, {chosen[key]: array for key, array in arrays.items()}
    except UserError:
        raise
    except PermissionError as error:
        raise denied(path) from error
    # A damaged file can raise almost any exception.
    except Exception as error:
        raise UserError(
            f"{shown} cannot be read ({error}): write plain arrays of numbers, not Python objects, "
            "with numpy.savez."
        ) from error


def _chosen(found: list[str], shown: str) -> dict[str, str]:
    """Returns what each key that is read stands for; a key under its own name takes precedence."""
    chosen = {key: key for key in found if key in _KEYS}
    others: dict[str, list[str]] = {}
    for key in found:
        meant = _SPELLINGS.get(key.lower())
        if meant is not None and meant not in chosen.values():
            others.setdefault(meant, []).append(key)
    if "train" in chosen or "train" in others:  # then "data" or "target" is something else
        others = {meant: keys for meant, keys in others.items() if meant not in ("x", "y")}
    for meant, keys in others.items():
        if len(keys) > 1:
            raise UserError(
                f"{shown} has the keys {', '.join(keys)}, which may all be {meant}: rename the one to read to {meant}."
            )
        chosen[keys[0]] = meant
    return chosen


def _dense(path: Path) -> np.ndarray:
    """Returns a sparse matrix as an array."""
    import scipy.sparse

    matrix = scipy.sparse.load_npz(path)
    check_size(math.prod(matrix.shape) * matrix.dtype.itemsize)
    return matrix.toarray()


def _carve(shown: str, arrays: Arrays, missing: list[str]) -> None:
    """Moves a tenth of `train` and of its labels into each `missing` part."""
    x, labels = arrays["train"], arrays.get("train_labels")
    if labels is not None and len(labels) != len(x):
        raise UserError(
            f"{shown} has {len(labels)} labels for {len(x)} examples: give one label per example, or none."
        )
    for part, index in carve(len(x), missing, of=shown).items():
        arrays[part] = x[index]
        if labels is not None:
            arrays[f"{part}_labels"] = labels[index]


def _as_values(parts: Arrays) -> tuple[Arrays, list[str]]:
    """Returns all parts as uint8 if their values are grey levels, otherwise as floats; and notes."""
    whole = [a for a in parts.values() if a.size]
    if not all(a.dtype.kind in "biu" for a in whole):
        return _as_floats(parts), []
    high = max((int(a.max()) for a in whole), default=0)
    counts = high > 1 and any(a.ndim == 2 and a.dtype != np.uint8 for a in whole)
    if high > 255 or counts or any(int(a.min()) < 0 for a in whole):
        return _as_floats(parts), []
    parts = {part: a.astype(np.uint8, copy=False) for part, a in parts.items()}
    if high > 1:
        top = None if all(a.ndim == 2 for a in whole) else levels.few(high)
        if top is None:
            return parts, []
        note = levels.note(top, "the images")
        return {part: levels.scaled(a, top) for part, a in parts.items()}, [note]
    # Grey levels 0 and 1 would both be black.
    return {part: a * np.uint8(255) for part, a in parts.items()}, []


def _as_floats(parts: Arrays) -> Arrays:
    """Returns all parts as float32 if that changes no value, or if all are fractions of white."""
    with np.errstate(over="ignore"):  # infinity is another value
        short = {part: a.astype(np.float32, copy=False) for part, a in parts.items()}
    if all(_are_grey(a) or np.array_equal(a, parts[part]) for part, a in short.items()):
        return short
    return {part: a.astype(np.float64, copy=False) for part, a in parts.items()}


def _are_grey(x: np.ndarray) -> bool:
    """Returns whether values are grey levels; floats in a table are only if all are 0 or 1."""
    if x.dtype == np.uint8 or x.size == 0:
        return x.dtype == np.uint8
    if x.ndim == 2:
        return bool(np.isin(x, (0, 1)).all())
    return bool(x.min() >= 0 and x.max() <= 1)
