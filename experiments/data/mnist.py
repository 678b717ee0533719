"""MNIST: handwritten digits, 28 by 28 grey levels."""

from cpvae_jax.data.dataset import Dataset
from cpvae_jax.data.places import Places
from experiments.data import idx


def load(places: Places) -> Dataset:
    """Returns MNIST in 50,000, 10,000 and 10,000 examples of shape (28, 28), uint8 grey levels.

    Args:
      places: Its `data_dir` holds the prepared data set, or will.

    Raises:
      UserError: The data set is missing and cannot be prepared, or cannot be read.
    """
    return idx.load(_SOURCE, places, title="MNIST", class_names=tuple("0123456789"))


_SOURCE = idx.source("mnist", "https://storage.googleapis.com/cvdf-datasets/mnist/", "MNIST")
