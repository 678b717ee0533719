"""Confusion of categories between examples and their views."""

import numpy as np

from cpvae_jax.evaluation import categories, overlap


def test_confused_categories_are_merged_block_by_block():
    """Categories 0 and 3, and 1, 4 and 5, swap at random between views; 2 stays itself."""
    rng = np.random.default_rng(0)
    block = np.array([0, 1, 2, 0, 1, 1])
    truth = rng.choice(3, 4000, p=[0.7, 0.25, 0.05])

    def soft():
        members = [rng.choice(np.flatnonzero(block == b)) for b in truth]
        return 0.96 * np.eye(6)[members] + 0.04 / 6

    first, second = soft(), soft()
    table = categories.confusion(first, second)
    np.testing.assert_allclose(table.sum(axis=1), 1)
    written = np.einsum("na,nb->ab", first, second) / first.sum(axis=0)[:, None]
    np.testing.assert_allclose(table, written)
    assert table[0, 3] > 0.4 > 0.1 > table[0, 1]
    groups, order = overlap.merges(table, first.mean(axis=0), least=0.25)
    assert groups == (0, 1, 2, 0, 1, 1)
    assert [merge.mixed_up > 0.3 for merge in order] == [True] * 3


def test_a_category_without_examples_is_confused_with_none():
    probs = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert categories.confusion(probs, probs).tolist() == [[1, 0], [0, 1]]
