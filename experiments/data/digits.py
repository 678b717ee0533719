"""The handwritten digits of UCI, 8 by 8 grey levels, included here: nothing is downloaded.

"Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, 1998, the test set, CC BY 4.0
(doi:10.24432/C50P49). `digits.npz` holds what `sklearn.datasets.load_digits` returns, because
importing scikit-learn would take longer than anything else before the first step, except JAX and
its compiler.
"""

from pathlib import Path

import numpy as np

from cpvae_jax.data.dataset import Dataset, gather, split
from cpvae_jax.data.places import Places

DIGITS = Path(__file__).with_name("digits.npz")


def load(places: Places | None = None) -> Dataset:
    """Returns the digits in 1,297, 250 and 250 examples of shape (8, 8), float32 in [0, 1].

    Their kind is "real": 64 black and white pixels hold too little of a digit to tell the ten
    apart, and a Gaussian likelihood of the grey levels works better. An epoch has only 12 steps,
    too few for the paper's learning rate to make progress before early stopping, so the default
    is higher.

    Args:
      places: Not used; all loaders take it.
    """
    with np.load(DIGITS) as found:
        images = (found["images"] / 16).astype(np.float32)  # stored as 0..16
        labels = found["labels"].astype(np.int32)
    return Dataset(
        name="digits",
        **gather(images, labels, split(len(images), valid=250, test=250)),
        kind="real",
        source=(
            "The handwritten digits of UCI, split by a fixed permutation. They are ink, but taken "
            "for real numbers: 64 black and white pixels would hold too little of a digit."
        ),
        class_names=tuple("0123456789"),
        training={"learning_rate": 2e-3},
    )
