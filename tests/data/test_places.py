"""The folders of data sets and of the cache, with and without a home."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from cpvae_jax.data import Places, load
from cpvae_jax.errors import UserError


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """Neither HOME nor an entry of the user database; the folder for temporary files."""

    def nobody(*args):
        raise KeyError("getpwuid(): uid not found")

    for name in ("HOME", "TFDS_DATA_DIR", "CPVAE_JAX_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    monkeypatch.setattr("pwd.getpwnam", nobody)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    return tmp_path / "temporary"


def test_places_come_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "t"))
    monkeypatch.setenv("CPVAE_JAX_CACHE", str(tmp_path / "c"))
    places = Places.find()
    assert (places.data_dir, places.cache_dir) == (tmp_path / "t", tmp_path / "c")
    assert places.manual_dir == tmp_path / "t" / "downloads" / "manual"
    assert Places.find(tmp_path / "given").data_dir == tmp_path / "given"
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("CPVAE_JAX_CACHE", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Places.find().data_dir == tmp_path / "tensorflow_datasets"
    assert Places.find().cache_dir == tmp_path / ".cache" / "cpvae_jax"


def test_a_manual_folder_must_exist(tmp_path):
    with pytest.raises(UserError, match=r"manual folder .*nowhere is not a folder"):
        Places.find(manual_dir=tmp_path / "nowhere")


def test_without_a_home_private_temporary_folders_are_used(homeless):
    places = Places.find()
    private = homeless / f"cpvae_jax-{os.getuid()}"
    assert places.cache_dir == private / ".cache" / "cpvae_jax"
    assert places.data_dir == private / "tensorflow_datasets"
    assert private.stat().st_mode & 0o077 == 0
    assert Places.find() == places


@pytest.mark.parametrize("taken", ["a file", "a link", "open to all", "of another user"])
def test_a_temporary_folder_that_others_can_write_to_is_not_used(homeless, taken, tmp_path):
    place = homeless / f"cpvae_jax-{os.getuid()}"
    if taken == "a file":
        place.touch()
    elif taken == "a link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.mkdir()
        if taken == "open to all":
            place.chmod(0o777)
        elif os.getuid() == 0:
            os.chown(place, 12345, 12345)
        else:
            pytest.skip("only root can give a folder to another user")
    cache = Places.find().cache_dir
    assert not cache.is_relative_to(place)
    assert cache.is_relative_to(homeless)


def test_without_a_home_given_folders_are_used(homeless, tmp_path):
    places = Places.find(tmp_path / "data", cache_dir=tmp_path / "cache")
    assert (places.data_dir, places.cache_dir) == (tmp_path / "data", tmp_path / "cache")
    assert list(homeless.iterdir()) == []


@pytest.mark.parametrize("which", ["data_dir", "manual_dir", "cache_dir"])
@pytest.mark.parametrize(
    ("path", "words"),
    [("~/data", "no home folder"), ("gs://bucket/data", "is a URL"), ("s3://b", "is a URL")],
)
def test_folders_that_cannot_be_are_refused(homeless, which, path, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"the {which[:-4]} folder is .*{words}"):
        Places.find(**{which: path})
    with pytest.raises(UserError, match=words):
        load(path)


def test_a_url_in_the_environment_does_not_hinder_data_of_ones_own(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", "gs://tfds-data/datasets")
    np.savez(tmp_path / "x.npz", x=np.arange(20.0))
    assert load(tmp_path / "x.npz").shape == (1,)


def test_a_process_without_a_home_finds_its_places():
    """A user number without an entry, as containers have; only root can become one."""
    if os.getuid() != 0:
        pytest.skip("only root can start a process of another user")
    code = (
        "import os\n"
        "from cpvae_jax.data import Places, load\n"
        "os.setuid(54321)\n"
        "print(Places.find().cache_dir)\n"
        "try:\n    load('~/x.npz')\n"
        "except Exception as error:\n    print(error)"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "CPVAE_JAX_CACHE")}
    with tempfile.TemporaryDirectory() as temporary:  # the folders of pytest are root's alone
        os.chmod(temporary, 0o777)
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**environment, "TMPDIR": temporary},
        )
        cache, message = done.stdout.splitlines()
        assert Path(cache).is_relative_to(temporary)
    assert "no home folder" in message
