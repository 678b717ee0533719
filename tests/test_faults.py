"""A short run of `tests.faults`, and a check that it finds damage."""

import json
import shutil

import pytest

from cpvae_jax.storage.run_folder import LOG
from tests import faults


@pytest.fixture(scope="module")
def survived(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults")
    flags = [
        "--dataset",
        "digits",
        "--recipe",
        "paper",
        "--K",
        "2",
        "--latent",
        "2",
        "--hidden",
        "8",
        "--seeds",
        "2",
    ]
    return folder, faults.survive(folder, flags, kills=3, seed=1)


def test_a_killed_training_ends_like_an_undisturbed_one(survived):
    folder, found = survived
    assert found["differences"] == []
    assert found["epochs"] > 3
    assert set(found["moments"]) == {"anywhere", "between epochs", "in a checkpoint"}
    assert found["found"]["checkpoint half written"] >= 1
    assert not faults.unfinished(folder / "disturbed")


def test_a_difference_of_one_bit_or_one_epoch_is_found(survived, tmp_path):
    folder, _ = survived
    other = tmp_path / "other"
    shutil.copytree(folder / "disturbed", other)
    step = max((other / "checkpoints").iterdir(), key=lambda path: int(path.name))
    array = next((step / "state" / "params.weights.decoder.output.bias").glob("[0-9]*"))
    content = bytearray(array.read_bytes())
    content[0] ^= 1
    array.write_bytes(content)
    lines = (other / LOG).read_text().splitlines()
    (other / LOG).write_text("\n".join([*lines[:2], *lines[1:]]) + "\n")
    differences = faults.compare(other, folder / "straight")
    assert differences[0] == "the logs of epochs differ"
    assert any("decoder.output.bias" in text for text in differences)
    assert any("the log has the epochs [1, 2, 2" in text for text in faults.broken(other))
    assert any("has other contents" in text for text in faults.broken(other))
    assert json.loads(lines[0])["epoch"] == 1
