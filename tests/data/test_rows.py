"""`Rows`: examples that stay on disk."""

import numpy as np
import pytest

from cpvae_jax.data import Rows
from cpvae_jax.data import rows as rows_module
from cpvae_jax.errors import UserError


def test_examples_are_found_across_arrays():
    numbers = np.arange(1000, dtype=np.float32)[:, None]
    rows = Rows([numbers[:300], numbers[300:]])
    index = np.array([[0, 299], [300, 999]])
    np.testing.assert_array_equal(rows[index][..., 0], index)
    assert rows.shape == (1000, 1)
    np.testing.assert_array_equal(np.concatenate(list(rows.blocks()))[:, 0], np.arange(1000))
    np.testing.assert_array_equal(rows.sample(3)[:, 0], [0, 499, 999])


def test_another_shape_is_a_view_of_the_same_arrays():
    flat = np.arange(24).reshape(4, 6)
    rows = Rows([flat[:3], flat[3:]])
    shaped = rows.shaped((2, 3))
    assert rows.shaped((6,)) is rows
    assert rows.shape == (4, 6)
    assert shaped.shape == (4, 2, 3)
    np.testing.assert_array_equal(shaped[np.array([3, 0])], flat[[3, 0]].reshape(2, 2, 3))
    np.testing.assert_array_equal(np.concatenate(list(shaped.blocks())), flat.reshape(4, 2, 3))
    np.testing.assert_array_equal(shaped.sample(2)[1], flat[3].reshape(2, 3))
    assert shaped.shaped((6,)).shape == (4, 6)
    with pytest.raises(UserError, match=r"\(2, 3\) cannot take the shape \(5,\)"):
        shaped.shaped((5,))


def test_a_change_is_made_each_time_examples_are_read(monkeypatch):
    monkeypatch.setattr(rows_module, "BLOCK", 3 * 8)  # 1 example of 3 numbers in each block
    x = np.arange(12.0).reshape(4, 3)
    rows = Rows([x[:3], x[3:]]).mapped(lambda a: (10 * a).astype(np.float32)).mapped(np.negative)
    assert (rows.dtype, rows.shape) == (np.float64, (4, 3))
    for found in (rows[np.arange(4)], rows.sample(4), np.concatenate(list(rows.blocks()))):
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, -10 * x)
    assert [len(block) for block in rows.blocks()] == [1] * 4
    assert rows.shaped((3, 1))[np.array([1])][0, 2, 0] == -50
    assert [len(block) for block in rows_module.blocks_of(x)] == [1] * 4


@pytest.mark.parametrize("parts", [np.zeros((3, 2)), [[1, 2], [3, 4]], [np.zeros((1, 2)), None]])
def test_what_is_no_list_of_arrays_is_refused(parts):
    with pytest.raises(UserError, match=r"Rows needs a list of arrays, such as Rows\(\[x\]\)"):
        Rows(parts)


def test_arrays_of_different_kinds_are_refused():
    with pytest.raises(UserError, match="one shape and dtype"):
        Rows([np.zeros((3, 2)), np.zeros((3, 4))])
    with pytest.raises(UserError, match="at least one array"):
        Rows([])
    with pytest.raises(UserError, match="empty"):
        Rows([np.zeros((0, 3))])


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ([5], "index 5 is out of range; Rows takes 0 to 4"),
        ([0, -1], "index -1"),
        ([True, False], "indexed with bool"),
        ([0.0], "indexed with float"),
    ],
)
def test_an_invalid_index_is_an_error(index, words):
    rows = Rows([np.zeros((3, 2)), np.ones((2, 2))])
    with pytest.raises(IndexError, match=words):
        rows[np.array(index)]
    assert len(list(rows)) == 5
