import numpy as np
from sklearn.datasets import load_digits

from cpvae_jax import Config, checks
from experiments.data import digits, load


def test_digits(rows):
    data = load("digits")
    for likelihood in ("gaussian", "bernoulli"):
        checks.dataset(Config(shape=data.shape, likelihood=likelihood), data)
    assert [len(x) for x in (data.train, data.valid, data.test)] == [1297, 250, 250]
    assert data.shape == (8, 8)
    assert (data.train.dtype, data.train.min(), data.train.max()) == (np.float32, 0, 1)
    parts = [(16 * x).astype(np.uint8) for x in (data.train, data.valid, data.test)]
    every = np.concatenate([rows(x) for x in parts])
    assert len(np.unique(every)) == 1797
    labels = np.concatenate([data.train_labels, data.valid_labels, data.test_labels])
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_digits_are_those_of_scikit_learn():
    expected = load_digits()
    with np.load(digits.DIGITS) as found:
        np.testing.assert_array_equal(found["images"], expected.images)
        np.testing.assert_array_equal(found["labels"], expected.target)
