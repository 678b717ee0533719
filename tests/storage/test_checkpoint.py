"""Checkpoints: what is written comes back bit for bit, and damage is named."""

import json
import os
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cpvae_jax import Config, UserError, load, sample, save
from cpvae_jax.storage import checkpoint, folders
from cpvae_jax.training import program
from cpvae_jax.training.fit import Fit


def with_aggregate(params, values):
    """A model whose q(c) is `values`, to tell it from others."""
    aggregate = jnp.asarray(values, jnp.float32)
    return params.replace(stats={**params.stats, "aggregate": aggregate})


@pytest.mark.parametrize(
    "config",
    [
        Config(shape=(2, 3), K=3, latent=2, hidden=(4, 5), binarise="threshold"),
        Config(shape=(3,), K=1, latent=1, hidden=(4,), likelihood="gaussian", scale=0.25),
        Config(shape=(2, 2), K=3, latent=2, hidden=(4,), prior="full"),
        Config(shape=(2, 2), K=3, latent=2, hidden=(4,), prior="vp", levels=2),
        Config(shape=(4,), K=1, latent=2, hidden=(4,), prior="vae"),
    ],
    ids=["bernoulli", "gaussian", "full", "hvp", "vae"],
)
def test_a_saved_model_comes_back_bit_for_bit(config, shaken, assert_same_bits, tmp_path):
    data = np.random.default_rng(0).normal(5, 3, (10, *config.shape))
    params = with_aggregate(shaken(config, data=data), np.arange(config.K) + 1)
    save(tmp_path / "model", params)
    loaded = load(str(tmp_path / "model"))
    assert loaded.config == config
    assert_same_bits(loaded, params)
    images = [sample(p, jax.random.key(0), num=3, draw=True) for p in (params, loaded)]
    np.testing.assert_array_equal(*images)


def test_training_resumes_bit_for_bit(runs, assert_same_bits, tmp_path):
    """Four epochs of three seeds are two, a checkpoint, and two more."""
    run = runs[3]
    half, straight = run.states[2], run.states[4]
    with checkpoint.open_for(tmp_path / checkpoint.FOLDER) as steps:
        steps.write(2, program.best_params(half), half)
        state = steps.read_state(2, run.states[0])
    assert_same_bits(state, half)
    for expected in run.metrics[2:]:
        state, metrics = run.epoch(state)
        assert_same_bits(metrics, expected)
    assert_same_bits(state, straight)
    assert_same_bits(load(tmp_path), program.best_params(half))


def test_nothing_is_pickled_and_the_configuration_is_json(params, tmp_path):
    save(tmp_path / "model", params)
    files = [path for path in (tmp_path / "model").rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".pkl", ".pickle")]
    config = tmp_path / "model" / "0" / "config" / "metadata"
    assert Config.from_dict(json.loads(config.read_text())) == params.config


def test_two_steps_are_kept_and_the_latest_is_loaded(params, tmp_path):
    with checkpoint.open_for(tmp_path) as steps:
        for step in range(3):
            steps.write(step, with_aggregate(params, [step, step]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
    np.testing.assert_array_equal(load(tmp_path).aggregate, [2, 2])


def test_a_folder_that_holds_something_is_not_written_to(params, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    for place in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(UserError, match="is not an empty folder; choose another"):
            save(place, params)
    assert (tmp_path / "mine.txt").read_text() == "precious"


def test_folders_without_a_model_are_refused(tmp_path):
    with pytest.raises(UserError, match="nowhere is not a folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no saved model"):
        load(tmp_path)


@pytest.mark.parametrize("part", ["params", "config", "state"])
def test_a_damaged_checkpoint_is_named(part, params, tmp_path):
    state = {"epoch": jnp.array(3)}
    with checkpoint.open_for(tmp_path) as steps:
        steps.write(5, params, state)
    for path in sorted((tmp_path / "5" / part).rglob("*"), reverse=True):
        if path.is_file():
            path.write_bytes(b"{")

    def read():
        if part != "state":
            return load(tmp_path)
        with checkpoint.open_for(tmp_path) as steps:
            return steps.read_state(5, state)

    with pytest.raises(
        UserError, match=r"5 is damaged.*move that folder away to use an earlier one"
    ):
        read()


ODD = [
    "back\\slash",
    "back\\",
    "link/../beside",
    "here/./../here/model",
    "two//slashes",
    " spaces ",
    "new\nline",
    "a%2Fb",
    "été",
    os.fsdecode(b"latin-\xe9"),
    "model.orbax-checkpoint-tmp",
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, with a link to a folder deeper in it."""
    (tmp_path / "far" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/inner")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_a_model_is_stored_where_the_operating_system_finds_the_path(
    name, place, params, assert_same_bits
):
    os.makedirs(name)
    save(name, params)
    assert sorted(os.listdir(name)) == ["0", "README.md", "weights.safetensors"]
    assert_same_bits(load(name), params)
    assert_same_bits(load(place / name), params)
    found = [path for path in place.rglob("stats.aggregate") if path.is_dir()]
    assert [os.path.samefile(path.parents[2], name) for path in found] == [True]


@pytest.mark.parametrize("name", ["back\\slash", os.fsdecode(b"\xff")], ids=ascii)
def test_a_run_is_stored_below_a_folder_of_any_name(name, place, params, assert_same_bits):
    """The current folder has the odd name; the run's own path is plain."""
    os.mkdir(name)
    os.chdir(name)
    for step in (1, 2):
        with checkpoint.open_for("run/checkpoints") as steps:
            steps.write(step, params, {"epoch": jnp.array(step)})
    with checkpoint.open_for("run/checkpoints") as steps:
        assert int(steps.read_state(2, {"epoch": jnp.array(0)})["epoch"]) == 2
    assert_same_bits(load("run"), params)


@pytest.mark.parametrize("name", ["back\\slash", "back\\other"])
def test_a_save_whose_arrays_went_elsewhere_is_no_success(name, place, params, monkeypatch):
    @contextmanager
    def as_it_is(folder):
        yield folder

    monkeypatch.setattr(folders, "for_arrays", as_it_is)
    with pytest.raises(UserError, match=r"cannot be written .the array .* is missing"):
        save(name, params)
    with pytest.raises(UserError, match="holds no saved model"):
        load(name)


@pytest.mark.parametrize("folder", ["~/model", "~/deep/er"])
def test_a_tilde_is_the_home_folder(folder, place, params, monkeypatch):
    monkeypatch.setenv("HOME", str(place / "home"))
    save(folder, params)
    assert load(folder).config == params.config
    assert (place / "home" / folder[2:] / "0").is_dir()
    assert not (place / "~").exists()


@pytest.mark.parametrize("folder", ["gs://bucket/model", "s3://b", "file:///data/model", "", None])
def test_what_is_no_folder_is_refused(folder, place, params):
    for call in (lambda: save(folder, params), lambda: load(folder)):
        with pytest.raises(UserError, match=r"is a URL; give a path|is empty|None; give a path"):
            call()
    assert sorted(path.name for path in place.iterdir()) == ["far", "link"]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("conv/1", "'weights.encoder.conv/1', which cannot be the name of a folder"),
        ("conv\\1", "which cannot be the name of a folder"),
        ("n" * 300, "which cannot be the name of a folder"),
        ("new\nline", "which cannot be the name of a folder"),
        ("a.b", "two arrays of the model are called 'weights.encoder.a.b'"),
    ],
)
def test_arrays_with_names_that_no_folder_has_are_refused(key, words, params, tmp_path):
    own = {key: jnp.ones(2), "a": {"b": jnp.ones(2)}}
    odd = params.with_weights({**params.weights, "encoder": own})
    with pytest.raises(UserError) as caught:
        save(tmp_path / "model", odd)
    assert words in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_a_fit_is_saved_as_its_best_model(params, tmp_path, assert_same_bits):
    save(tmp_path / "model", Fit(params, [], None, (), None))
    assert_same_bits(load(tmp_path / "model"), params)


@pytest.mark.parametrize("given", [None, "model", {"weights": {}}, np.ones(3)])
def test_what_is_no_model_is_not_saved(given, tmp_path):
    with pytest.raises(UserError, match=r"params is .* and not a model; give the folder, then"):
        save(tmp_path / "model", given)
    assert not (tmp_path / "model").exists()
