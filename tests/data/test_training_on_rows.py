"""Training and evaluation on examples that stay on disk."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Rows, Training, UserError
from cpvae_jax.data import stream
from cpvae_jax.training import program, step

CONFIG = Config(shape=(2, 3), K=2, latent=2, hidden=(4,))
TRAINING = Training(batch_size=10, warmup=1, epochs=3, learning_rate=1e-2)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (120, 2, 3), dtype=np.uint8)


def fitted(data, images, seeds=1):
    keys = jax.random.split(jax.random.key(0), seeds)
    return cpvae_jax.fit(keys, CONFIG, data, images[100:], recipe=TRAINING)


def test_training_learns_as_well_as_from_memory(images, monkeypatch):
    """The order of the data differs, so the bounds agree only within noise."""
    monkeypatch.setattr(stream, "WINDOW", 4 * 10 * 6)
    streamed = fitted(Rows([images[:64], images[64:100]]), images, seeds=2)
    memory = fitted(images[:100], images, seeds=2)
    assert [line["epoch"] for line in streamed.history] == [1, 1, 2, 2, 3, 3]
    for a, b in zip(streamed.history, memory.history, strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_allclose(a["valid_bound"], b["valid_bound"], rtol=0.05)
    assert streamed.params.aggregate.sum() == pytest.approx(1, abs=1e-5)


def test_a_window_of_the_whole_order_is_the_epoch_in_memory(images):
    """Given the order of the data, the steps equal those of `run`."""
    steps = program.program(TRAINING, 10)
    data, valid = jnp.asarray(images[:100]), jnp.asarray(images[100:])
    start = program.begin(steps, jax.random.split(jax.random.key(0), 1), CONFIG, images[:100])
    order = jax.random.permutation(step.epoch_keys(jax.tree.map(lambda a: a[0], start))[0], 100)
    copy = jax.tree.map(jnp.copy, start)
    expected, wanted = program.advance(steps, start, data, valid)
    tallies = []
    for number in range(2):
        window = data[order].reshape(2, 5, 10, 2, 3)[number]
        copy, tally = steps.run_window(copy, window, None, 5 * number, 10)
        tallies.append(tally)
    copy, metrics = steps.close(copy, jax.tree.map(jnp.add, *tallies), valid)
    for name, value in wanted.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5, err_msg=name)
    for a, b in zip(jax.tree.leaves(copy.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_rows_are_refused_where_an_array_is_needed(images):
    rows, key = Rows([images]), jax.random.key(0)
    params = cpvae_jax.initialise(key, CONFIG)
    for call in (
        lambda: cpvae_jax.fit(key, CONFIG, rows, rows),
        lambda: cpvae_jax.bound_terms(params, key, rows),
        lambda: cpvae_jax.log_likelihood(params, key, rows),
    ):
        with pytest.raises(UserError, match="is Rows, which only fit"):
            call()
    with pytest.raises(UserError, match="data has the shape"):
        cpvae_jax.aggregated_posterior(params, key, Rows([images[:, 0]]))
    with pytest.raises(UserError, match=r"data holds .* NaN"):
        cpvae_jax.aggregated_posterior(params, key, Rows([np.nan * images.astype(np.float32)]))


def test_data_that_the_model_cannot_read_are_refused(images):
    with pytest.raises(UserError, match="this model takes examples of shape"):
        fitted(Rows([images[:, 0]]), images)
    bad = images.astype(np.float32) / 255
    bad[50] = np.nan
    with pytest.raises(UserError, match="NaN or infinite"):
        fitted(Rows([bad]), images)


def test_memory_mapped_files_are_read_as_they_are(images, tmp_path):
    np.save(tmp_path / "train.npy", images[:100])
    mapped = np.load(tmp_path / "train.npy", mmap_mode="r")
    got = cpvae_jax.aggregated_posterior(
        cpvae_jax.initialise(jax.random.key(0), CONFIG), jax.random.key(1), Rows([mapped])
    )
    want = cpvae_jax.aggregated_posterior(
        cpvae_jax.initialise(jax.random.key(0), CONFIG), jax.random.key(1), images[:100]
    )
    np.testing.assert_array_equal(got, want)
