"""Malicious and damaged archives."""

import io
import pickle
import re
import zipfile

import numpy as np
import pytest

from cpvae_jax.data import Places, archive, images, npz
from cpvae_jax.errors import UserError


class Trap:
    """Sets `sprung` if it is unpickled."""

    sprung = False

    def __reduce__(self):
        return (Trap.spring, ())

    @staticmethod
    def spring():
        Trap.sprung = True


def header(shape, dtype="<f8"):
    """Returns the header of an `.npy` file with a shape."""
    buffer = io.BytesIO()
    described = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()


def member(name, content):
    """Returns a function that writes an archive with one member."""

    def make(path):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(name, content)

    return make


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (member("x.npy", header((10**12,))), "does not match its shape"),
        (member("x.npy", header((2**62, 2**62))), "does not match its shape"),
        (member("x.npy", header((-5,)) + bytes(80)), "does not match its shape"),
        (member("x.npy", header((2,)) + bytes(80)), "does not match its shape"),
        (member("x.npy", header((1,), "|O") + pickle.dumps(Trap())), "holds Python objects"),
        (member("x.npy", pickle.dumps(Trap())), "magic string is not correct"),
        (member("../x.npy", header((1,)) + bytes(8)), "has the keys ../x"),
        (member("x.npy", b"\x93NUMPY\x09\x00" + bytes(200)), r"unknown version \(9, 0\)"),
        (member("x.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"[" * 70_000), "cannot be read"),
    ],
)
def test_a_malicious_archive_is_refused_and_named(tmp_path, make, words):
    make(tmp_path / "bad.npz")
    with pytest.raises(UserError, match=rf"bad\.npz.*{words}"):
        npz.load(tmp_path / "bad.npz")
    assert not Trap.sprung
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


def test_a_member_may_lack_the_suffix_npy(tmp_path):
    member("x", header((20,)) + bytes(160))(tmp_path / "bare.npz")
    assert npz.load(tmp_path / "bare.npz").train.shape == (16, 1)


def test_a_decompression_bomb_is_refused_before_it_is_read(tmp_path, monkeypatch):
    """Deflate reaches a thousand to one: 10 MiB of zeros in 10 KiB."""
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((10, 2**17)))
    assert (tmp_path / "bomb.npz").stat().st_size < 2**14
    monkeypatch.setattr(archive, "LIMIT", 2**20)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)  # reading would fail
    with pytest.raises(UserError, match=r"bomb.npz cannot be read .*GiB of arrays"):
        npz.load(tmp_path / "bomb.npz")


def test_images_that_exceed_the_limit_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    from PIL import Image

    for number in range(3):
        Image.new("L", (100, 100)).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(archive, "LIMIT", 20_000)
    with pytest.raises(UserError, match=rf"{re.escape(str(tmp_path))} do not fit in memory"):
        images.load(tmp_path, Places(tmp_path, tmp_path, tmp_path / "cache"))
