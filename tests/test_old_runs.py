"""Runs of earlier versions: what they left loads for ever, and goes on where the format is ours.

A fixture is the folder of `python -m experiments.run --K 3 --latent 2 --hidden 8 --epochs 2
--seeds 2 --checkpoint-every 1000` without its pictures, and what that version made of its model.
"""

import json
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from experiments import folder, run
from experiments.data import load

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("run-format*.zip"))


@pytest.fixture(params=FIXTURES, ids=lambda path: path.stem)
def old(request, tmp_path):
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(tmp_path / "old")
    return tmp_path / "old"


def test_there_is_a_run_of_the_present_format():
    assert f"run-format{folder.FORMAT}" in [path.stem for path in FIXTURES]


def test_the_model_of_an_old_run_gives_its_old_answers(old):
    expected = json.loads((old / "expected.json").read_text())
    params = cpvae_jax.load(old)
    posterior = cpvae_jax.encode(params, load("digits").test[:5])
    decoded = cpvae_jax.decode(params, jnp.zeros((3, 2)), jnp.arange(3))[:, :2, :4]
    found = {"logits": posterior.logits, "mean": posterior.mean, "decoded": decoded}
    found["aggregate"] = params.aggregate
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_an_old_run_of_the_present_format_goes_on(old, capsys):
    settings = json.loads((old / folder.CONFIG).read_text())
    flags = ["--K", "3", "--latent", "2", "--hidden", "8", "--seeds", "2", "--quiet"]
    code = run.main([*flags, "--out", str(old), "--epochs", "3", "--resume"])
    if settings["format"] == folder.FORMAT:
        assert code == 0
        lines = (old / folder.LOG).read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    else:
        assert code == 2
        assert "of another version of this program" in capsys.readouterr().err
