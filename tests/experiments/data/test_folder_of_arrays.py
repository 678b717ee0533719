"""The command on a folder of `.npy` files, whose training examples stay on disk."""

import json

import numpy as np
import pytest

from experiments import run


@pytest.mark.slow
def test_the_command_trains_on_it_and_scores(tmp_path):
    rng = np.random.default_rng(0)
    folder, out = tmp_path / "big", tmp_path / "run"
    folder.mkdir()
    for name, num in (("train-0", 60), ("train-1", 40), ("valid", 20), ("test", 30)):
        np.save(folder / f"{name}.npy", rng.integers(0, 256, (num, 4, 3), dtype=np.uint8))
    np.save(folder / "test_labels.npy", rng.integers(0, 3, 30))
    flags = ["--K", "2", "--latent", "2", "--hidden", "4", "--epochs", "2", "--seeds", "2"]
    flags += ["--starts", "2", "--start-epochs", "2"]
    assert run.main(["--dataset", str(folder), "--out", str(out), "--quiet", *flags]) == 0
    scores = json.loads((out / "metrics.json").read_text())
    assert scores["examples"]["train"] == 100
    assert all(np.isfinite(seed["test_bound"]["mean"]) for seed in scores["seeds"])
