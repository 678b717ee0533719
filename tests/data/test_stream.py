"""The order in which an epoch reads training data that stay on disk, and windows on devices."""

import jax
import numpy as np
import pytest

from cpvae_jax import devices
from cpvae_jax.data import Rows, stream
from cpvae_jax.errors import UserError


@pytest.fixture
def rows():
    """1,000 examples in two arrays; the value of each is its index."""
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
    spread = order_of(rows, 0).std(axis=1)  # 289 for uniform numbers
    assert np.median(spread) > 100


@pytest.mark.parametrize(("num", "batch"), [(1000, 30), (7, 10), (50, 50)])
def test_examples_that_fill_no_window_are_left_out(monkeypatch, num, batch):
    monkeypatch.setattr(stream, "WINDOW", 4 * 4 * batch)
    seen = order_of(Rows([np.arange(num, dtype=np.float32)[:, None]]), 0, batch)
    batch = min(batch, num)
    windows, steps = stream.layout(Rows([np.zeros((num, 1), np.float32)]), batch)
    assert seen.shape == (windows * steps, batch)
    assert len(np.unique(seen)) == seen.size
    assert seen.size > num - (windows + 1) * batch


def test_windows_keep_the_shape_of_examples():
    images = np.arange(60).reshape(10, 2, 3)
    (window,) = stream.windows(Rows([images[:7], images[7:]]), [0], 5, None)
    assert window.shape == (2, 5, 2, 3)
    first = np.asarray(window).reshape(10, 6)[:, 0] // 6
    np.testing.assert_array_equal(np.sort(first), np.arange(10))
    np.testing.assert_array_equal(window.reshape(10, 2, 3), images[first])


def test_a_mesh_reads_the_same_windows():
    images = Rows([np.arange(60).reshape(10, 2, 3)])
    mesh = devices.of(jax.devices()[:1])
    for one, other in zip(
        stream.windows(images, [0], 5, None), stream.windows(images, [0], 5, mesh), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_batch_that_devices_cannot_share_is_refused():
    with pytest.raises(UserError, match="a batch of 5 examples is not divisible by 2 devices"):
        stream._check_mesh(5, jax.sharding.AbstractMesh((1, 2), (devices.SEEDS, devices.DATA)))
