"""Fashion-MNIST: articles of clothing, 28 by 28 grey levels (Xiao, Rasul and Vollgraf, 2017; MIT)."""

from cpvae_jax.data.dataset import Dataset
from cpvae_jax.data.places import Places
from experiments.data import idx

CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
"""The names of the labels, as TFDS has them."""

CONTENTS = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""SHA-256 of what the original files hold: Debian's package dataset-fashion-mnist compresses them anew."""


def load(places: Places) -> Dataset:
    """Returns Fashion-MNIST in 50,000, 10,000 and 10,000 examples of shape (28, 28), uint8.

    Args:
      places: Its `data_dir` holds the prepared data set, or will; `manual_dir` may hold the four
        original files.

    Raises:
      UserError: The data set is missing and cannot be prepared, or cannot be read.
    """
    return idx.load(_SOURCE, places, title="Fashion-MNIST", class_names=CLASSES)


_SOURCE = idx.source(
    "fashion_mnist",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "FashionMNIST",
    CONTENTS,
)
