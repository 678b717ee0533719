import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cpvae_jax import Config, checks
from cpvae_jax.errors import UserError
from experiments.data import idx, load

# How often each digit occurs in the official test set.
TEST_LABELS = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_sizes_and_known_facts(mnist):
    checks.dataset(Config(shape=(28, 28)), mnist)
    assert [len(x) for x in (mnist.train, mnist.valid, mnist.test)] == [50_000, 10_000, 10_000]
    assert mnist.shape == (28, 28)
    assert mnist.train.dtype == np.uint8
    assert mnist.train_labels.dtype == np.int32
    assert np.bincount(mnist.test_labels).tolist() == TEST_LABELS
    # The mean that is commonly used to normalise MNIST.
    mean = (mnist.train.mean() * 5 + mnist.valid.mean()) / 6 / 255
    assert mean == pytest.approx(0.1307, abs=5e-5)


def test_the_parts_are_disjoint(mnist, rows):
    every = np.concatenate([rows(x) for x in (mnist.train, mnist.valid, mnist.test)])
    assert len(np.unique(every)) == 70_000


def test_prepared_images_are_those_of_the_original_files(mnist, originals, rows):
    original = {
        part: [idx.read(originals / file) for file in files] for part, files in idx.FILES.items()
    }
    read = {
        "train": [
            np.concatenate([mnist.train, mnist.valid]),
            np.concatenate([mnist.train_labels, mnist.valid_labels]),
        ],
        "test": [mnist.test, mnist.test_labels],
    }
    for part in ("train", "test"):
        pairs = []
        for images, labels in (original[part], read[part]):
            images = rows(images)
            order = np.argsort(images)
            pairs.append((images[order], np.asarray(labels)[order]))
        np.testing.assert_array_equal(pairs[0][0], pairs[1][0])
        np.testing.assert_array_equal(pairs[0][1], pairs[1][1])


def test_preparing_from_the_original_files(mnist, originals, tmp_path, monkeypatch, offline, rows):
    # The real files and checksums, but few images: all of them would take half a minute.
    read = idx.read
    monkeypatch.setattr(idx, "read", lambda path: read(path)[:500])
    monkeypatch.setattr(idx, "SIZES", {"train": 500, "test": 500})
    monkeypatch.setattr(idx, "TRAIN", 400)
    options = {"data_dir": tmp_path / "a" / "b", "cache_dir": tmp_path / "c"}
    made = load("mnist", manual_dir=originals, **options)
    for part, images, labels in [
        ("train", (made.train, made.valid), (made.train_labels, made.valid_labels)),
        ("test", (made.test,), (made.test_labels,)),
    ]:
        images, labels = np.concatenate(images), np.concatenate(labels)
        expected = [read(originals / f)[:500] for f in idx.FILES[part]]
        order, other = np.argsort(rows(images)), np.argsort(rows(expected[0]))
        np.testing.assert_array_equal(images[order], expected[0][other])
        np.testing.assert_array_equal(labels[order], expected[1][other])
    assert [path.name for path in options["data_dir"].iterdir()] == ["mnist"]
    # The prepared data set is found without the original files.
    again = load("mnist", **options)
    np.testing.assert_array_equal(again.train, made.train)


def test_the_second_start_decodes_nothing(mnist, prepared, cache_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    start = time.perf_counter()
    again = load("mnist", data_dir=prepared, cache_dir=cache_dir)
    assert time.perf_counter() - start < 3  # 0.3 s on an idle machine, where decoding takes 10
    np.testing.assert_array_equal(again.train, mnist.train)


def test_a_failure_midway_leaves_nothing(originals, tmp_path, monkeypatch):
    def fail(path: Path):
        raise OSError("no space left")

    monkeypatch.setattr(idx, "read", fail)
    with pytest.raises(UserError, match=r"Preparing mnist in .* failed \(no space left"):
        load("mnist", data_dir=tmp_path / "a" / "b", manual_dir=originals)
    assert list(tmp_path.iterdir()) == []


def test_an_original_with_a_wrong_checksum_is_refused(originals, tmp_path):
    manual, data = tmp_path / "manual", tmp_path / "data"
    manual.mkdir()
    for file in originals.iterdir():
        (manual / file.name).write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match="wrong checksum"):
        load("mnist", data_dir=data, manual_dir=manual)
    assert not data.exists()
