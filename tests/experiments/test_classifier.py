"""The classifier takes labels as names of classes, not as their numbers."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from cpvae_jax.data import Dataset
from cpvae_jax.errors import UserError
from experiments import classifier

KINDS = np.random.default_rng(0).integers(0, 2, 120)
IMAGES = np.zeros((120, 8, 8), np.float32)
IMAGES[KINDS == 1, :4] = 1
MADE = Dataset("halves", IMAGES, IMAGES, IMAGES, KINDS, KINDS, KINDS, "grey", "made")


def trained(labels):
    return classifier.train(replace(MADE, train_labels=labels, test_labels=labels), epochs=30)


def test_large_and_missing_labels_give_the_classifier_of_the_labelled_examples():
    some = np.arange(120) % 3 > 0
    large = np.where(some, np.array([2_000_000_000, 5])[1 - KINDS], -1)
    found = trained(large)
    wanted = classifier.train(
        replace(MADE, train=IMAGES[some], train_labels=KINDS[some]), epochs=30
    )
    assert found.classes == found.about["classes"] == 2
    assert found.about["test_accuracy"] == wanted.about["test_accuracy"] > 0.9
    jax.tree.map(np.testing.assert_array_equal, found.weights, wanted.weights)


@pytest.mark.parametrize("labels", [None, np.full(120, -1), np.full(120, np.nan)])
def test_data_without_labels_are_refused(labels):
    with pytest.raises(UserError, match="halves has no labels in its training part"):
        trained(labels)
