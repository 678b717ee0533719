"""Archives made with bad intent."""

import io
import pickle
import re
import zipfile

import numpy as np
import pytest
from scipy.io import savemat

from cpvae_jax import UserError
from experiments.data import archive, images, npz, omniglot_mat
from experiments.data.places import Places


class Trap:
    """Unpickling this is heard of."""

    sprung = False

    def __reduce__(self):
        return (Trap.spring, ())

    @staticmethod
    def spring():
        Trap.sprung = True


def header(shape, dtype="<f8"):
    """The first bytes of an `.npy` file that claims a shape."""
    buffer = io.BytesIO()
    described = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()


def member(name, content):
    """An archive with one member."""

    def make(path):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(name, content)

    return make


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (member("x.npy", header((10**12,))), "shorter or longer than its shape"),
        (member("x.npy", header((2**62, 2**62))), "shorter or longer than its shape"),
        (member("x.npy", header((-5,)) + bytes(80)), "shorter or longer than its shape"),
        (member("x.npy", header((2,)) + bytes(80)), "shorter or longer than its shape"),
        (member("x.npy", header((1,), "|O") + pickle.dumps(Trap())), "holds Python objects"),
        (member("x.npy", pickle.dumps(Trap())), "magic string is not correct"),
        (member("../x.npy", header((1,)) + bytes(8)), "has the keys ../x"),
        (member("x.npy", b"\x93NUMPY\x09\x00" + bytes(200)), r"unknown version \(9, 0\)"),
        (member("x.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"[" * 70_000), "cannot be read"),
    ],
)
def test_an_archive_of_bad_intent_is_refused_by_its_name(tmp_path, make, words):
    make(tmp_path / "bad.npz")
    with pytest.raises(UserError, match=rf"bad\.npz.*{words}"):
        npz.load(tmp_path / "bad.npz")
    assert not Trap.sprung
    assert [path.name for path in tmp_path.iterdir()] == ["bad.npz"]


def test_a_member_without_its_suffix_is_taken_for_what_it_holds(tmp_path):
    member("x", header((20,)) + bytes(160))(tmp_path / "bare.npz")
    assert npz.load(tmp_path / "bare.npz").train.shape == (16, 1)


def test_an_archive_that_swells_is_refused_before_it_is_read(tmp_path, monkeypatch):
    """A thousand to one is what deflate can do: 10 MiB of zeros in 10 KiB."""
    np.savez_compressed(tmp_path / "bomb.npz", x=np.zeros((10, 2**17)))
    assert (tmp_path / "bomb.npz").stat().st_size < 2**14
    monkeypatch.setattr(archive, "LIMIT", 2**20)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)  # nothing is read
    with pytest.raises(UserError, match=r"bomb.npz cannot be read .*GiB of arrays"):
        npz.load(tmp_path / "bomb.npz")


def test_more_images_than_fit_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    from PIL import Image

    for number in range(3):
        Image.new("L", (100, 100)).save(tmp_path / f"{number}.png")
    monkeypatch.setattr(archive, "LIMIT", 20_000)
    with pytest.raises(UserError, match=rf"{re.escape(str(tmp_path))} cannot be held"):
        images.load(tmp_path, Places(tmp_path, tmp_path, tmp_path / "cache"))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"data": np.array([{"a": 1}], object)}, "data is of the type cell"),
        ({"data": {"field": 1.0}}, "data is of the type struct"),
        ({"data": "text"}, "data is of the type char"),
        ({"other": np.zeros(3)}, "KeyError"),
        ({"data": np.zeros((3, 4)), "testdata": np.zeros((3, 4))}, "ValueError|KeyError"),
    ],
)
def test_a_mat_file_of_something_else_is_refused(tmp_path, arrays, words):
    savemat(tmp_path / omniglot_mat.FILE, arrays)
    with pytest.raises(UserError, match=rf"chardata\.mat is not laid out .*({words})"):
        omniglot_mat.load(Places(tmp_path, tmp_path, tmp_path / "cache"))


def test_a_mat_file_that_claims_a_huge_array_is_refused_before_it_is_read(tmp_path, monkeypatch):
    savemat(tmp_path / omniglot_mat.FILE, {"data": np.zeros((784, 50))})
    path = tmp_path / omniglot_mat.FILE
    sizes = np.array([784, 50], "<i4").tobytes()
    content = path.read_bytes()
    assert content.count(sizes) == 1
    path.write_bytes(content.replace(sizes, np.array([784, 2**30], "<i4").tobytes()))
    with pytest.raises(UserError, match="GiB of arrays"):
        omniglot_mat.load(Places(tmp_path, tmp_path, tmp_path / "cache"))
