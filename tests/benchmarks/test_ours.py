"""The adapter to our own programs, on a tiny model: what the commands run in their children."""

import math

import numpy as np
import pytest

from benchmarks import ours
from benchmarks.problem import Case, X

CASE = Case("cp", 2, 10, latent=2, hidden=4)


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(0).integers(0, 50, (20, 28, 28), np.uint8))
    return path


def test_training(images):
    run_epoch = ours.ours(CASE, images)
    (first, start), (second, end) = run_epoch(), run_epoch()
    assert first > second > 0  # the first one compiles
    assert 0 < end < start  # dark images: the first steps already darken what is drawn


def test_a_seed_a_core_learns_what_one_alone_does(images):
    alone, apart = ours.ours(CASE, images), ours.a_core_each(CASE, images)
    for seconds, loss in (apart(), apart()):
        assert seconds > 0
        assert math.isclose(loss, alone()[1], rel_tol=1e-5)


def test_scoring(images, tmp_path):
    seconds, mean = ours.samples(CASE, category=1, num=3)()
    assert seconds > 0
    assert 0 < mean < 1
    seconds, mean = ours.log_likelihood(CASE, images, samples=4)()
    assert seconds > 0
    assert math.isclose(mean, -X * math.log(2), rel_tol=0.1)  # a fresh model knows nothing

    ours.write_weights(CASE, tmp_path / "weights.npz")()
    with np.load(tmp_path / "weights.npz") as arrays:
        assert arrays["category.weight"].shape == (2, 4)
