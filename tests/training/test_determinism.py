"""The same seed gives the same numbers in another process, and with unused devices present.

On many devices, to rounding: tests/test_devices.py, tests/experiments/test_processes.py.

Beside other seeds: tests/training/test_program.py. Before and after a resume:
tests/training/test_fit.py, tests/storage/test_checkpoint.py, and after a kill tests/test_faults.py.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cpvae_jax
from cpvae_jax.storage.run_folder import LOG, SESSIONS

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function that trains in a new process that has a number of devices."""

    def train(name, devices):
        out = tmp_path_factory.mktemp("runs") / name
        flags = f"--xla_force_host_platform_device_count={devices}"
        command = [sys.executable, "-m", "experiments.run", "--out", str(out), "--quiet"]
        command += ["--K", "3", "--latent", "2", "--hidden", "8", "--epochs", "2", "--devices", "1"]
        command += ["--starts", "1", "--start-epochs", "2"]
        subprocess.run(
            command,
            cwd=REPOSITORY,
            env=os.environ | {"XLA_FLAGS": flags},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        lines = [json.loads(line) for line in (out / LOG).read_text().splitlines()]
        assert json.loads((out / SESSIONS).read_text())["device"].startswith(f"{devices} x")
        return cpvae_jax.load(out), [{**line, "seconds": 0} for line in lines]

    return train


def test_another_process_and_unused_devices_give_the_same_bits(trained, assert_same_bits):
    first, first_lines = trained("first", devices=1)
    params, lines = trained("again", devices=4)
    assert lines == first_lines
    assert_same_bits(params, first)
    assert np.isfinite(lines[-1]["train_bound"])
