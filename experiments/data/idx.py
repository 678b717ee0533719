"""Sets of images in the format of the original MNIST, read through TFDS.

Four gzipped IDX files hold 60,000 training and 10,000 test images of 28 by 28 grey levels, and their
labels.
"""

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cpvae_jax.data.cache import Arrays
from cpvae_jax.data.dataset import Dataset
from cpvae_jax.data.places import Places
from experiments.data.tfds_source import TfdsSource, decode_grey, encode_grey, examples

# The files of images and labels of each split, under the names that TFDS knows.
FILES = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
SIZES = {"train": 60_000, "test": 10_000}
TRAIN = 50_000  # of the 60,000; the rest validates, as in the paper's section 5.2
_VERSION = "3.0.1"


def source(
    name: str, url: str, builder: str, contents: Mapping[str, str] | None = None
) -> TfdsSource:
    """Returns the source of a data set in TFDS.

    Args:
      name: Its name in TFDS.
      url: The folder of the original files.
      builder: The name of its class in `tfds.image_classification`.
      contents: SHA-256 of the content of original files, by name, for files that are also distributed
        compressed anew, with another checksum than TFDS knows.
    """
    return TfdsSource(
        name=name,
        version=_VERSION,
        urls=tuple(url + file for files in FILES.values() for file in files),
        builder=lambda manual_dir: _builder(name, url, builder, contents or {}, manual_dir),
        decode=_decode,
    )


def load(of: TfdsSource, places: Places, *, title: str, class_names: tuple[str, ...]) -> Dataset:
    """Returns a data set in 50,000, 10,000 and 10,000 examples of shape (28, 28), uint8 grey levels.

    Training binarises them afresh in each epoch.

    Args:
      of: Its source.
      places: Its `data_dir` holds the prepared data set, or will.
      title: What messages call it.
      class_names: The name of each label.

    Raises:
      UserError: The data set is missing and cannot be prepared, or cannot be read.
    """
    arrays = of.load(places)
    images, labels = arrays["train"], arrays["train_labels"]
    return Dataset(
        name=of.name,
        train=images[:TRAIN],
        valid=images[TRAIN:],
        test=arrays["test"],
        train_labels=labels[:TRAIN],
        valid_labels=labels[TRAIN:],
        test_labels=arrays["test_labels"],
        kind="grey",
        source=(
            f"{title} {of.version} of TFDS: the first 50,000 images of its training split, in stored "
            "order, are for training, the last 10,000 for validation, and its test split for testing."
        ),
        class_names=class_names,
    )


def read(path: Path) -> np.ndarray:
    """Returns the uint8 array in a gzipped IDX file.

    An IDX file has two zero bytes, the type (8 for uint8), the number of axes, the length of each
    axis as a big-endian 32-bit integer, and then the values.
    """
    content = gzip.decompress(Path(path).read_bytes())
    lengths = np.frombuffer(content, ">u4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(lengths)


def _decode(folder: Path) -> Arrays:
    """Returns the images and labels of both splits."""
    arrays: Arrays = {}
    for split, size in SIZES.items():
        found = [(decode_grey(e["image"]), e["label"]) for e in examples(folder, split)]
        if len(found) != size:
            raise ValueError(f"{len(found)} examples instead of {size} in its {split} split")
        arrays[split] = np.stack([image for image, _ in found])
        arrays[f"{split}_labels"] = np.array([label for _, label in found], np.int32)
    return arrays


def _builder(of: str, url: str, base: str, contents: Mapping[str, str], manual_dir: Path) -> type:
    """Returns the TFDS builder of a data set, with the steps that need TensorFlow replaced."""
    import tensorflow_datasets as tfds

    parent: type = getattr(tfds.image_classification, base)

    # `skip_registration` is a keyword of TFDS; it keeps its own builder registered.
    class Builder(parent, skip_registration=True):  # type: ignore[call-arg]
        name = of
        VERSION = tfds.core.Version(_VERSION)

        def _split_generators(self, dl_manager):
            names = sum(FILES.values(), ())
            paths = {
                file: manual_dir / file
                for file in names
                if file in contents and _content(manual_dir / file) == contents[file]
            }
            missing = {file: url + file for file in names if file not in paths}
            paths |= dl_manager.download(missing)  # TFDS checks the checksums of these
            return {
                split: self._generate_examples(paths[images], paths[labels])
                for split, (images, labels) in FILES.items()
            }

        def _generate_examples(self, images, labels):
            # TFDS sorts by a hash of the key, so the key must be that of its own builder.
            for index, (image, label) in enumerate(zip(read(images), read(labels), strict=True)):
                yield index, {"image": encode_grey(image), "label": int(label)}

    return Builder


def _content(path: Path) -> str:
    """Returns the SHA-256 of what a gzipped file holds; "" if there is none that can be read."""
    try:
        return hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()
    except (OSError, EOFError, zlib.error):
        return ""
