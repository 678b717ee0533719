"""The handwritten digits of UCI, 8 by 8 grey levels, which the package carries: no download.

"Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, 1998, the test set, CC BY 4.0
(doi:10.24432/C50P49). `digits.npz` holds what `sklearn.datasets.load_digits` returns: importing
scikit-learn takes longer than all else before the first step but JAX and its compiler.
"""

from pathlib import Path

import numpy as np

from experiments.data.dataset import Dataset, gather, split
from experiments.data.places import Places

DIGITS = Path(__file__).with_name("digits.npz")


def load(places: Places | None = None) -> Dataset:
    """Returns the digits in 1,297, 250 and 250 examples of shape (8, 8), float32 in [0, 1].

    Drawn black or white, 64 pixels say too little of a digit to tell the ten apart: a Gaussian
    of the grey levels suits them better. An epoch has 12 steps, which the paper's learning rate
    takes through too little way before early stopping.

    `places` is not used: it makes the signature that of the other sources.
    """
    with np.load(DIGITS) as found:
        images = (found["images"] / 16).astype(np.float32)  # stored as 0..16
        labels = found["labels"].astype(np.int32)
    return Dataset(
        name="digits",
        **gather(images, labels, split(len(images), valid=250, test=250)),
        likelihood="gaussian",
        source="The handwritten digits of UCI, split by a fixed permutation.",
        class_names=tuple("0123456789"),
        training={"learning_rate": 2e-3},
    )
