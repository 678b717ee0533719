"""The command `cpvae fit` on a user's own file, with recipes and callbacks of their own."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import registry
from cpvae_jax.commands import main, settings
from cpvae_jax.commands.job import Job
from cpvae_jax.config import Config, Training
from cpvae_jax.storage.run_folder import CONFIG, LOG, SCORES, SESSIONS
from experiments.data import load
from tests.running import message

SMALL = ["--K", "3", "--latent", "2", "--hidden", "4", "--quiet"]

OWN = """
from cpvae_jax.config import Training
from cpvae_jax.training import callbacks, recipe

def brief(config, examples):
    return Training(epochs=9, warmup=examples // 100, temperature_epochs=config.K)

def stop_after_two(run):
    if run.epoch == 2:
        run.stop("two epochs are enough")

class Count(callbacks.Callback):
    def end(self, run):
        print(f"counted {len(run.lines)} epochs")

recipe.register("brief", recipe.Recipe(brief, "a few epochs"))
callbacks.register("stop-after-two", stop_after_two)
callbacks.register("count", Count)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A table with three clusters and no labels."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)) + 5 * rng.integers(0, 3, 300)[:, None]
    path = tmp_path_factory.mktemp("data") / "table.npz"
    np.savez(path, x=x.astype(np.float32))
    return path


@pytest.fixture
def own(tmp_path):
    """A file with a recipe and callbacks; their names are forgotten afterwards."""
    file = tmp_path / "own.py"
    file.write_text(OWN)
    yield file
    registry.RECIPES.forget("brief")
    for name in ("stop-after-two", "count"):
        registry.CALLBACKS.forget(name)


def fit(*arguments):
    return main.main(["fit", *map(str, arguments)])


@pytest.mark.slow
def test_a_table_of_the_users_own_with_parts_of_their_own(data, own, tmp_path, capsys):
    out = tmp_path / "run"
    parts = ["--extend", own, "--recipe", "brief", "--callback", "stop-after-two", "count"]
    arguments = [data, *SMALL, "--seeds", 2, "--seed", 5, *parts, "--epochs", 7, "--out", out]
    assert fit(*arguments) == 0
    printed = capsys.readouterr().out
    assert "counted 2 epochs" in printed
    assert "ended by two epochs are enough; best validation bound" in printed
    assert "true test bound" in printed

    found = json.loads((out / CONFIG).read_text())
    assert found["model"]["likelihood"] == "gaussian"
    training = found["training"]
    assert (training["warmup"], training["temperature_epochs"]) == (2, 3)
    assert len((out / LOG).read_text().splitlines()) == 2
    session = json.loads((out / SESSIONS).read_text())
    assert session["command"].startswith(f"cpvae fit {data} --K 3")
    assert "--out" not in session["command"]
    scores = json.loads((out / SCORES).read_text())
    assert [one["seed"] for one in scores["seeds"]] == [5, 6]
    assert scores["kept_seed"] in (5, 6)
    assert cpvae_jax.load(out).config.K == 3

    before = (out / SCORES).read_text()
    assert fit(*arguments) == 2
    assert "already holds this run; add --resume" in message(capsys)
    assert (out / SCORES).read_text() == before


def test_names_of_parts_are_checked_before_a_folder_is_made(data, tmp_path, capsys):
    for flag in ("--recipe", "--callback", "--network", "--posterior", "--objective", "--prior"):
        assert fit(data, flag, "mine", "--out", tmp_path / "run") == 2
        assert f"{flag[2:]} is 'mine'; choose one of" in message(capsys)
    assert not (tmp_path / "run").exists()


def test_the_settings_of_a_job(data):
    found = load(data)
    small = {"latent": 2, "hidden": (4,)}

    def model(**given):
        return settings.model_config(Job(str(data), model={**small, **given}), found)

    assert model() == Config(shape=(4,), likelihood="gaussian", **small)
    assert model(model="hvae") == model(prior="vae", levels=2)
    assert model(prior="vae").K == 1
    assert model(prior="vp").K == Config.K
    job = Job(str(data))
    assert settings.default_path(job, model()) == Path("runs/table-K10-seed0")
    several = job.with_options(seed=2, seeds=3)
    assert settings.default_path(several, model(model="hvp")) == Path("runs/table-hvp-K10-seeds2-4")
    short = dataclasses.replace(job, recipe="short")
    assert settings.default_path(short, model()) == Path("runs/table-K10-short-seed0")


def test_the_recipe_comes_first_then_the_data_set_then_the_flags():
    found = load("digits")

    def training(recipe, **given):
        job = Job("digits", recipe=recipe, training=given)
        return settings.training(job, Config(shape=(8, 8)), found)

    assert training("paper") == Training(learning_rate=2e-3)  # the data set's own
    assert training("paper", learning_rate=1e-4, epochs=3) == Training(learning_rate=1e-4, epochs=3)
    assert training("short").learning_rate == 3e-3
    assert training("long", warmup=1).warmup == 1


def test_a_record_is_what_comes_back_from_json(data):
    job = Job(f"{data}/", data_options={"means": (0.0, 1.0)})
    regularised = Training(regularisers=(("balance", 1.0),))
    record = settings.record(job, Config(shape=(4,)), regularised, load(data))
    assert json.loads(json.dumps(record)) == record
    assert record["dataset"] == str(data)
    assert record["means"] == [0.0, 1.0]
    assert record["training"]["regularisers"] == [["balance", 1.0]]
    assert "epochs" not in record["training"]


def test_the_recipe_sizes_the_model_unless_flags_do(data):
    found = load(data)
    suited = settings.model_config(Job(str(data), model={"K": 2}), found)
    assert (suited.latent, suited.hidden) == (4, (64, 64))
    given = settings.model_config(Job(str(data), model={"K": 2, "latent": 7}), found)
    assert (given.latent, given.hidden) == (7, (64, 64))
    paper = settings.model_config(Job(str(data), model={"K": 2}, recipe="paper"), found)
    assert (paper.latent, paper.hidden) == (40, (300, 300))
