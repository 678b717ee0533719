"""Checkpoints: what is written comes back bit for bit, and damage is named."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cpvae_jax import Config, UserError, load, sample, save
from cpvae_jax.storage import checkpoint
from cpvae_jax.training import program


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
