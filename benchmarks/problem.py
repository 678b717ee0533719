"""What every program of the benchmark is given: a case, the images, and the paper's sizes.

Nothing here needs JAX or PyTorch, for all processes read it.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

MODELS = ("cp", "vae", "vp", "hvp")  # those that have a PyTorch program
LATENT = 40  # the paper's dimension D of z
HIDDEN = 300  # units of each of the two gated layers of encoder and decoder
LEARNING_RATE = 5e-4  # the paper's, for Adam
TAU = 0.5  # temperature of the relaxed category; any value costs the same time
BETA = 1.0  # weight of the KL; a warm-up costs the same time
IMAGES = 50_000  # MNIST's training images once 10,000 are kept for validation
INK = 0.19  # share of MNIST's pixels that are not blank
SHAPE = (28, 28)
X = 28 * 28  # pixels


class UnavailableError(RuntimeError):
    """This program cannot run on this machine; the others can. The message says why."""


@dataclass(frozen=True)
class Case:
    """A model, its sizes, and how many images a step takes."""

    model: str
    K: int
    batch: int
    latent: int = LATENT
    hidden: int = HIDDEN

    def __str__(self) -> str:
        return f"{self.model}, K={self.K}, batch {self.batch}"


def cases(models: Iterable[str], Ks: Iterable[int], batches: Iterable[int]) -> list[Case]:
    """Every combination once; a VAE has no categories, hence K = 1."""
    found = (
        Case(model, 1 if model == "vae" else K, batch)
        for model, K, batch in product(models, Ks, batches)
    )
    return list(dict.fromkeys(found))


def load_images(data: str, data_dir: str | None, count: int = IMAGES) -> np.ndarray:
    """Grey images `[N, 28, 28]`, uint8: MNIST's, or `count` of noise with as much ink."""
    if data == "mnist":
        from experiments.data import load  # not needed, so not imported, for noise

        return np.asarray(load("mnist", data_dir=data_dir).train)
    rng = np.random.default_rng(0)
    grey = rng.integers(1, 256, (count, *SHAPE), dtype=np.uint8)
    for part in np.array_split(grey, -(-count // IMAGES)):  # floats of all would be large
        part[rng.random(part.shape, dtype=np.float32) >= INK] = 0
    return grey


@contextmanager
def image_file(images: np.ndarray) -> Iterator[Path]:
    """A file that `numpy.load` reads: a pipe would hold the images twice, which memory shows."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        np.save(path, images)
        yield path
