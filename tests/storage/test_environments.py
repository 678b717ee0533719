"""Checkpoints of other environments: random keys of another kind, 64-bit numbers, earlier formats."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cpvae_jax import Config, UserError, initialise, likelihoods, load, save
from cpvae_jax.likelihoods import bernoulli
from cpvae_jax.likelihoods.base import Likelihood
from cpvae_jax.registry import LIKELIHOODS
from cpvae_jax.storage import checkpoint, manifest
from cpvae_jax.types import Own
from tests import old_models

KINDS = ("threefry2x32", "rbg", "unsafe_rbg")


def state_of(kind):
    return {"epoch": jnp.array(3), "key": jax.random.split(jax.random.key(0, impl=kind), 2)}


def older(step, version):
    """Turn the manifest of a step into one of an earlier version."""
    path = step / manifest.FILE
    about = json.loads(path.read_text())
    path.write_text(json.dumps({"format": version, "files": about["files"]}))


@pytest.mark.parametrize("now", KINDS)
@pytest.mark.parametrize("made", KINDS)
def test_keys_of_another_kind_are_named(made, now, params, tmp_path, assert_same_bits):
    with checkpoint.open_for(tmp_path) as steps:
        steps.write(1, params, state_of(made))
        if made == now:
            assert_same_bits(steps.read_state(1, state_of(now)), state_of(made))
            return
        with pytest.raises(UserError) as found:
            steps.read_state(1, state_of(now))
    assert f"jax_default_prng_impl={made}, and now the random keys are {now}; set" in str(
        found.value
    )
    assert "damaged" not in str(found.value)
    assert load(tmp_path).config == params.config  # the model needs no keys


@pytest.mark.parametrize(("made", "now"), [("threefry2x32", "rbg"), ("rbg", "threefry2x32")])
def test_keys_of_a_run_that_does_not_name_their_kind_are_told_by_their_size(
    made, now, params, tmp_path
):
    with checkpoint.open_for(tmp_path) as steps:
        steps.write(1, params, state_of(made))
        older(tmp_path / "1", 2)
        with pytest.raises(UserError, match=f"jax_default_prng_impl={made}, and now"):
            steps.read_state(1, state_of(now))
        assert int(steps.read_state(1, state_of(made))["epoch"]) == 3


CONFIGS = {
    "bernoulli": Config(shape=(2, 3), K=3, latent=2, hidden=(4,)),
    "gaussian": Config(shape=(3,), K=2, latent=1, hidden=(4,), likelihood="gaussian"),
    "vamp": Config(shape=(2, 2), K=3, latent=2, hidden=(4,), prior="vp", levels=2),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_model_is_read_with_64_bit_numbers_switched_on(config, tmp_path, assert_same_bits):
    data = np.random.default_rng(0).random((10, *config.shape))
    params = initialise(jax.random.key(0), config, data)
    save(tmp_path / "model", params)
    with jax.enable_x64(True):
        assert_same_bits(load(tmp_path / "model"), params)
        assert {a.dtype for a in jax.tree.leaves(load(tmp_path / "model"))} == {np.dtype("float32")}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_model_of_64_bit_numbers_is_read_as_32(config, tmp_path, assert_same_bits):
    """An earlier version stored such numbers where they were switched on."""
    data = np.random.default_rng(0).random((10, *config.shape))
    params = initialise(jax.random.key(0), config, data)
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: jnp.asarray(np.asarray(a), jnp.float64), params)
        save(tmp_path / "model", wide)
    assert_same_bits(load(tmp_path / "model"), params)


def test_the_state_of_a_run_is_read_with_64_bit_numbers_switched_on(params, tmp_path):
    state = {"epoch": jnp.array(3), "bound": jnp.array(1.5), "key": jax.random.key(2)}
    with checkpoint.open_for(tmp_path) as steps:
        steps.write(1, params, state)
        with jax.enable_x64(True):
            wide = {"epoch": jnp.array(0), "bound": jnp.array(0.0), "key": jax.random.key(0)}
            assert {wide["epoch"].dtype.name, wide["bound"].dtype.name} == {"int64", "float64"}
            found = steps.read_state(1, wide)
    assert {name: found[name].dtype.name for name in ("epoch", "bound")} == {
        "epoch": "int32",
        "bound": "float32",
    }
    assert (int(found["epoch"]), float(found["bound"])) == (3, 1.5)


@pytest.fixture
def growing():
    """A model whose likelihood has more constants in the second version than in the first."""
    versions = {"now": 1}

    def init(key, config, data):
        del key
        found = {"level": jnp.full(config.shape, 0.25 if data is None else float(np.mean(data)))}
        if versions["now"] > 1:
            found["range"] = jnp.array([0.0, 1.0 if data is None else float(np.max(data))])
            found["low"] = jnp.zeros(config.shape)
        return Own({}, found)

    own = Likelihood(init, bernoulli.log_prob, bernoulli.mean, bernoulli.sample)
    likelihoods.register("growing", own)
    config = Config(shape=(2, 2), K=2, latent=1, hidden=(4,), likelihood="growing")
    yield config, versions
    LIKELIHOODS.forget("growing")


def test_constants_that_an_earlier_version_lacked_are_those_without_data(growing, tmp_path):
    config, versions = growing
    data = np.full((4, 2, 2), 0.75, np.float32)
    save(tmp_path / "model", initialise(jax.random.key(0), config, data))
    older(tmp_path / "model" / "0", 2)
    versions["now"] = 2
    found = load(tmp_path / "model").stats["likelihood"]
    np.testing.assert_array_equal(found["level"], data[0])  # its own
    np.testing.assert_array_equal(found["range"], [0, 1])
    np.testing.assert_array_equal(found["low"], np.zeros((2, 2)))


def test_constants_missing_from_a_model_of_this_version_are_not_made_up(growing, tmp_path):
    config, versions = growing
    save(tmp_path / "model", initialise(jax.random.key(0), config))
    versions["now"] = 2
    with pytest.raises(UserError, match=r"the array stats.likelihood.low is missing"):
        load(tmp_path / "model")


def test_weights_missing_from_an_earlier_model_are_not_made_up(params, tmp_path):
    heads = {n: v for n, v in params.weights["heads"].items() if n != "logits"}
    save(tmp_path / "model", params.with_weights({**params.weights, "heads": heads}))
    older(tmp_path / "model" / "0", 2)
    with pytest.raises(UserError, match=r"the array weights.heads.logits.bias is missing"):
        load(tmp_path / "model")


def test_constants_that_need_data_are_not_made_up(growing, tmp_path, monkeypatch):
    config, versions = growing
    save(tmp_path / "model", initialise(jax.random.key(0), config))
    older(tmp_path / "model" / "0", 2)
    versions["now"] = 2
    whole = LIKELIHOODS["growing"].init

    def init(key, config, data):
        assert data is not None
        return whole(key, config, data)

    changed = LIKELIHOODS["growing"]._replace(init=init)
    monkeypatch.setattr(likelihoods, "of", lambda config: changed)
    with pytest.raises(UserError, match=r"the array stats.likelihood.low is missing"):
        load(tmp_path / "model")


def test_constants_that_format_1_lacked_are_those_without_data(tmp_path, monkeypatch):
    """Also those that are no array of x."""
    old_models.unpack(tmp_path)
    before = load(tmp_path / "vae")
    config = before.config
    own = likelihoods.of(config)

    def init(key, config, data):
        found = own.init(key, config, data)
        more = {"margin": jnp.full(config.shape, 0.5), "range": jnp.array([0.0, 1.0])}
        return Own(found.weights, {**found.stats, **more})

    monkeypatch.setattr(likelihoods, "of", lambda config: own._replace(init=init))
    found = load(tmp_path / "vae").stats["likelihood"]
    for name, value in before.stats["likelihood"].items():
        np.testing.assert_array_equal(found[name], value)
    np.testing.assert_array_equal(found["margin"], np.full(config.shape, 0.5))
    np.testing.assert_array_equal(found["range"], [0, 1])
