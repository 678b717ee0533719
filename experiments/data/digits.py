"""The handwritten digits that scikit-learn carries: 8 by 8 grey levels, no download."""

import numpy as np

from experiments.data.dataset import Dataset, gather, split
from experiments.data.places import Places


def load(places: Places | None = None) -> Dataset:
    """Returns the digits in 1,297, 250 and 250 examples of shape (8, 8), float32 in [0, 1].

    Drawn black or white, 64 pixels say too little of a digit to tell the ten apart: a Gaussian
    of the grey levels suits them better. An epoch has 12 steps, which the paper's learning rate
    takes through too little way before early stopping.

    `places` is not used: it makes the signature that of the other sources.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    images = (found.images / 16).astype(np.float32)  # stored as 0..16
    labels = found.target.astype(np.int32)
    return Dataset(
        name="digits",
        **gather(images, labels, split(len(images), valid=250, test=250)),
        likelihood="gaussian",
        source="The digits of scikit-learn (UCI), split by a fixed permutation.",
        class_names=tuple("0123456789"),
        training={"learning_rate": 2e-3},
    )
