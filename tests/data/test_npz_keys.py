"""Other names of the arrays of an `.npz` file, single arrays and sparse matrices."""

import numpy as np
import pytest
import scipy.sparse

from cpvae_jax.data import load
from cpvae_jax.errors import UserError

X, Y = np.arange(80.0).reshape(40, 2) + 0.5, np.arange(40) % 3


def parts(data):
    return {name: getattr(data, name).tolist() for name in ("train", "valid", "test")}


def labels(data):
    return [getattr(data, f"{name}_labels").tolist() for name in ("train", "valid", "test")]


@pytest.mark.parametrize(
    "names",
    [
        ("X", "y"),
        ("data", "target"),
        ("images", "labels"),
        ("features", "targets"),
        ("DATA", "Label"),
    ],
)
def test_names_of_examples_and_labels(tmp_path, names):
    np.savez(tmp_path / "one.npz", **dict(zip(names, (X, Y), strict=True)))
    np.savez(tmp_path / "two.npz", x=X, y=Y)
    one, two = load(tmp_path / "one.npz"), load(tmp_path / "two.npz")
    assert parts(one) == parts(two)
    assert labels(one) == labels(two)


@pytest.mark.parametrize(
    "spelled",
    [
        "x_{part} y_{part}",
        "{part}_images {part}_labels",
        "{part}_x {part}_y",
        "{part}_data {part}_target",
        "{part} y_{part}",
    ],
)
def test_names_of_parts(tmp_path, spelled):
    cut = {"train": slice(0, 30), "val": slice(30, 36), "test": slice(36, 40)}
    arrays = {}
    for part, rows in cut.items():
        for name, values in zip(spelled.format(part=part).split(), (X, Y), strict=True):
            arrays[name] = values[rows]
    np.savez(tmp_path / "mine.npz", **arrays, data=np.zeros(3))  # "data" is something else then
    found = load(tmp_path / "mine.npz")
    assert parts(found) == {
        "train": X[:30].tolist(),
        "valid": X[30:36].tolist(),
        "test": X[36:].tolist(),
    }
    assert labels(found) == [Y[:30].tolist(), Y[30:36].tolist(), Y[36:].tolist()]


def test_a_key_under_its_own_name_takes_precedence(tmp_path):
    np.savez(tmp_path / "mine.npz", x=X, data=X + 1, target=Y)
    found = load(tmp_path / "mine.npz")
    np.savez(tmp_path / "plain.npz", x=X, y=Y)
    assert parts(found) == parts(load(tmp_path / "plain.npz"))


def test_two_names_of_one_thing_are_refused(tmp_path):
    np.savez(tmp_path / "mine.npz", data=X, images=X)
    with pytest.raises(UserError, match="has the keys data, images, which may all be x: rename"):
        load(tmp_path / "mine.npz")


def test_a_single_array_and_a_sparse_matrix_are_examples(tmp_path):
    np.savez(tmp_path / "x.npz", x=X)
    np.save(tmp_path / "x.npy", X)
    scipy.sparse.save_npz(tmp_path / "sparse.npz", scipy.sparse.csr_matrix(X))
    expected = parts(load(tmp_path / "x.npz"))
    assert parts(load(tmp_path / "x.npy")) == expected
    assert parts(load(tmp_path / "sparse.npz")) == expected


def test_arrays_of_objects_are_not_unpickled(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}, {}]), allow_pickle=True)
    with pytest.raises(UserError, match=r"x\.npy cannot be read"):
        load(tmp_path / "x.npy")
