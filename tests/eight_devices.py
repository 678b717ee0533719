"""Tests that need eight devices; `test_devices.py` runs them in a process that has them.

XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m pytest -n 0 tests/eight_devices.py
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from cpvae_jax import Config, Training, UserError, bound_terms, devices, fit, log_likelihood
from cpvae_jax.training import program
from cpvae_jax.training.fit import finish

CONFIG = Config(shape=(12,), K=3, latent=2, hidden=(8,))
TRAINING = Training(batch_size=30, warmup=2, epochs=2, learning_rate=1e-2)
DATA = np.random.default_rng(0).integers(0, 256, (200, 12), dtype=np.uint8)


def trained(seeds, mesh, model="cp"):
    """The final state and metrics of a training of 2 epochs; 30 is not a multiple of 8."""
    config = Config.of_model(model, shape=(12,), K=3, latent=2, hidden=(8,))
    trainer = program.program(TRAINING, len(DATA) // TRAINING.batch_size, mesh=mesh)
    state = program.begin(trainer, jax.random.split(jax.random.key(0), seeds), config, DATA)
    data, valid = (devices.everywhere(jnp.asarray(a), mesh) for a in (DATA, DATA[:50]))
    for _ in range(TRAINING.epochs):
        state, metrics = program.advance(trainer, state, data, valid)
    assert program.finished(state, TRAINING)
    return state, metrics


def assert_close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-5, atol=2e-5), a, b)


@pytest.mark.parametrize(("seeds", "shape"), [(1, (1, 8)), (2, (2, 4)), (3, (1, 8)), (8, (8, 1))])
def test_seeds_get_their_own_devices_where_they_divide_evenly(seeds, shape):
    assert devices.mesh(seeds=seeds).devices.shape == shape


@pytest.mark.parametrize("num", [0, 9])
def test_a_number_of_devices_that_do_not_exist_is_refused(num):
    with pytest.raises(UserError, match=f"devices is {num}; there are 8"):
        devices.mesh(num)


@pytest.mark.parametrize(("seeds", "model"), [(1, "cp"), (2, "cp")])
def test_training_gives_what_one_device_gives(seeds, model):
    alone, alone_metrics = trained(seeds, None, model)
    mesh = devices.mesh(seeds=seeds)
    state, metrics = trained(seeds, mesh, model)
    leaf = state.params.weights["heads"]["mean"]["kernel"]
    assert len(leaf.sharding.device_set) == 8
    assert leaf.sharding.spec == (PartitionSpec("seeds") if seeds > 1 else PartitionSpec())
    assert_close(metrics, alone_metrics)
    assert_close(devices.home(state, mesh).params, alone.params)
    data = jnp.asarray(DATA)
    assert_close(finish(state, data, mesh=mesh), finish(alone, data))


def test_fit_on_a_mesh_gives_what_one_device_gives(tmp_path):
    """With several seeds, and with a break and a checkpoint in between."""
    keys, mesh = jax.random.split(jax.random.key(0)), devices.mesh(seeds=2)

    def fitted(**options):
        given = {"recipe": TRAINING, "callbacks": [], **options}
        return fit(keys, CONFIG, DATA, DATA[:50], **given)

    alone, spread = fitted(), fitted(mesh=mesh)
    assert_close(spread.params, alone.params)
    assert_close(spread.state.params, alone.state.params)
    for a, b in zip(spread.history, alone.history, strict=True):
        assert_close({**a, "seconds": 0}, {**b, "seconds": 0})
    fitted(recipe=Training(**{**vars(TRAINING), "epochs": 1}), folder=tmp_path / "run", mesh=mesh)
    resumed = fitted(folder=tmp_path / "run", resume=True, mesh=mesh)
    assert_close(resumed.params, spread.params)
    assert [row["epoch"] for row in resumed.history] == [2, 2]


@pytest.mark.parametrize("view", ["adversarial", "neighbours"])
def test_views_on_a_mesh_are_those_of_one_device(view):
    training = Training(**{**vars(TRAINING), "view": view, "regularisers": {"consistency": 1.0}})
    keys = jax.random.split(jax.random.key(0))
    alone, spread = (
        fit(keys, CONFIG, DATA, DATA[:50], recipe=training, callbacks=[], mesh=mesh)
        for mesh in (None, devices.mesh(seeds=2))
    )
    assert_close(spread.params, alone.params)


@pytest.mark.parametrize("objective", ["bound", "dreg"])
def test_averages_and_importance_weights_on_a_mesh_are_those_of_one_device(objective):
    training = Training(**{**vars(TRAINING), "averaging": 0.9, "objective": objective})
    keys = jax.random.split(jax.random.key(0))
    alone, spread = (
        fit(keys, CONFIG, DATA, DATA[:50], recipe=training, callbacks=[], mesh=mesh)
        for mesh in (None, devices.mesh(seeds=2))
    )
    assert_close(spread.params, alone.params)
    assert_close(spread.state.opt_state.average, alone.state.opt_state.average)


def test_a_step_sums_the_gradient_over_devices_once_and_seeds_do_not_wait_for_each_other():
    def collectives(seeds):
        mesh = devices.mesh(seeds=seeds)
        trainer = program.program(TRAINING, 6, mesh=mesh)
        state = program.begin(trainer, jax.random.split(jax.random.key(0), seeds), CONFIG, DATA)
        data = devices.everywhere(jnp.asarray(DATA), mesh)
        text = trainer.run.lower(state, data).compile().as_text()
        shapes = [
            line.split(" all-reduce(")[0] for line in text.splitlines() if " all-reduce(" in line
        ]
        return [shape for shape in shapes if "8" in shape.split("=")[1]]  # the width of the layers

    assert len(collectives(1)) == 1
    assert collectives(8) == []


def test_evaluation_gives_what_one_device_gives(shaken):
    params, key, mesh = shaken(CONFIG), jax.random.key(1), devices.mesh()
    data = DATA[:37]
    assert_close(bound_terms(params, key, data, mesh=mesh), bound_terms(params, key, data))


def test_log_likelihood_gives_what_one_device_gives(shaken):
    params, key, mesh = shaken(CONFIG), jax.random.key(1), devices.mesh()
    alone = log_likelihood(params, key, DATA[:37], samples=120)
    assert_close(log_likelihood(params, key, DATA[:37], samples=120, mesh=mesh), alone)


def test_arrays_and_keys_come_back_as_they_were():
    mesh = devices.mesh(seeds=2)
    tree = {"key": jax.random.split(jax.random.key(0), 2), "x": jnp.arange(8.0).reshape(2, 4)}
    placed = devices.everywhere(tree, mesh, devices.SEEDS)
    assert len(placed["x"].sharding.device_set) == 8
    back = devices.home(placed, mesh)
    assert back["x"].sharding.device_set == {jax.devices()[0]}
    np.testing.assert_array_equal(back["x"], tree["x"])
    assert jnp.all(back["key"] == tree["key"])
