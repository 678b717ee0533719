import logging
import os
from pathlib import Path

import numpy as np
import pytest

from cpvae_jax.data.cache import cached


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    root.mkdir()
    (root / "a").write_bytes(b"12345")
    return root


@pytest.fixture
def counted(tmp_path, source):
    """`counted()` reads through the cache; `counted.builds` counts the builds."""

    def read(cache_dir=tmp_path / "cache"):
        def build():
            read.builds += 1
            return {"x": np.arange(1000, dtype=np.uint8), "names": np.array(["a", "bc"])}

        return cached(cache_dir, "made", source, list(source.iterdir()), build)

    read.builds = 0
    return read


def test_the_second_read_builds_nothing(counted, tmp_path):
    first, second = counted(), counted()
    assert counted.builds == 1
    assert first.keys() == second.keys() == {"x", "names"}
    np.testing.assert_array_equal(first["x"], second["x"])
    assert second["names"].tolist() == ["a", "bc"]
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".npz"]


@pytest.mark.parametrize("change", ["size", "time", "name", "more"])
def test_a_changed_source_is_read_again_and_replaces_the_old(counted, source, tmp_path, change):
    counted()
    if change == "size":
        (source / "a").write_bytes(b"123456")
    elif change == "time":
        os.utime(source / "a", ns=(1, 1))
    elif change == "name":
        (source / "a").rename(source / "b")
    else:
        (source / "b").touch()
    counted()
    counted()
    assert counted.builds == 2
    assert len(list((tmp_path / "cache").iterdir())) == 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_damaged_cache_is_read_again(counted, tmp_path, share, damage, caplog):
    counted()
    (path,) = (tmp_path / "cache").iterdir()
    content = bytearray(path.read_bytes())
    at = int(share * len(content))
    if damage == "cut":
        del content[at:]
    else:
        content[at] ^= 255
    path.write_bytes(content)
    with caplog.at_level(logging.ERROR):
        again = counted()
    np.testing.assert_array_equal(again["x"], np.arange(1000, dtype=np.uint8))
    counted()
    assert counted.builds <= 2


def test_a_cache_that_cannot_be_written_is_only_logged(counted, tmp_path, caplog):
    (tmp_path / "file").touch()
    assert counted(tmp_path / "file" / "cache")["x"].size == 1000
    assert "cannot be written" in caplog.text


def test_names_that_are_not_utf8_are_cached(counted, source, tmp_path):
    (source / "a").rename(os.fsdecode(os.path.join(os.fsencode(source), b"caf\xe9")))
    counted()
    counted()
    assert counted.builds == 1


def test_a_source_whose_name_is_not_utf8_is_cached(tmp_path):
    root = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9")))
    root.mkdir()
    (root / "a").touch()
    for built in ({"x": np.arange(3)}, None):  # the second time nothing is built
        found = cached(tmp_path / "cache", "made", root, [root / "a"], lambda made=built: made)
        assert found["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["a" * 300, "b/" * 3000], ids=["name", "path"])
def test_a_cache_whose_name_is_too_long_is_only_logged(counted, tmp_path, caplog, name):
    assert counted(tmp_path / name)["x"].size == 1000
    assert "cannot be written" in caplog.text
