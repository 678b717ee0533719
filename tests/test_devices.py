"""Many devices: runs the tests of `eight_devices.py` in a process that has eight."""

import subprocess
import sys
from pathlib import Path

import pytest

from cpvae_jax import UserError, devices
from tests.running import with_devices


@pytest.mark.slow
def test_on_eight_devices():
    command = [sys.executable, "-m", "pytest", "-n", "0", str(Path(__file__).parent)]
    command[-1] += "/eight_devices.py"
    done = subprocess.run(
        command, env=with_devices(8), cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_one_device_needs_no_mesh():
    assert devices.mesh() is None


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(UserError, match="devices is 2; there are 1, so give 1 to 1"):
        devices.mesh(2)
