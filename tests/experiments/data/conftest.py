"""The real data sets, if they are beside the checkout, loaded once for all tests."""

from pathlib import Path

import numpy as np
import pytest

from cpvae_jax.data import Dataset
from experiments.data import load

SHARED = Path(__file__).parents[4] / "shared"


def existing(path: str, what: str) -> Path:
    """A folder of real data; skips the test, loudly, if it is not there."""
    folder = SHARED / path
    if not folder.is_dir():
        pytest.skip(f"THE REAL DATA ARE NOT TESTED: there is no {what} in {folder}")
    return folder


@pytest.fixture(scope="session")
def prepared() -> Path:
    return existing("tensorflow_datasets", "prepared TFDS folder")


@pytest.fixture(scope="session")
def originals() -> Path:
    return existing("downloads/manual", "folder of MNIST's original files")


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def mnist(prepared: Path, cache_dir: Path) -> Dataset:
    return load("mnist", data_dir=prepared, cache_dir=cache_dir)


@pytest.fixture(scope="session")
def omniglot(prepared: Path, cache_dir: Path) -> Dataset:
    return load("omniglot", data_dir=prepared, cache_dir=cache_dir)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host can be reached."""

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("socket.create_connection", refuse)


@pytest.fixture
def rows():
    """A function from `[N, ...]` uint8 to `[N]` values, equal where the examples are equal."""
    return lambda x: np.ascontiguousarray(x.reshape(len(x), -1)).view(f"S{x[0].size}").ravel()
