"""A folder of `.npy` files."""

import numpy as np
import pytest

from cpvae_jax.data import Rows, load
from cpvae_jax.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """Two training files, one of validation and one of test examples, with labels."""
    rng = np.random.default_rng(0)
    path = tmp_path / "big"
    path.mkdir()
    for name, num in (("train-0", 60), ("train-1", 40), ("valid", 20), ("test", 30)):
        np.save(path / f"{name}.npy", rng.integers(0, 256, (num, 4, 3), dtype=np.uint8))
    np.save(path / "test_labels.npy", rng.integers(0, 3, 30))
    np.save(path / "train_labels.npy", rng.integers(0, 3, 100))
    return path


def test_the_training_part_stays_on_disk(folder):
    data = load(folder)
    assert isinstance(data.train, Rows)
    assert all(isinstance(part, np.memmap) for part in data.train.parts)
    assert data.train.shape == (100, 4, 3)
    assert data.shape == (4, 3)
    assert data.kind == "grey"
    assert data.test_labels.shape == (30,)
    assert data.valid_labels is None


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("valid", None, r"valid\.npy does not exist"),
        ("test", np.zeros((3, 4, 3)), "uint8 or float32"),
        ("train-1", np.zeros((3, 4), np.uint8), "one shape and dtype"),
        ("train-0", np.zeros(3, np.uint8), r"shape \(3,\): store uint8"),
        ("test", b"\x93NUMPY nonsense", "write it with numpy.save"),
    ],
)
def test_unusable_files_are_named(folder, name, array, words):
    file = folder / f"{name}.npy"
    file.unlink()
    if isinstance(array, bytes):
        file.write_bytes(array)
    elif array is not None:
        np.save(file, array)
    with pytest.raises(UserError, match=words):
        load(folder)
