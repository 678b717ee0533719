"""The command `sample`, on a run of the stripes."""

import json
import os
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import cpvae_jax
from cpvae_jax.commands import sample
from cpvae_jax.keys import purpose
from cpvae_jax.report import drawing
from cpvae_jax.storage.run_folder import SCORES
from tests.running import message

KEY = purpose(jax.random.key(0), "samples")
"""The key of the command's samples with --seed 0."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a model of 6 x 6 images in grey levels, with the scores of a run."""
    grey = np.uint8(229 * np.random.default_rng(0).random((50, 6, 6)))
    config = cpvae_jax.Config(shape=(6, 6), K=3, latent=2, hidden=(8,))
    path = tmp_path_factory.mktemp("runs") / "finished"
    cpvae_jax.save(path / "checkpoints", cpvae_jax.initialise(jax.random.key(0), config, grey))
    (path / SCORES).write_text(json.dumps({"value_range": [0, 1]}))
    return path


def test_samples_of_one_category(finished, tmp_path, capsys):
    assert (
        sample.main([str(finished), "--category", "2", "--num", "7", "--out", f"{tmp_path}/a.npz"])
        == 0
    )
    with np.load(tmp_path / "a.npz") as file:
        x = file["x"]
    params = cpvae_jax.load(finished)
    expected = cpvae_jax.sample(params, KEY, category=2, num=7)
    np.testing.assert_array_equal(x, expected)
    assert sample.main([str(finished), "--num", "9", "--out", f"{tmp_path}/b.png"]) == 0
    with Image.open(tmp_path / "b.png") as picture:
        assert min(picture.size) > 100
    assert "wrote 9 samples" in capsys.readouterr().out


def test_white_is_the_same_in_pictures_of_few_and_of_many(tmp_path, monkeypatch):
    """White is that of the data, from the scores of a run, and not the brightest pixel drawn."""
    grey = 40 * np.random.default_rng(0).random((50, 6, 6))
    config = cpvae_jax.Config(shape=(6, 6), K=3, latent=2, hidden=(8,), likelihood="gaussian")
    params = cpvae_jax.initialise(jax.random.key(0), config, grey)
    cpvae_jax.save(tmp_path / "run" / "checkpoints", params)
    (tmp_path / "run" / SCORES).write_text('{"value_range": [0, 255]}')
    shown, out = [], str(tmp_path / "picture.png")
    monkeypatch.setattr(drawing, "show_tiled", lambda axes, image: shown.append(image))
    for num in (1, 9):
        shown.clear()
        assert (
            sample.main([f"{tmp_path}/run", "--num", str(num), "--category", "1", "--out", out])
            == 0
        )
        x = cpvae_jax.sample(params, KEY, category=1, num=num)
        np.testing.assert_allclose(shown[0][1:7, 1:7], x[0] / 255, atol=1e-5)


def test_folders_that_hold_no_whole_model(finished, tmp_path, capsys):
    out = f"{tmp_path}/x.png"
    assert sample.main([f"{tmp_path}/missing", "--out", out]) == 2
    assert "is not a folder" in message(capsys)
    (tmp_path / "foreign").mkdir()
    assert sample.main([f"{tmp_path}/foreign", "--out", out]) == 2
    assert "holds no saved model" in message(capsys)
    assert not list((tmp_path / "foreign").iterdir())
    cut = tmp_path / "cut"
    shutil.copytree(finished, cut)
    for path in (cut / "checkpoints").glob("*/params/*/[0-9]*"):
        os.truncate(path, path.stat().st_size // 2)
    assert sample.main([str(cut), "--out", out]) == 2
    assert "is damaged" in message(capsys)
    assert sample.main([str(finished), "--category", "3", "--out", out]) == 2
    assert "3 categories, 0 to 2" in message(capsys)
    assert sample.main([str(finished), "--out", f"{tmp_path}/x.gif"]) == 2
    assert "must end in" in message(capsys)
    assert not Path(out).exists()
