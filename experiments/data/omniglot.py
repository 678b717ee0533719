"""Omniglot: 1,623 characters of 50 alphabets, each drawn by 20 people, as 28 by 28 grey levels.

The paper uses Burda's reduction `chardata.mat`, whose split takes the same characters on both
sides. TFDS has the same drawings, but its test split holds other alphabets: from it we take the
split again by the same rule. `chardata.mat` itself is used where the user has put it.
"""

from pathlib import Path

import numpy as np

from experiments.data import omniglot_mat, omniglot_prepare
from experiments.data.cache import Arrays
from experiments.data.dataset import Dataset, gather, split
from experiments.data.places import Places
from experiments.data.tfds_source import TfdsSource, decode_grey, examples

_SIDE = 105  # of an original drawing
_DRAWINGS = 20  # of each character
_TRAIN_DRAWINGS = 15  # 1,623 · 15 = 24,345, as many as Burda's training images
_VALID = 1_345  # of the 24,345, as in the paper's section 5.2


def load(places: Places) -> Dataset:
    """Returns Omniglot in 23,000, 1,345 and 8,115 examples of shape (28, 28), uint8, ink as 255.

    Labels are the alphabets. With a file `chardata.mat` in `places.manual_dir` that file is
    read instead (`omniglot_mat`).

    Raises:
      UserError: the data set is not prepared and cannot be, or cannot be read.
    """
    if (places.manual_dir / omniglot_mat.FILE).is_file():
        return omniglot_mat.load(places)
    arrays = _SOURCE.load(places)
    to_train = rank_within(arrays["characters"]) < _TRAIN_DRAWINGS
    seen, test = np.flatnonzero(to_train), np.flatnonzero(~to_train)
    train, valid, _ = (seen[part] for part in split(len(seen), valid=_VALID, test=0))
    return Dataset(
        name="omniglot",
        **gather(arrays["images"], arrays["alphabets"], (train, valid, test)),
        likelihood="bernoulli",
        source=(
            "Omniglot 3.0.0 of TFDS, averaged down to 28 by 28: of each character's 20 drawings "
            "the first 15 in the order stored train (1,345 of them validate) and 5 test, a "
            "reproduction of the protocol behind Burda's chardata.mat, which has 8,070 test images "
            "where this has 8,115."
        ),
        class_names=tuple(arrays["alphabet_names"].tolist()),
    )


def rank_within(groups: np.ndarray) -> np.ndarray:
    """Returns for each element how many elements of the same group come before it.

    >>> rank_within(np.array([7, 3, 7, 7, 3])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(groups, kind="stable")
    _, starts, counts = np.unique(groups[order], return_index=True, return_counts=True)
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(starts, counts)
    return ranks


def averaging(large: int, small: int) -> np.ndarray:
    """Returns the `[small, large]` matrix that averages `large` cells down to `small` ones.

    Row i weighs each cell by its overlap with the i-th of `small` equal intervals, so that a
    mean is kept even where the ratio is no whole number.

    >>> (3 * averaging(3, 2)).round().tolist()
    [[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]
    """
    edges = np.arange(small + 1) * (large / small)
    cells = np.arange(large)
    overlap = np.minimum(edges[1:, None], cells + 1) - np.maximum(edges[:-1, None], cells)
    return (np.maximum(overlap, 0) * (small / large)).astype(np.float32)


def _decode(folder: Path) -> Arrays:
    """Returns all drawings at 28 by 28, with their alphabets and characters."""
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
        raise ValueError(f"character {(drawings != _DRAWINGS).argmax()} has not {_DRAWINGS} images")
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
