"""Weights of examples: how often rows are drawn, and what is refused."""

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Rows, Training, UserError
from cpvae_jax.training import examples, weights


def counts(offset, each):
    drawn = np.asarray(weights.drawn(offset, weights.cumulative(np.asarray(each, float))))
    return np.bincount(drawn, minlength=len(each))


def test_rows_come_as_often_as_they_weigh_rounded_up_or_down():
    rng = np.random.default_rng(0)
    each = rng.exponential(size=200) * (rng.random(200) < 0.7)
    wanted = each * len(each) / each.sum()
    total = np.zeros(200)
    for offset in (np.arange(500) + 0.5) / 500:
        found = counts(offset, each)
        assert found.sum() == 200
        assert np.all(np.abs(found - wanted) < 1 + 1e-3)
        assert not found[each == 0].any()
        total += found
    np.testing.assert_allclose(total / 500, wanted, atol=5e-3)


@pytest.mark.parametrize("offset", [0.0, 1e-7, 0.5, 1 - 1e-7, 1.0])
def test_a_row_without_weight_is_never_drawn(offset):
    for each in ([0, 1, 0, 3, 0], [0, 0, 1], [1, 0, 0], [0, 1e-6, 1e6, 0]):
        assert not counts(offset, each)[np.array(each) == 0].any()


def test_whole_weights_are_repeated_rows():
    each = np.array([2, 1, 0, 1, 3, 0, 0])
    assert each.sum() == len(each)
    for offset in (0.1, 0.5, 0.9):
        assert counts(offset, each).tolist() == each.tolist()
    x = np.arange(7) * 10
    assert weights.repeated(x, each).tolist() == [0, 0, 10, 30, 40, 40, 40]
    assert weights.repeated(x, None) is x


def test_of_many_rows_each_is_drawn():
    each = np.ones(100_000)
    each[0], each[7], each[-2], each[-1] = 2, 0, 0, 2
    for offset in (0.01, 0.5, 0.99):
        np.testing.assert_array_equal(counts(offset, each), each)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([1.0, 2.0], r"sample_weight has the shape \(2,\), but train has 3 examples"),
        (np.ones((3, 1)), r"has the shape \(3, 1\)"),
        ([1.0, -2.0, 1.0], r"holds -2 at example 1 \(counting from 0\); give finite numbers"),
        ([1.0, 1.0, np.nan], "holds nan at example 2"),
        ([np.inf, 1.0, 1.0], "holds inf at example 0"),
        ([0, 0, 0], "is zero for all examples"),
        (["a", "b", "c"], "sample_weight"),
    ],
)
def test_weights_that_cannot_be_are_refused(given, sentence):
    with pytest.raises(UserError, match=sentence):
        weights.checked(given, np.zeros((3, 2)))


def test_equal_weights_are_none_and_rows_on_disk_take_none():
    x = np.zeros((3, 2))
    assert weights.checked(None, x) is None
    assert weights.checked([2, 2, 2], x) is None
    assert weights.checked([2, 1, 0], x).tolist() == [2, 1, 0]
    with pytest.raises(UserError, match="sample_weight needs the training data in memory"):
        weights.checked([2, 1, 0], Rows([x]))
    assert weights.checked([2, 2, 2], Rows([x])) is None


CONFIG = Config(shape=(2,), K=2, latent=1, hidden=(4,), likelihood="gaussian")


def test_held_out_rows_come_as_often_as_they_weigh():
    rng = np.random.default_rng(0)
    x, each = rng.normal(size=(100, 2)), rng.integers(0, 4, 100).astype(float)
    given = examples.checked(CONFIG, x, sample_weight=each)
    plain = examples.checked(CONFIG, x)
    np.testing.assert_array_equal(given.train, plain.train)
    assert len(given.valid) == len(plain.valid)
    index = {tuple(row): weight for row, weight in zip(x.tolist(), each, strict=True)}
    assert [index[tuple(row)] for row in given.train.tolist()] == given.weights.tolist()
    assert all(index[tuple(row)] > 0 for row in given.valid.tolist())


def test_a_training_never_sees_rows_without_weight():
    """They hold numbers that would spoil every unit and every gradient."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    each = np.where(np.arange(200) % 2, 1.0, 0.0)
    training = Training(epochs=3, batch_size=20, warmup=1, temperature_epochs=1)
    other = np.where(each[:, None] > 0, x, x[::-1] + 3)

    def trained(data):
        found = cpvae_jax.fit(
            jax.random.key(0),
            CONFIG,
            data,
            x[:20],
            recipe=training,
            sample_weight=each,
            init=cpvae_jax.initialise(jax.random.key(1), CONFIG, x),
        )
        return found.params.weights

    jax.tree.map(np.testing.assert_array_equal, trained(x), trained(other))
