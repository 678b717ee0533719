"""Runs of earlier versions: their models load for ever, and runs of the present format continue.

`run-formatN.zip` is the folder of `python -m experiments.run --K 3 --latent 2 --hidden 8 --epochs 2
--seeds 2 --checkpoint-every 1000` without its pictures, and what that version computed with its
model. `models-format1.tar.xz` has the models of such runs with `--model`, and one of grey levels,
without the state of training.
"""

import json
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Training
from cpvae_jax.storage import run_folder
from experiments import run
from experiments.data import load
from tests import old_models

FOLDER = Path(__file__).parents[1] / "fixtures"
FIXTURES = sorted(FOLDER.glob("run-format*.zip"))
MODELS = ("full", "mg", "vae", "vp", "hvae", "hvp", "hcp", "grey-vp")


@pytest.fixture(params=FIXTURES, ids=lambda path: path.stem)
def old(request, tmp_path):
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(tmp_path / "old")
    return tmp_path / "old"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """The folder of the runs of format 1, one for each model."""
    folder = tmp_path_factory.mktemp("models")
    old_models.unpack(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(MODELS)
    return folder


def assert_as_expected(folder, found):
    expected = json.loads((folder / "expected.json").read_text())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_there_is_a_run_of_the_present_format():
    assert f"run-format{run_folder.FORMAT}" in [path.stem for path in FIXTURES]


def test_the_model_of_an_old_run_gives_its_old_answers(old):
    params = cpvae_jax.load(old)
    posterior = cpvae_jax.encode(params, load("digits").test[:5])
    decoded = cpvae_jax.decode(params, jnp.zeros((3, 2)), jnp.arange(3))[:, :2, :4]
    found = {"logits": posterior.logits, "mean": posterior.mean, "decoded": decoded}
    assert_as_expected(old, {**found, "aggregate": params.aggregate})


@pytest.mark.parametrize("model", MODELS)
def test_every_model_of_format_1_gives_its_old_answers_and_samples(model, models):
    params = cpvae_jax.load(models / model)
    assert params.config.model == model.removeprefix("grey-")
    if model.startswith("grey-"):
        x = np.random.default_rng(0).integers(0, 256, (50, 2, 3), dtype=np.uint8)[:3]
    else:
        x = load("digits").test[:3]
    posterior = cpvae_jax.encode(params, x)
    K = params.config.K
    categories = None if K == 1 else jnp.arange(K)
    one = None if K == 1 else 1
    images = {
        "decoded": cpvae_jax.decode(params, jnp.ones((K, 2)), categories),
        "sampled": cpvae_jax.sample(params, jax.random.key(0), category=one, num=2),
        "drawn": cpvae_jax.sample(params, jax.random.key(1), num=2, draw=True),
    }
    found = {name: image[:, :2, :3] for name, image in images.items()}
    found |= {name: getattr(posterior, name) for name in ("logits", "mean", "log_var")}
    assert_as_expected(models / model, {**found, "aggregate": params.aggregate})


@pytest.mark.parametrize("model", ["hvp", "vae"])
def test_training_can_start_from_a_model_of_format_1(model, models):
    params, digits = cpvae_jax.load(models / model), load("digits")
    result = cpvae_jax.fit(
        jax.random.key(0),
        params.config,
        digits.train[:200],
        digits.valid[:100],
        recipe=Training(epochs=1, warmup=1, learning_rate=1e-5),
        init=params,
        callbacks=[],
    )
    moved = jax.tree.map(
        lambda a, b: float(np.max(np.abs(a - b))), result.params.weights, params.weights
    )
    assert 0 < max(jax.tree.leaves(moved)) < 1e-4  # two steps of 1e-5
    assert result.params.config == params.config


@pytest.mark.slow
def test_an_old_run_is_resumed_or_says_what_to_do(old, capsys):
    settings = json.loads((old / run_folder.CONFIG).read_text())
    flags = [
        "--recipe",
        "paper",
        "--K",
        "3",
        "--latent",
        "2",
        "--hidden",
        "8",
        "--seeds",
        "2",
        "--quiet",
    ]
    code = run.main([*flags, "--out", str(old), "--epochs", "3", "--resume"])
    if settings["format"] == run_folder.FORMAT:
        assert code == 0
        lines = run_folder.RunFolder(old).lines(run_folder.LOG)
        assert [line["epoch"] for line in lines] == [1, 2, 3]
    else:
        assert code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line == (
            f"error: {old} holds a run of an older version (format 1), which can be loaded, sampled "
            "and passed to fit as init, but not resumed; choose another folder."
        )
