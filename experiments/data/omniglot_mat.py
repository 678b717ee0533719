"""Omniglot as the file `chardata.mat` of Burda et al. (2016), when the user has it."""

import hashlib
import math
from pathlib import Path

import numpy as np

from cpvae_jax.errors import UserError
from experiments.data.archive import check_size
from experiments.data.cache import Arrays, cached
from experiments.data.dataset import Dataset, split
from experiments.data.places import Places

FILE = "chardata.mat"

# Under this id git stores the file in Burda's repository, github.com/yburda/iwae.
_BLOB = "016a3536ffe5e1d38e42563a18d7a78bfaf643ec"
_VARIABLES = ("data", "testdata", "target", "testtarget")
_KINDS = ("double", "single", "int8", "uint8", "int16", "uint16", "int32", "uint32", "logical")
_TRAIN, _VALID = 24_345, 1_345  # its training images, and how many of them validate


def load(places: Places) -> Dataset:
    """Returns Omniglot in 23,000, 1,345 and 8,070 examples of shape (28, 28), uint8, ink as 255.

    Labels are the alphabets, without names. A file of another length is taken too, and
    validates with the same share.

    Raises:
      UserError: the file cannot be read, or is laid out in another way.
    """
    path = places.manual_dir / FILE
    arrays = cached(places.cache_dir, "chardata", places.manual_dir, [path], lambda: _decode(path))
    images, labels = arrays["train"], arrays["train_labels"]
    train, valid, _ = split(len(images), valid=len(images) * _VALID // _TRAIN, test=0)
    identity = "the known file of" if str(arrays["blob"]) == _BLOB else "NOT the known file of"
    return Dataset(
        name="omniglot",
        train=images[train],
        valid=images[valid],
        test=arrays["test"],
        train_labels=labels[train],
        valid_labels=labels[valid],
        test_labels=arrays["test_labels"],
        likelihood="bernoulli",
        source=(
            f"Omniglot from {FILE}, by its git blob id {identity} Burda et al.: its own test "
            f"images test, and {len(valid):,} of its training images, by a fixed permutation, "
            "validate."
        ),
    )


def _decode(path: Path) -> Arrays:
    """Returns images and labels of both parts, and the id under which git stores the file."""
    from scipy.io import loadmat, whosmat

    try:
        # Sizes and types stand before the values: they are looked at first.
        known = [entry for entry in whosmat(path) if entry[0] in _VARIABLES]
        check_size(8 * sum(math.prod(shape) for _, shape, _ in known) + path.stat().st_size)
        for name, _, kind in known:
            if kind not in _KINDS:
                raise ValueError(f"{name} is of the type {kind}")
        content = path.read_bytes()
        found = loadmat(path, variable_names=_VARIABLES)
        return {
            "train": _images(found["data"]),
            "test": _images(found["testdata"]),
            "train_labels": found["target"].argmax(axis=0).astype(np.int32),
            "test_labels": found["testtarget"].argmax(axis=0).astype(np.int32),
            "blob": np.array(hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()),
        }
    # What a truncated or foreign file raises depends on the byte where it breaks.
    except Exception as error:
        raise UserError(
            f"{path} is not laid out as Burda's {FILE} ({error!r}): fetch it again, or move it "
            "away to use the data set of TFDS."
        ) from error


def _images(columns: np.ndarray) -> np.ndarray:
    """Returns `[N, 28, 28]` uint8 from `[784, N]` values in [0, 1], each image column by column."""
    grey = np.rint(columns.T * 255).astype(np.uint8)
    return np.ascontiguousarray(grey.reshape(-1, 28, 28).swapaxes(1, 2))
