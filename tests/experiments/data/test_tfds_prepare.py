import shutil
import threading
import time

import pytest

from cpvae_jax.errors import UserError
from experiments.data import load
from experiments.data.tfds_prepare import _reachable


@pytest.mark.parametrize(
    ("name", "host", "file"),
    [
        ("mnist", "storage.googleapis.com", "train-images-idx3-ubyte.gz"),
        ("omniglot", "github.com", "images_background.zip"),
        (
            "fashion_mnist",
            "fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            "train-labels-idx1-ubyte.gz",
        ),
    ],
)
def test_a_missing_data_set_is_reported_at_once_if_offline(name, host, file, tmp_path, offline):
    start = time.perf_counter()
    with pytest.raises(UserError, match=rf"{name} is not prepared .*{host} .*{file}.* into") as e:
        load(name, data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    assert time.perf_counter() - start < 5
    assert "--data-dir" in str(e.value)
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_never_answers_times_out(monkeypatch):
    given_up, ended = threading.Event(), threading.Event()

    def hang(*args):
        given_up.wait(60)
        ended.set()
        raise OSError("too late")

    monkeypatch.setattr("socket.create_connection", hang)
    start = time.perf_counter()
    assert not _reachable("example.org")
    assert time.perf_counter() - start < 4
    given_up.set()
    assert ended.wait(5)


def test_only_missing_originals_are_listed(originals, tmp_path, offline):
    shutil.copy(originals / "train-images-idx3-ubyte.gz", tmp_path)
    with pytest.raises(UserError) as e:
        load("mnist", data_dir=tmp_path / "data", manual_dir=tmp_path)
    assert "train-labels" in str(e.value)
    assert "train-images" not in str(e.value)


def test_another_format_is_named(tmp_path):
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    (folder / "mnist-train.tfrecord-00000-of-00001").touch()
    with pytest.raises(UserError, match=r"no data set in the array_record format"):
        load("mnist", data_dir=tmp_path)


def test_truncated_records_are_named(prepared, tmp_path):
    folder = tmp_path / "mnist" / "3.0.1"
    shutil.copytree(prepared / "mnist" / "3.0.1", folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    for file in folder.glob("*.array_record-*"):
        file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(
        UserError, match=r"prepared data set .* cannot be read .*: check the disk .* rename"
    ):
        load("mnist", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
