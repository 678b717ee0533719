"""A folder of `.npy` files."""

import os

import numpy as np
import pytest

from cpvae_jax.data import Rows, check, load
from cpvae_jax.errors import UserError


@pytest.fixture
def folder(tmp_path):
    """Two training files, one of validation and one of test examples, with labels."""
    rng = np.random.default_rng(0)
    path = tmp_path / "big"
    path.mkdir()
    for name, num in (("train-0", 60), ("train-1", 40), ("valid", 20), ("test", 30)):
        ink = 255 * rng.integers(0, 2, (num, 4, 3), dtype=np.uint8)
        np.save(path / f"{name}.npy", ink)
    np.save(path / "test_labels.npy", rng.integers(0, 3, 30))
    np.save(path / "train_labels.npy", rng.integers(0, 3, 100))
    return path


def test_the_training_part_stays_on_disk(folder):
    data = load(folder)
    assert isinstance(data.train, Rows)
    assert all(isinstance(part, np.memmap) for part in data.train.parts)
    assert data.train.shape == (100, 4, 3)
    assert data.shape == (4, 3)
    assert data.kind == "grey"
    assert data.test_labels.shape == (30,)
    assert data.valid_labels is None


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("valid", None, r"valid\.npy does not exist"),
        (
            "test",
            np.zeros((3, 4, 3), complex),
            r"dtype complex128 and shape \(3, 4, 3\): store num",
        ),
        ("train-1", np.zeros((3, 4), np.uint8), "one shape and dtype"),
        ("train-0", np.zeros(3, np.uint8), r"shape \(3,\): store numbers"),
        ("test", b"\x93NUMPY nonsense", "with numpy.save"),
        ("valid", b"", r"valid\.npy cannot be read"),
    ],
)
def test_unusable_files_are_named(folder, name, array, words):
    file = folder / f"{name}.npy"
    file.unlink()
    if isinstance(array, bytes):
        file.write_bytes(array)
    elif array is not None:
        np.save(file, array)
    with pytest.raises(UserError, match=words):
        load(folder)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, ">f8", np.longdouble])
def test_numbers_of_any_type_keep_their_value(tmp_path, dtype):
    x = np.array([[3_000_000_000], [3_000_000_001]], dtype)
    for name in ("train", "valid", "test"):
        np.save(tmp_path / f"{name}.npy", x)
    data = load(tmp_path)
    assert data.kind == "real"
    for part in (data.train[np.arange(2)], data.valid):
        np.testing.assert_array_equal(part, x)


LABELS = {
    "objects": np.array([{}, 1] * 15, object),
    "strings as objects": np.array(["a", "b"] * 15, object),
    "records": np.zeros(30, "i4,i4"),
    "dates": np.zeros(30, "M8[D]"),
    "fractions": np.full(30, 0.5),
    "of no example": np.zeros(0, np.int64),
    "too few": np.zeros(29, np.int64),
    "one number": np.array(3),
    "two columns": np.zeros((30, 2), np.int64),
    "empty": b"",
    "noise": b"no array at all",
    "an archive": None,
    "a folder": None,
    "a pipe": None,
    "a broken link": None,
}


@pytest.mark.parametrize("name", LABELS)
def test_unusable_label_files_are_refused_and_named(folder, name):
    file, content = folder / "test_labels.npy", LABELS[name]
    file.unlink()
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        np.save(file, content, allow_pickle=True)
    elif name == "an archive":
        with file.open("wb") as opened:
            np.savez(opened, x=np.zeros(30))
    elif name == "a folder":
        file.mkdir()
    elif name == "a pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("gone.npy")
    with pytest.raises(UserError, match=r"big.*(test.labels|test_labels\.npy)"):
        check(load(folder))


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("name", ["test_labels", "train-1", "valid"])
def test_a_truncated_file_is_refused_and_named(folder, name, share):
    file = folder / f"{name}.npy"
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=rf"{name}\.npy cannot be read"):
        load(folder)


def test_labels_that_claim_more_than_the_file_holds_are_refused(folder):
    content = (folder / "test_labels.npy").read_bytes()
    claim = content.replace(b"(30,)", b"(10000000000000,)").replace(b" " * 12, b"", 1)
    (folder / "test_labels.npy").write_bytes(claim)
    with pytest.raises(UserError, match=r"test_labels\.npy cannot be read"):
        load(folder)


@pytest.mark.parametrize("name", ["test_labels", "train-0", "test"])
def test_a_file_that_may_not_be_read_is_named(folder, name, monkeypatch):
    real = np.load

    def refusing(file, *args, **kwargs):
        if file.stem == name:
            raise PermissionError(13, "Permission denied")
        return real(file, *args, **kwargs)

    monkeypatch.setattr(np, "load", refusing)  # root may read everything
    with pytest.raises(UserError, match=rf"{name}\.npy cannot be read \(permission denied\)"):
        load(folder)


def test_the_current_folder_has_its_own_name(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert load(".").name == "big"


def test_string_labels_are_class_names(folder):
    np.save(folder / "test_labels.npy", np.array([b"caf\xc3\xa9", b"na\xefve"] * 15))
    data = load(folder)
    assert data.class_names == ("caf\u00e9", r"na\xefve")
    assert data.test_labels.tolist() == [0, 1] * 15
