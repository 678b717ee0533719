"""Omniglot: 1,623 characters of 50 alphabets, each drawn by 20 people, as 28 by 28 grey levels.

The paper uses `chardata.mat` by Burda et al., whose training and test parts have the same
characters. TFDS has the same drawings, but its test split has other alphabets, so this module
splits all drawings again by Burda's rule. If the user has `chardata.mat`, it is read instead.
"""

import os
from pathlib import Path

import numpy as np

from cpvae_jax.data.cache import Arrays
from cpvae_jax.data.dataset import Dataset, gather, split
from cpvae_jax.data.places import Places
from experiments.data import omniglot_mat, omniglot_prepare
from experiments.data.tfds_source import TfdsSource, decode_grey, examples

_SIDE = 105  # pixels of an original drawing
_DRAWINGS = 20  # per character
_TRAIN_DRAWINGS = 15  # 1,623 · 15 = 24,345, the number of Burda's training images
_VALID = 1_345  # of the 24,345, as in the paper's section 5.2


def load(places: Places) -> Dataset:
    """Returns Omniglot in 23,000, 1,345 and 8,115 examples of shape (28, 28), uint8, ink as 255.

    The labels are the alphabets. If `places.manual_dir` holds a file `chardata.mat`, it is read
    instead (`omniglot_mat`).

    Args:
      places: Its `data_dir` holds the prepared data set, or will.

    Raises:
      UserError: The data set is missing and cannot be prepared, or cannot be read.
    """
    if os.path.isfile(places.manual_dir / omniglot_mat.FILE):
        return omniglot_mat.load(places)
    arrays = _SOURCE.load(places)
    to_train = rank_within(arrays["characters"]) < _TRAIN_DRAWINGS
    seen, test = np.flatnonzero(to_train), np.flatnonzero(~to_train)
    train, valid, _ = (seen[part] for part in split(len(seen), valid=_VALID, test=0))
    return Dataset(
        name="omniglot",
        **gather(arrays["images"], arrays["alphabets"], (train, valid, test)),
        kind="grey",
        source=(
            "Omniglot 3.0.0 of TFDS, averaged down to 28 by 28: of each character's 20 drawings, "
            "the first 15 in stored order are for training (1,345 of these images for validation) "
            "and 5 for testing; this follows the protocol of Burda's chardata.mat, which has 8,070 "
            "test images instead of 8,115."
        ),
        class_names=tuple(arrays["alphabet_names"].tolist()),
    )


def rank_within(groups: np.ndarray) -> np.ndarray:
    """Returns for each element the number of earlier elements of the same group.

    >>> rank_within(np.array([7, 3, 7, 7, 3])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(groups, kind="stable")
    _, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(starts, counts)
    return ranks


def averaging(large: int, small: int) -> np.ndarray:
    """Returns the `[small, large]` matrix that averages `large` cells down to `small` cells.

    Row i weights each cell by its overlap with the i-th of `small` equal intervals. This keeps
    the mean, even if the ratio is not a whole number.

    >>> (3 * averaging(3, 2)).round().tolist()
    [[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]
    """
    edges = np.arange(small + 1) * (large / small)
    cells = np.arange(large)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return (np.maximum(overlap, 0) * (small / large)).astype(np.float32)


def _decode(folder: Path) -> Arrays:
    """Returns all drawings at 28 by 28 pixels, with their alphabets and characters."""
    average = averaging(_SIDE, 28)
    images, alphabets, characters = [], [], []
    for part in omniglot_prepare.FILES:
        for example in examples(folder, part):
            ink = 255 - decode_grey(example["image"]).astype(np.float32)  # ink is dark
            images.append(np.rint(average @ ink @ average.T).astype(np.uint8))
            alphabets.append(example["alphabet"])
            characters.append(example["label"])
    drawings = np.bincount(characters)
    if not (drawings == _DRAWINGS).all():
        character = int((drawings != _DRAWINGS).argmax())
        raise ValueError(
            f"character {character} has {drawings[character]} images instead of {_DRAWINGS}"
        )
    return {
        "images": np.stack(images),
        "alphabets": np.array(alphabets, np.int32),
        "characters": np.array(characters, np.int32),
        "alphabet_names": np.array((folder / "alphabet.labels.txt").read_text().split()),
    }


_SOURCE = TfdsSource(
    name="omniglot",
    version=omniglot_prepare.VERSION,
    urls=tuple(omniglot_prepare.URL + file for file in omniglot_prepare.FILES.values()),
    builder=omniglot_prepare.builder,
    decode=_decode,
)
