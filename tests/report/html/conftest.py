"""A real run on tiny images, with names that a page must escape."""

import numpy as np
import pytest

from cpvae_jax.commands.main import main

HOSTILE = "</script><b onclick=alert(1)>\"'&"
"""A label, a column or a file whose name would break a careless page."""


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """The folder of a run of two seeds with three categories of images of 5 x 4 pixels."""
    folder = tmp_path_factory.mktemp("reported")
    rng = np.random.default_rng(0)
    kinds = np.arange(150) % 3
    x = np.uint8(rng.integers(0, 60, (150, 5, 4)) + 90 * kinds[:, None, None])
    np.savez(folder / "tiny.npz", x=x, y=np.array(["one", "two", HOSTILE])[kinds])
    size = ["--K", "3", "--latent", "3", "--hidden", "8", "--likelihood", "gaussian"]
    short = ["--recipe", "paper", "--epochs", "3", "--seeds", "2", "--quiet"]
    out = folder / "run"
    assert main(["fit", str(folder / "tiny.npz"), "--out", str(out), *size, *short]) == 0
    return out
