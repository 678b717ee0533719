"""Data sets by name or path."""

import subprocess
import sys

import numpy as np
import pytest

from cpvae_jax.data import SOURCES, Places, load, register
from cpvae_jax.errors import UserError


@pytest.fixture
def mine():
    """A registered loader that returns its options."""
    register("mine", lambda places, **options: options)
    yield
    SOURCES.forget("mine")


def test_a_registered_loader_gets_places_and_options(mine, tmp_path):
    assert load("mine", num=3, cache_dir=tmp_path) == {"num": 3}
    SOURCES.forget("mine")
    register("mine", lambda places: places)
    assert load("mine", cache_dir=tmp_path).cache_dir == tmp_path
    with pytest.raises(UserError, match="data set mine has no option num"):
        load("mine", num=3)


def test_two_loaders_cannot_share_a_name(mine):
    with pytest.raises(UserError, match="'mine'"):
        register("mine", lambda places: None)


def test_an_unknown_name_suggests_the_closest(mine, tmp_path):
    with pytest.raises(UserError, match=r"'miine'; did you mean 'mine'\? Choose .*mine.* path"):
        load("miine")
    with pytest.raises(UserError, match=r"no data set 'zzz': choose one of .*mine.* path"):
        load("zzz")


def test_without_names_only_paths_are_suggested(monkeypatch):
    monkeypatch.setattr(SOURCES, "names", lambda: [])
    with pytest.raises(UserError, match=r"no data set 'zzz': give the path of an \.npz file"):
        load("zzz")


def test_a_name_takes_precedence_over_a_path(mine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name in ("train", "valid", "test"):
        np.save(tmp_path / "mine" / f"{name}.npy", np.zeros((2, 3), np.float32))
    assert load("mine") == {}
    assert load("./mine").shape == (3,)


def test_a_path_has_no_options(tmp_path):
    with pytest.raises(UserError, match="has no option seed"):
        load(tmp_path, seed=3)


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "data.csv").write_text("1,2")
    with pytest.raises(UserError, match=r"data.csv is not an .npz file"):
        load(tmp_path / "data.csv")


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


@pytest.mark.parametrize("package", ["cpvae_jax.data", "experiments.data"])
def test_importing_the_loaders_imports_nothing_slow(package):
    code = (
        f"import sys, {package}\n"
        "print({'jax', 'tensorflow_datasets', 'sklearn', 'scipy', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
