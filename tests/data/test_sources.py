"""Data sets by name or path."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cpvae_jax.data import SOURCES, load, register
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
    with pytest.raises(UserError, match=r"no data set 'zzz': give the path of a table"):
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
    (tmp_path / "data.dat").write_text("1,2")
    with pytest.raises(UserError, match=r"data.dat is not an .npz file"):
        load(tmp_path / "data.dat")


@pytest.mark.parametrize("name", ["MINE", "mime", "Miine", "mines"])
def test_a_misspelt_name_is_suggested_whatever_its_case(mine, name):
    with pytest.raises(UserError, match=rf"'{name}'; did you mean 'mine'\?"):
        load(name)


@pytest.mark.parametrize(
    ("misspelt", "right"),
    [
        ("pictures/minee.npz", "pictures/mine.npz"),
        ("pictures/mine.nzp", "pictures/mine.npz"),
        ("picture/mine.npz", "pictures/mine.npz"),
        ("Pictures", "pictures"),
        ("pictures/MINE", "pictures/mine.npz"),
    ],
)
def test_a_misspelt_path_suggests_what_is_near_it(tmp_path, misspelt, right):
    (tmp_path / "pictures").mkdir()
    np.savez(tmp_path / "pictures" / "mine.npz", x=np.zeros((20, 1)))
    with pytest.raises(UserError, match=rf"'.*{misspelt}'.*; did you mean '{tmp_path}/{right}'\?"):
        load(tmp_path / misspelt)


@pytest.mark.parametrize("name", ["mnist", "MNIST", "minst"])
def test_the_papers_data_sets_are_pointed_to_their_command(monkeypatch, name):
    monkeypatch.setattr(SOURCES, "names", lambda: [])
    monkeypatch.setattr(type(SOURCES), "__contains__", lambda self, name: False)
    with pytest.raises(
        UserError, match=rf"'{name}'; .* python -m experiments.run --dataset mnist, "
    ):
        load(name)


def test_nothing_similar_suggests_nothing(tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(UserError) as caught:
        load(tmp_path / "zzzz" / "yyyy")
    assert "did you mean" not in str(caught.value)


@pytest.mark.parametrize("name", ["", " ", "\t\n", b"", None, 3])
def test_an_empty_name_is_not_the_current_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"The data set is .*: .*give the path of a table"):
        load(name)


@pytest.mark.parametrize("make", [str, Path])
@pytest.mark.parametrize(
    "url", ["gs://bucket/x.npz", "s3://bucket/folder", "https://host/x.npz", "file:///data/x.npz"]
)
def test_a_url_is_refused(make, url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"the data set is .*://?.*, which is a URL; give a path"):
        load(make(url))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["a" * 256, "a" * 256 + ".npz", "b/" * 3000, "\u00e9" * 200, os.fsdecode(b"caf\xe9"), "a\0b"],
    ids=["name", "file", "path", "bytes", "not UTF-8", "zero byte"],
)
def test_names_that_no_file_can_have_or_that_are_not_utf8(name):
    with pytest.raises(UserError) as caught:
        load(name)
    assert len(str(caught.value)) < 500
    assert str(caught.value).encode("utf-8")


def test_a_loop_of_links_and_a_broken_link_are_no_data_set(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    for name in ("loop", "broken"):
        with pytest.raises(UserError, match=rf"There is no data set '.*{name}'"):
            load(tmp_path / name)


def test_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(UserError, match=r"pipe\.npz is neither a file nor a folder"):
        load(tmp_path / "pipe.npz")


def test_what_may_not_be_entered_is_named(tmp_path, monkeypatch):
    def refuse(path, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)  # root may enter everything
    with pytest.raises(
        UserError, match=r"closed/x\.npz cannot be read \(permission denied\): allow"
    ):
        load(tmp_path / "closed" / "x.npz")


@pytest.mark.parametrize("package", ["cpvae_jax.data", "experiments.data"])
def test_importing_the_loaders_imports_nothing_slow(package):
    code = (
        f"import sys, {package}\n"
        "print({'jax', 'tensorflow_datasets', 'sklearn', 'scipy', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
