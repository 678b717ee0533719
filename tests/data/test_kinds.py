"""Ink or photographs, on real images: the digits of UCI, and two photographs of scikit-learn."""

from functools import cache

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from cpvae_jax.data import kinds, load


@cache
def photographs(number=0, height=28, width=20):
    """Grey patches of one of the photographs, uint8."""
    grey = np.asarray(Image.fromarray(load_sample_images().images[number]).convert("L"))
    rows, columns = grey.shape[0] // height, grey.shape[1] // width
    patches = grey[: rows * height, : columns * width].reshape(rows, height, columns, width)
    return patches.swapaxes(1, 2).reshape(-1, height, width)


@cache
def ink(seed=0):
    """The digits, uint8 0..255."""
    return np.rint(load_digits().images * (255 / 16)).astype(np.uint8)


def blobs():
    """Black and white images: squares at random places."""
    rng = np.random.default_rng(0)
    x = np.zeros((100, 12, 12), np.uint8)
    for image in x:
        row, column = rng.integers(0, 8, 2)
        image[row : row + 4, column : column + 4] = 255
    return x


INK = {
    "digits": ink,
    "black on white": lambda: 255 - ink(),
    "with noise": lambda: np.clip(
        ink() + np.random.default_rng(0).normal(0, 8, ink().shape), 0, 255
    ).astype(np.uint8),
    "blobs": blobs,
    "all black": lambda: np.zeros((5, 8, 8), np.uint8),
    "all white": lambda: np.full((5, 8, 8), 255, np.uint8),
}
PHOTOGRAPHS = {
    "temple": photographs,
    "flower": lambda: photographs(1),
    "large": lambda: photographs(0, 100, 120),
    "dim": lambda: photographs() // 5,
    "low contrast": lambda: photographs() // 8 + 100,
    "bright": lambda: 255 - photographs() // 5,
    "two mid-greys": lambda: np.where(ink() > 128, 170, 80).astype(np.uint8),
    "pencil on grey paper": lambda: 160 - ink() // 4,
}
CASES = [(x, "grey") for x in INK.items()] + [(x, "real") for x in PHOTOGRAPHS.items()]


@pytest.fixture(params=CASES, ids=lambda case: case[0][0])
def case(request):
    (_, make), kind = request.param
    return make(), kind


def saved(folder, x, route):
    """Saves images in one of the forms that `load` reads, and returns the path."""
    parts = {"train": x, "valid": x[:2], "test": x[:2]}
    if route in ("uint8", "table"):
        np.savez(folder / "x.npz", x=x if route == "uint8" else x.reshape(len(x), -1))
        return folder / "x.npz"
    if route == "fractions":
        np.savez(folder / "x.npz", **{name: part / 255 for name, part in parts.items()})
        return folder / "x.npz"
    if route == "rows":
        for name, part in parts.items():
            np.save(folder / f"{name}.npy", part)
        return folder
    for number, image in enumerate(x[:: len(x) // 100 + 1]):
        Image.fromarray(image).save(folder / f"{number}.png")
    return folder


@pytest.mark.parametrize("route", ["uint8", "table", "fractions", "rows", "folder"])
def test_the_kind_follows_from_the_histogram_on_every_route(tmp_path, case, route):
    x, kind = case
    (tmp_path / "data").mkdir()
    data = load(saved(tmp_path / "data", x, route), cache_dir=tmp_path / "cache")
    assert data.kind == kind
    assert {"grey": "taken for ink", "real": "taken for real numbers"}[kind] in data.source


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("num", [20, 200])
def test_the_kind_of_a_few_images_is_that_of_all(num, seed):
    rng = np.random.default_rng(seed)
    assert kinds.of(rng.permutation(ink())[:num])[0] == "grey"
    assert kinds.of(rng.permutation(photographs())[:num])[0] == "real"


def test_the_reason_gives_the_share_of_mid_grey_pixels():
    x = np.zeros((1, 10, 10), np.uint8)
    x[0, :, :7] = 128
    assert kinds.of(x)[1].startswith("70% of the values are mid-grey, as in photographs")


@pytest.mark.parametrize("shape", [(2,), (4, 4)])
def test_real_numbers_in_a_table_stay_real_whatever_their_histogram(tmp_path, shape):
    x = np.random.default_rng(0).choice([0.0, 0.02, 0.98, 1.0], (50, *shape))
    np.savez(tmp_path / "x.npz", x=x)
    data = load(tmp_path / "x.npz")
    assert data.kind == ("real" if len(shape) == 1 else "grey")
    assert ("taken for" in data.source) == (len(shape) == 2)
