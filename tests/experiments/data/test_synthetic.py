import numpy as np
import pytest
from scipy import stats

from cpvae_jax import Config, checks
from cpvae_jax.errors import UserError
from experiments.data import load
from experiments.data.synthetic import draw


def test_sizes_and_types():
    data = load("synthetic")
    checks.dataset(Config(shape=(1,), likelihood="gaussian"), data)
    assert [len(x) for x in (data.train, data.valid, data.test)] == [50_000, 10_000, 50_000]
    assert data.shape == (1,)
    assert data.train.dtype == np.float32
    assert data.train_labels.dtype == np.int32
    assert data.kind == "real"


def test_each_component_is_the_normal_it_should_be():
    data = load("synthetic")
    for k, mean in enumerate((0.1, 1.0)):
        x = data.train[data.train_labels == k, 0]
        # Six standard errors of a share, and the Kolmogorov test against the exact law.
        assert len(x) / 50_000 == pytest.approx(0.5, abs=6 * 0.5 / 50_000**0.5)
        assert stats.kstest(x, stats.norm(mean, 0.1).cdf).pvalue > 1e-6


def test_the_parts_are_independent_and_repeatable():
    data, again, other = (load("synthetic", num=100, seed=s) for s in (3, 3, 4))
    np.testing.assert_array_equal(data.train, again.train)
    pool = [data.train, data.test, data.valid, other.train, draw(100, 3)[0]]
    assert len(np.unique(np.concatenate(pool))) == sum(map(len, pool))


def test_another_mixture():
    data = load("synthetic", num=20_000, means=(0, 5, 9), stds=(1, 0.1, 2), weights=(0.2, 0.8, 0))
    assert np.bincount(data.train_labels, minlength=3)[2] == 0
    assert data.train_labels.mean() == pytest.approx(0.8, abs=0.02)
    assert data.train[data.train_labels == 1].std() == pytest.approx(0.1, rel=0.05)
    assert len(data.class_names) == 3
    assert "0.8 N(5, std 0.1)" in data.source


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"num": 0}, "num=0 is too small"),
        ({"seed": -1}, "is negative"),
        ({"means": (1, 2, 3)}, "3 means, 2 standard deviations and 2 weights"),
        ({"means": (), "stds": (), "weights": ()}, "0 means"),
        ({"means": (1, np.nan)}, "must be finite"),
        ({"stds": (1, 0)}, "must be positive"),
        ({"stds": (np.nan, 1)}, "must be positive"),
        ({"weights": (0.5, 0.6)}, "sum to 1"),
        ({"weights": (1.5, -0.5)}, "sum to 1"),
        ({"weights": (0.5, np.nan)}, "sum to 1"),
    ],
)
def test_errors(options, sentence):
    with pytest.raises(UserError, match=sentence):
        load("synthetic", **options)
