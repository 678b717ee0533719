"""The benchmarks are not an installed package: they are imported from the root of the repository."""

import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)


@pytest.fixture
def quiet(monkeypatch):
    """A machine that nobody else uses, and an environment that stays as it is."""
    from benchmarks import machine

    monkeypatch.setattr(machine, "busy_cores", lambda: 0.0)
    for name in ("JAX_PLATFORMS", "XLA_PYTHON_CLIENT_PREALLOCATE"):
        monkeypatch.setenv(name, "cpu")
