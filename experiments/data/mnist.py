"""MNIST: handwritten digits, 28 by 28 grey levels."""

import gzip
from pathlib import Path

import numpy as np

from cpvae_jax.data.cache import Arrays
from cpvae_jax.data.dataset import Dataset
from cpvae_jax.data.places import Places
from experiments.data.tfds_source import TfdsSource, decode_grey, encode_grey, examples

_VERSION = "3.0.1"
_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
# The files of images and labels of each split, under the names that TFDS knows.
_FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
_SIZES = {"train": 60_000, "test": 10_000}
_TRAIN = 50_000  # of the 60,000; the rest validates, as in the paper's section 5.2


def load(places: Places) -> Dataset:
    """Returns MNIST in 50,000, 10,000 and 10,000 examples of shape (28, 28), uint8 grey levels.

    Training binarises them afresh in each epoch.

    Args:
      places: Its `data_dir` holds the prepared data set, or will.

    Raises:
      UserError: The data set is missing and cannot be prepared, or cannot be read.
    """
    arrays = _SOURCE.load(places)
    images, labels = arrays["train"], arrays["train_labels"]
    return Dataset(
        name="mnist",
        train=images[:_TRAIN],
        valid=images[_TRAIN:],
        test=arrays["test"],
        train_labels=labels[:_TRAIN],
        valid_labels=labels[_TRAIN:],
        test_labels=arrays["test_labels"],
        kind="grey",
        source=(
            "MNIST 3.0.1 of TFDS: the first 50,000 images of its training split, in stored order, "
            "are for training, the last 10,000 for validation, and its test split for testing."
        ),
        class_names=tuple("0123456789"),
    )


def _decode(folder: Path) -> Arrays:
    """Returns the images and labels of both splits."""
    arrays: Arrays = {}
    for split, size in _SIZES.items():
        read = [(decode_grey(e["image"]), e["label"]) for e in examples(folder, split)]
        if len(read) != size:
            raise ValueError(f"{len(read)} examples instead of {size} in its {split} split")
        arrays[split] = np.stack([image for image, _ in read])
        arrays[f"{split}_labels"] = np.array([label for _, label in read], np.int32)
    return arrays


def _builder() -> type:
    """Returns the TFDS builder of MNIST, with the steps that need TensorFlow replaced."""
    import tensorflow_datasets as tfds

    # `skip_registration` is a keyword of TFDS; it keeps its own MNIST registered.
    class MNIST(tfds.image_classification.MNIST, skip_registration=True):  # type: ignore[call-arg]
        VERSION = tfds.core.Version(_VERSION)

        def _split_generators(self, dl_manager):
            paths = dl_manager.download({file: _URL + file for file in sum(_FILES.values(), ())})
            return {
                split: self._generate_examples(paths[images], paths[labels])
                for split, (images, labels) in _FILES.items()
            }

        def _generate_examples(self, images, labels):
            # TFDS sorts by a hash of the key, so the key must be that of its own builder.
            for index, (image, label) in enumerate(
                zip(_read_idx(images), _read_idx(labels), strict=True)
            ):
                yield index, {"image": encode_grey(image), "label": int(label)}

    return MNIST


def _read_idx(path: Path) -> np.ndarray:
    """Returns the uint8 array in a gzipped IDX file, the format of the original MNIST.

    An IDX file has two zero bytes, the type (8 for uint8), the number of axes, the length of each
    axis as a big-endian 32-bit integer, and then the values.
    """
    content = gzip.decompress(Path(path).read_bytes())
    lengths = np.frombuffer(content, ">u4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(lengths)


_SOURCE = TfdsSource(
    name="mnist",
    version=_VERSION,
    urls=tuple(_URL + file for files in _FILES.values() for file in files),
    builder=_builder,
    decode=_decode,
)
