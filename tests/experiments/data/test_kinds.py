"""What the histogram says of the paper's data sets, and of Fashion-MNIST."""

import gzip

import numpy as np
import pytest

from cpvae_jax.data import kinds
from experiments.data import load
from tests.experiments.data.conftest import SHARED


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "omniglot"])
def test_the_papers_images_are_ink(name, request):
    data = request.getfixturevalue(name)
    assert kinds.of(data.train)[0] == data.kind == "grey"
    small = data.train[:2000].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    assert kinds.of(np.rint(small).astype(np.uint8))[0] == "grey"


def test_fashion_mnist_is_taken_for_ink_as_is_usual():
    file = SHARED / "data" / "fashion_mnist" / "t10k-images-idx3-ubyte.gz"
    if not file.is_file():
        pytest.skip(f"FASHION-MNIST IS NOT TESTED: there is no {file}")
    x = np.frombuffer(gzip.decompress(file.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)
    for part in (x, x[:200], x[-200:], x / np.float32(255)):
        assert kinds.of(part)[0] == "grey"


def test_the_digits_are_ink_but_their_source_says_why_they_are_taken_for_real_numbers():
    data = load("digits")
    assert kinds.of(data.train)[0] == "grey"
    assert data.kind == "real"
    assert "They are ink, but taken for real numbers: 64" in data.source
