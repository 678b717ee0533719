"""What every program of a benchmark is given: a case, and random images of MNIST's shape.

No JAX and no PyTorch here, because every process imports this module.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LEARNING_RATE = 5e-4
"""The paper's step size for Adam."""
TAU = 0.5
"""Temperature of the relaxed category; every value costs the same time."""
INK = 0.19
"""Share of MNIST's pixels that are not blank."""
SHAPE = (28, 28)


@dataclass(frozen=True)
class Case:
    """A model, its batch size and its sizes, by default the paper's."""

    model: str
    K: int
    batch: int
    latent: int = 40
    hidden: int = 300

    def __str__(self) -> str:
        return f"{self.model}, K={self.K}, batch {self.batch}"


@contextmanager
def image_file(count: int) -> Iterator[Path]:
    """A temporary `.npy` file of random grey images, uint8 [count, 28, 28], with MNIST's ink."""
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (count, *SHAPE), dtype=np.uint8)
    images[rng.random(images.shape, dtype=np.float32) >= INK] = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        np.save(path, images)
        yield path
