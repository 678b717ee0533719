"""Paths that users give: what they mean, and which are refused."""

import os
from pathlib import Path

import pytest

from cpvae_jax import UserError
from cpvae_jax.storage import folders


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "is empty"),
        (b"", "is empty"),
        ("gs://bucket/run", "gs://bucket/run, which is a URL"),
        (Path("gs://bucket/run"), "gs:/bucket/run, which is a URL"),
        ("s3://bucket", "is a URL"),
        ("file:///data/run", "is a URL"),
        ("hdfs+x://host/run", "is a URL"),
        ("a\0b", "has a zero byte"),
        ("a\ud800b", "has characters that no path has"),
        (None, "None; give a path"),
        (3, "3; give a path"),
        (["run"], r"\['run'\]; give a path"),
    ],
)
@pytest.mark.parametrize("read", [folders.given, folders.resolved])
def test_what_is_no_path_is_refused(path, words, read):
    with pytest.raises(UserError, match=f"the place .*{words}"):
        read(path, "the place")


@pytest.mark.parametrize("path", ["~", "~/run", "~/a/../run", Path("~/run"), b"~/run"])
def test_a_tilde_is_the_home_folder(path, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    wanted = os.path.expanduser(os.fsdecode(path))
    assert wanted.startswith(str(tmp_path))
    assert folders.given(path) == Path(wanted)
    assert folders.resolved(path) == Path(os.path.realpath(wanted))


@pytest.mark.parametrize("path", ["~", "~/run"])
def test_a_tilde_without_a_home_folder_is_refused(path, monkeypatch):
    monkeypatch.setattr(os.path, "expanduser", lambda text: text)
    with pytest.raises(UserError, match="no home folder; set HOME, or give the whole path"):
        folders.given(path)


@pytest.mark.parametrize("path", ["a~b", "~mine", "x:y", "12:00/x", "a b ", "back\\slash"])
def test_other_names_are_taken_as_they_are(path):
    assert folders.given(path) == Path(path)


def test_a_link_is_followed_before_the_folder_above(tmp_path, monkeypatch):
    """As the operating system does: `link/..` is beside the target of the link."""
    (tmp_path / "far" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "inner")
    (tmp_path / "far" / "back").symlink_to("..")
    root = Path(os.path.realpath(tmp_path))
    monkeypatch.chdir(tmp_path)
    for path, wanted in {
        "link/../run": root / "far" / "run",
        "link/../back/run": root / "run",
        "./new/../run": root / "run",
        "run//inner/": root / "run" / "inner",
    }.items():
        assert folders.resolved(path) == wanted
        assert folders.resolved(tmp_path / path) == wanted


@pytest.mark.parametrize(
    "path", ["a" * 256, f"new/{'a' * 300}/run", "é" * 128, os.fsdecode(b"\xff" * 256)]
)
def test_a_long_name_is_refused(path, tmp_path):
    with pytest.raises(UserError, match=r"has a name of \d+ bytes, .* takes \d+; choose a shorter"):
        folders.resolved(tmp_path / path)
    assert not list(tmp_path.iterdir())


def test_a_long_path_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"is a path of \d+ bytes, .* leave room for the files"):
        folders.resolved(tmp_path / "/".join(["a" * 100] * 40))


def test_a_current_folder_that_is_gone_is_named(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UserError, match="the current folder no longer exists"):
        folders.resolved("run")


def test_a_folder_that_no_link_can_stand_for_is_refused(tmp_path, monkeypatch):
    odd = tmp_path / "back\\slash"
    odd.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(odd))
    with (
        pytest.raises(UserError, match="choose another folder, or set TMPDIR"),
        folders.for_arrays(odd),
    ):
        pass
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(UserError, match="needs a temporary link"), folders.for_arrays(odd):
        pass
    assert not list(odd.iterdir())
