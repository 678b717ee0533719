"""What every program of the benchmark is given: the images and the paper's sizes."""

import numpy as np

LATENT = 40  # the paper's dimension D of z
HIDDEN = 300  # units of each of the two gated layers of encoder and decoder
LEARNING_RATE = 5e-4  # the paper's, for Adam
TAU = 0.5  # temperature of the relaxed category; any value costs the same time
BETA = 1.0  # weight of the KL; a warm-up costs the same time
IMAGES = 50_000  # MNIST's training images once 10,000 are kept for validation
INK = 0.19  # share of MNIST's pixels that are not blank


class UnavailableError(RuntimeError):
    """This program cannot run on this machine; the others can. The message says why."""


def load_images(data: str, data_dir: str | None) -> np.ndarray:
    """Grey images `[N, 28, 28]`, uint8: MNIST's, or noise with as much ink as MNIST."""
    if data == "mnist":
        from experiments.data import load  # not needed, so not imported, for noise

        return load("mnist", data_dir=data_dir).train
    rng = np.random.default_rng(0)
    shape = (IMAGES, 28, 28)
    grey = rng.integers(1, 256, shape, dtype=np.uint8)
    return np.where(rng.random(shape, dtype=np.float32) < INK, grey, np.uint8(0))
