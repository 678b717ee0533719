"""Damaged and malicious files in place of `chardata.mat`."""

import numpy as np
import pytest
from scipy.io import savemat

from cpvae_jax.data import Places
from cpvae_jax.errors import UserError
from experiments.data import omniglot_mat


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"data": np.array([{"a": 1}], object)}, "data has the type cell"),
        ({"data": {"field": 1.0}}, "data has the type struct"),
        ({"data": "text"}, "data has the type char"),
        ({"other": np.zeros(3)}, "KeyError"),
        ({"data": np.zeros((3, 4)), "testdata": np.zeros((3, 4))}, "ValueError|KeyError"),
    ],
)
def test_an_unrelated_mat_file_is_refused(tmp_path, arrays, words):
    savemat(tmp_path / omniglot_mat.FILE, arrays)
    with pytest.raises(UserError, match=rf"chardata\.mat does not have the layout .*({words})"):
        omniglot_mat.load(Places(tmp_path, tmp_path, tmp_path / "cache"))


def test_a_mat_file_that_claims_a_huge_array_is_refused_before_it_is_read(tmp_path, monkeypatch):
    savemat(tmp_path / omniglot_mat.FILE, {"data": np.zeros((784, 50))})
    path = tmp_path / omniglot_mat.FILE
    sizes = np.array([784, 50], "<i4").tobytes()
    content = path.read_bytes()
    assert content.count(sizes) == 1
    path.write_bytes(content.replace(sizes, np.array([784, 2**30], "<i4").tobytes()))
    with pytest.raises(UserError, match="GiB of arrays"):
        omniglot_mat.load(Places(tmp_path, tmp_path, tmp_path / "cache"))
