"""A finished run for the commands that read one."""

import pytest

from experiments import run


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a short run on the digits."""
    out = tmp_path_factory.mktemp("runs") / "digits-short"
    flags = ["--recipe", "paper", "--K", "3", "--latent", "2", "--hidden", "8"]
    flags += ["--epochs", "1", "--quiet"]
    assert run.main(["--dataset", "digits", "--out", str(out), *flags]) == 0
    return out
