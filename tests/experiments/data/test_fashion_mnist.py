"""Fashion-MNIST from its four original files, made ones and the real ones."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from cpvae_jax import Config, checks
from cpvae_jax.errors import UserError
from experiments.data import fashion_mnist, idx, load
from tests.experiments.data.conftest import existing


def idx_file(array):
    """An array in the format of the original MNIST."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Forty images to train on and ten to test, in files that are taken for the real ones."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "manual"
    folder.mkdir()
    arrays = {}
    for split, num in (("train", 40), ("test", 10)):
        x, y = rng.integers(0, 256, (num, 28, 28)), np.arange(num) % 10
        arrays[split] = np.uint8(x), y
        for file, array in zip(idx.FILES[split], (x, y), strict=True):
            content = idx_file(array)
            (folder / file).write_bytes(gzip.compress(content))
            monkeypatch.setitem(fashion_mnist.CONTENTS, file, hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(idx, "SIZES", {"train": 40, "test": 10})
    monkeypatch.setattr(idx, "TRAIN", 30)
    return folder, arrays


def test_files_of_the_user_are_prepared_without_a_network(made, tmp_path, offline):
    folder, arrays = made
    places = {"data_dir": tmp_path / "tfds", "cache_dir": tmp_path / "cache"}
    data = load("fashion_mnist", manual_dir=folder, **places)
    assert [len(x) for x in (data.train, data.valid, data.test)] == [30, 10, 10]
    assert data.kind == "grey"
    assert data.train.dtype == np.uint8
    assert data.class_names[data.test_labels[0]] in fashion_mnist.CLASSES
    found = {
        "train": (
            np.concatenate([data.train, data.valid]),
            [*data.train_labels, *data.valid_labels],
        ),
        "test": (data.test, data.test_labels),
    }
    for split, (x, y) in arrays.items():
        of_image = {image.tobytes(): label for image, label in zip(x, y, strict=True)}
        images, labels = found[split]
        assert [of_image[image.tobytes()] for image in images] == list(labels)
        assert len({image.tobytes() for image in images}) == len(x)
    again = load("fashion_mnist", **places)  # without the original files
    np.testing.assert_array_equal(again.train, data.train)


def test_a_file_with_another_content_is_refused(made, tmp_path, offline):
    folder, _ = made
    file = folder / idx.FILES["train"][1]
    file.write_bytes(gzip.compress(idx_file(np.zeros(40))))
    with pytest.raises(UserError, match=r"Preparing fashion_mnist in .* failed \(.*checksum"):
        load("fashion_mnist", data_dir=tmp_path / "tfds", manual_dir=folder)
    file.write_bytes(gzip.compress(idx_file(np.zeros(40)))[:20])  # half a download
    with pytest.raises(UserError, match=r"Preparing fashion_mnist in .* failed"):
        load("fashion_mnist", data_dir=tmp_path / "tfds", manual_dir=folder)
    assert not (tmp_path / "tfds").exists()


def test_the_real_files_have_the_content_that_is_known():
    folder = existing("data/fashion_mnist", "folder of Fashion-MNIST's original files")
    for file, content in fashion_mnist.CONTENTS.items():
        assert idx._content(folder / file) == content


def test_the_real_files_are_prepared(tmp_path, monkeypatch, offline):
    """The real files, but few images: all of them would take a minute."""
    folder = existing("data/fashion_mnist", "folder of Fashion-MNIST's original files")
    read = idx.read
    monkeypatch.setattr(idx, "read", lambda path: read(path)[:500])
    monkeypatch.setattr(idx, "SIZES", {"train": 500, "test": 500})
    monkeypatch.setattr(idx, "TRAIN", 400)
    data = load("fashion_mnist", data_dir=tmp_path, manual_dir=folder, cache_dir=tmp_path / "c")
    checks.dataset(Config(shape=(28, 28)), data)
    assert [len(x) for x in (data.train, data.valid, data.test)] == [400, 100, 500]
    expected = read(folder / idx.FILES["test"][0])[:500]
    assert {image.tobytes() for image in data.test} == {image.tobytes() for image in expected}
    # Trousers are narrow and tall: their ink lies in the middle third.
    trousers = data.test[data.test_labels == fashion_mnist.CLASSES.index("Trouser")]
    assert trousers[:, :, 9:19].sum() > 0.8 * trousers.sum()
