"""Omniglot from the file `chardata.mat` of Burda et al. (2016), if the user has it."""

import hashlib
import math
from pathlib import Path

import numpy as np

from cpvae_jax.data.archive import check_size
from cpvae_jax.data.cache import Arrays, cached
from cpvae_jax.data.dataset import Dataset, split
from cpvae_jax.data.places import Places
from cpvae_jax.errors import UserError

FILE = "chardata.mat"

# The git blob id of the file in Burda's repository, github.com/yburda/iwae.
_BLOB = "016a3536ffe5e1d38e42563a18d7a78bfaf643ec"
_VARIABLES = ("data", "testdata", "target", "testtarget")
_KINDS = ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "logical")
_TRAIN, _VALID = 24_345, 1_345  # training images, and those of them for validation


def load(places: Places) -> Dataset:
    """Returns Omniglot in 23,000, 1,345 and 8,070 examples of shape (28, 28), uint8, ink as 255.

    The labels are the alphabets, without names. A file with another number of images is accepted;
    the same fraction of it is for validation.

    Args:
      places: Its `manual_dir` holds the file.

    Raises:
      UserError: The file cannot be read, or has another layout.
    """
    path = places.manual_dir / FILE
    arrays = cached(places.cache_dir, "chardata", places.manual_dir, [path], lambda: _decode(path))
    images, labels = arrays["train"], arrays["train_labels"]
    train, valid, _ = split(len(images), valid=len(images) * _VALID // _TRAIN, test=0)
    known = "is" if str(arrays["blob"]) == _BLOB else "is NOT"
    return Dataset(
        name="omniglot",
        train=images[train],
        valid=images[valid],
        test=arrays["test"],
        train_labels=labels[train],
        valid_labels=labels[valid],
        test_labels=arrays["test_labels"],
        kind="grey",
        source=(
            f"Omniglot from {FILE}, which by its git blob id {known} the file of Burda et al.: "
            f"{len(valid):,} of its training images, chosen by a fixed permutation, are for "
            "validation, and its test images for testing."
        ),
    )


def _decode(path: Path) -> Arrays:
    """Returns the images and labels of both parts, and the git blob id of the file."""
    from scipy.io import loadmat, whosmat

    try:
        # The headers give sizes and types: they are checked before any value is read.
        known = [entry for entry in whosmat(path) if entry[0] in _VARIABLES]
        check_size(8 * sum(math.prod(shape) for _, shape, _ in known) + path.stat().st_size)
        for name, _, kind in known:
            if kind not in _KINDS:
                raise ValueError(f"{name} has the type {kind}")
        content = path.read_bytes()
        found = loadmat(path, variable_names=_VARIABLES)
        return {
            "train": _images(found["data"]),
            "test": _images(found["testdata"]),
            "train_labels": found["target"].argmax(axis=0).astype(np.int32),
            "test_labels": found["testtarget"].argmax(axis=0).astype(np.int32),
            "blob": np.array(hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()),
        }
    # A truncated or unrelated file can raise almost any exception.
    except Exception as error:
        raise UserError(
            f"{path} does not have the layout of Burda's {FILE} ({error!r}): download it again, "
            "or move it away to use the data set of TFDS."
        ) from error


def _images(columns: np.ndarray) -> np.ndarray:
    """Returns `[N, 28, 28]` uint8 from `[784, N]` values in [0, 1], each image column by column."""
    grey = np.rint(columns.T * 255).astype(np.uint8)
    return np.ascontiguousarray(grey.reshape(-1, 28, 28).swapaxes(1, 2))
