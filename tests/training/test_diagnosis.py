"""What is said about a training that went wrong."""

from types import SimpleNamespace

import numpy as np
import pytest

from cpvae_jax.config import Training
from cpvae_jax.errors import UserError
from cpvae_jax.training import diagnosis
from cpvae_jax.training.step import SKIPS


def state(*skips):
    """The parts of a training state that a diagnosis reads."""
    return SimpleNamespace(
        skips=np.array(skips),
        best_bound=np.array([-9.0, -8.0][: len(skips)]),
        best_epoch=np.array([2, 3][: len(skips)]),
        epoch=np.array([7] * len(skips)),
    )


def test_every_seed_has_to_diverge(tmp_path):
    data = np.array([0.0, 2.0])
    line = {"epoch": 7, "skipped": [5, 12], "skipped_kl_z": [0, 12], "skipped_balance": [0, 3]}
    given = ([line], Training(learning_rate=0.5), data, tmp_path)
    diagnosis.raise_if_diverged(state(SKIPS, SKIPS - 1), *given)
    with pytest.raises(UserError) as caught:
        diagnosis.raise_if_diverged(state(SKIPS, SKIPS), *given)
    text = str(caught.value)
    assert "of 12 in that epoch: KL(z) in 12, balance in 3" in text
    assert "a learning rate smaller than 0.5" in text
    assert "data range from 0 to 2 with a standard deviation of 1" in text
    assert "The best parameters, of epoch 3, are kept in" in text


def test_a_divergence_is_reported_without_a_log(tmp_path):
    with pytest.raises(UserError, match="of 5 in that epoch: only the gradient"):
        diagnosis.raise_if_diverged(state(SKIPS), [], Training(), np.zeros(3), tmp_path)


def test_training_that_comes_apart_with_finite_numbers_is_reported():
    def line(epoch, bound, best, skipped=0, beta=1.0):
        names = ("epoch", "train_bound", "best_epoch", "skipped", "beta")
        return dict(zip(names, (epoch, bound, best, skipped, beta), strict=True))

    steady = [line(1, -120.0, 1), line(2, -100.0, 2), line(3, -101.0, 2)]
    assert diagnosis.came_apart(steady, 0) is None
    apart = [*steady, line(4, -150.0, 2, skipped=3)]
    assert "after epoch 2: the bound of the training data fell from -100.00 to -150.00" in (
        diagnosis.came_apart(apart, 0)
    )
    warming = [line(1, -35.0, 1, beta=0.01), line(2, -49.0, 1, beta=0.02)]
    assert diagnosis.came_apart(warming, 0) is None
    assert diagnosis.skips(steady) is None
    assert "3 steps with non-finite numbers were skipped, first in epoch 4" in diagnosis.skips(
        apart
    )
