"""A folder of `.npy` files, by the function and by the command."""

import json

import numpy as np
import pytest

from cpvae_jax import UserError
from cpvae_jax.rows import Rows
from experiments import run
from experiments.data import load


@pytest.fixture
def folder(tmp_path):
    """Two files to train on, one to validate and one to test, with labels."""
    rng = np.random.default_rng(0)
    path = tmp_path / "big"
    path.mkdir()
    for name, num in (("train-0", 60), ("train-1", 40), ("valid", 20), ("test", 30)):
        np.save(path / f"{name}.npy", rng.integers(0, 256, (num, 4, 3), dtype=np.uint8))
    np.save(path / "test_labels.npy", rng.integers(0, 3, 30))
    np.save(path / "train_labels.npy", rng.integers(0, 3, 100))
    return path


def test_the_training_part_stays_on_the_disk(folder):
    data = load(folder)
    assert isinstance(data.train, Rows)
    assert all(isinstance(part, np.memmap) for part in data.train.parts)
    assert data.train.shape == (100, 4, 3)
    assert data.shape == (4, 3)
    assert data.likelihood == "bernoulli"
    assert data.test_labels.shape == (30,)
    assert data.valid_labels is None


def test_the_command_trains_on_it_and_scores(folder, tmp_path):
    out = tmp_path / "run"
    flags = ["--K", "2", "--latent", "2", "--hidden", "4", "--epochs", "2", "--seeds", "2"]
    assert run.main(["--dataset", str(folder), "--out", str(out), "--quiet", *flags]) == 0
    scores = json.loads((out / "metrics.json").read_text())
    assert scores["examples"]["train"] == 100
    assert all(np.isfinite(seed["test_bound"]["mean"]) for seed in scores["seeds"])


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("valid", None, "There is no file"),
        ("test", np.zeros((3, 4, 3)), "uint8 or float32"),
        ("train-1", np.zeros((3, 4), np.uint8), "one shape and type"),
        ("train-0", np.zeros(3, np.uint8), "an axis of examples"),
        ("test", b"\x93NUMPY nonsense", "write it with numpy.save"),
    ],
)
def test_files_that_do_not_serve_are_told(folder, name, array, words):
    file = folder / f"{name}.npy"
    file.unlink()
    if isinstance(array, bytes):
        file.write_bytes(array)
    elif array is not None:
        np.save(file, array)
    with pytest.raises(UserError, match=words):
        load(folder)
