"""Data that stay on the disk: their order, and training on them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Training, UserError, epoch, stream, train
from cpvae_jax.rows import Rows

CONFIG = Config(shape=(2, 3), K=2, latent=2, hidden=(4,))
TRAINING = Training(batch_size=10, warmup=1, epochs=3, learning_rate=1e-2)


@pytest.fixture
def rows():
    """1,000 examples in two parts; each holds its number."""
    numbers = np.arange(1000, dtype=np.float32)[:, None]
    return Rows([numbers[:300], numbers[300:]])


@pytest.fixture
def small(monkeypatch):
    """Windows of 4 steps of 10 examples, blocks of 7."""
    monkeypatch.setattr(stream, "WINDOW", 4 * 10 * 4)
    monkeypatch.setattr(stream, "BLOCK", 7)


def order_of(rows, number, batch=10):
    return np.concatenate(
        [np.asarray(w)[..., 0] for w in stream.windows(rows, [5, number], batch, None)]
    )


def test_examples_are_found_across_parts(rows):
    index = np.array([[0, 299], [300, 999]])
    np.testing.assert_array_equal(rows[index][..., 0], index)
    assert rows.shape == (1000, 1)
    np.testing.assert_array_equal(np.concatenate(list(rows.blocks()))[:, 0], np.arange(1000))
    np.testing.assert_array_equal(rows.sample(3)[:, 0], [0, 499, 999])


@pytest.mark.usefixtures("small")
def test_an_epoch_takes_every_example_once_in_a_fresh_order(rows):
    assert stream.layout(rows, 10) == (25, 4)
    first, second = order_of(rows, 0), order_of(rows, 1)
    assert first.shape == (100, 10)
    for order in (first, second):
        np.testing.assert_array_equal(np.sort(order.ravel()), np.arange(1000))
    assert np.mean(first == second) < 0.02
    np.testing.assert_array_equal(first, order_of(rows, 0))


@pytest.mark.usefixtures("small")
def test_a_batch_mixes_blocks_from_all_over(rows):
    spread = order_of(rows, 0).std(axis=1)  # of uniform numbers: 289
    assert np.median(spread) > 100


@pytest.mark.parametrize(("num", "batch"), [(1000, 30), (7, 10), (50, 50)])
def test_what_fills_no_window_is_left_out(monkeypatch, num, batch):
    monkeypatch.setattr(stream, "WINDOW", 4 * 4 * batch)
    seen = order_of(Rows([np.arange(num, dtype=np.float32)[:, None]]), 0, batch)
    batch = min(batch, num)
    windows, steps = stream.layout(Rows([np.zeros((num, 1), np.float32)]), batch)
    assert seen.shape == (windows * steps, batch)
    assert len(np.unique(seen)) == seen.size
    assert seen.size > num - (windows + 1) * batch


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (120, 2, 3), dtype=np.uint8)


def fitted(data, images, seeds=1):
    keys = jax.random.split(jax.random.key(0), seeds)
    return train.fit(keys, CONFIG, data, images[100:], training=TRAINING)


def test_training_learns_as_from_memory(images, monkeypatch):
    """Other orders of the same data: the same within what their chance leaves."""
    monkeypatch.setattr(stream, "WINDOW", 4 * 10 * 6)
    streamed = fitted(Rows([images[:64], images[64:100]]), images, seeds=2)
    memory = fitted(images[:100], images, seeds=2)
    assert [int(m["epoch"][0]) for m in streamed.history] == [1, 2, 3]
    for a, b in zip(streamed.history, memory.history, strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_allclose(a["valid_bound"], b["valid_bound"], rtol=0.05)
    assert streamed.params.aggregate.sum() == pytest.approx(1, abs=1e-5)


def test_a_window_of_the_whole_order_is_the_epoch_in_memory(images):
    """The steps are those of `run`, to the bit, given its order of the data."""
    program = train.program(CONFIG, TRAINING)
    flat, valid = (
        jnp.asarray(images[:100]).reshape(100, 6),
        jnp.asarray(images[100:]).reshape(-1, 6),
    )
    start = program.init(jax.random.split(jax.random.key(0), 1))
    order = jax.random.permutation(epoch.epoch_keys(jax.tree.map(lambda a: a[0], start))[0], 100)
    copy = jax.tree.map(jnp.copy, start)
    expected, told = train.advance(program, start, flat, valid)
    tallies = []
    for number in range(2):
        window = flat[order].reshape(2, 5, 10, 6)[number]
        copy, tally = program.run_window(copy, window, 5 * number, 10)
        tallies.append(tally)
    copy, metrics = program.close(copy, jax.tree.map(jnp.add, *tallies), valid)
    for name, value in told.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-6, err_msg=name)
    for a, b in zip(jax.tree.leaves(copy.params), jax.tree.leaves(expected.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_parts_of_different_kinds_are_told():
    with pytest.raises(UserError, match="one shape and type"):
        Rows([np.zeros((3, 2)), np.zeros((3, 4))])
    with pytest.raises(UserError, match="there is nothing"):
        Rows([])
    with pytest.raises(UserError, match="empty"):
        Rows([np.zeros((0, 3))])


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ([5], "is 5; give 0 to 4"),
        ([0, -1], "is -1"),
        ([True, False], "is bool"),
        ([0.0], "is float"),
    ],
)
def test_an_index_that_names_no_example_is_an_error(index, words):
    rows = Rows([np.zeros((3, 2)), np.ones((2, 2))])
    with pytest.raises(IndexError, match=words):
        rows[np.array(index)]
    assert len(list(rows)) == 5


def test_rows_are_refused_where_an_array_is_needed(images):
    rows, key = Rows([images]), jax.random.key(0)
    params = cpvae_jax.initialise(key, CONFIG)
    for call in (
        lambda: cpvae_jax.fit(key, CONFIG, rows, rows),
        lambda: cpvae_jax.bound_terms(params, key, rows),
        lambda: cpvae_jax.log_likelihood(params, key, rows),
    ):
        with pytest.raises(UserError, match="is Rows, which only training data"):
            call()
    with pytest.raises(UserError, match="data has the shape"):
        cpvae_jax.aggregated_posterior(params, key, Rows([images[:, 0]]))
    with pytest.raises(UserError, match=r"data holds .* NaN"):
        cpvae_jax.aggregated_posterior(params, key, Rows([np.nan * images.astype(np.float32)]))


def test_data_that_the_model_cannot_read_are_told(images):
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
