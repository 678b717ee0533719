"""What the tests of the commands share: refused commands, running processes, copies of runs."""

import os
import shutil
import time

import cpvae_jax
from cpvae_jax.storage import run_folder


def message(capsys):
    """The one line that a refused command prints, without more."""
    text = capsys.readouterr().err.strip()
    assert text.startswith("error: ")
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def with_devices(number):
    """The environment of a process in which the host has a number of devices."""
    flags = f"--xla_force_host_platform_device_count={number}"
    return os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()}


def wait_for_epochs(process, log, num):
    """Returns when the log of a training has `num` epochs."""
    deadline = time.monotonic() + 300
    while not log.exists() or len(log.read_text().splitlines()) < num:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def copied(finished, folder, by=0.0):
    """A copy of a run, with the outputs of its model shifted."""
    params = cpvae_jax.load(finished)
    decoder = params.weights["decoder"]
    output = decoder["output"] | {"bias": decoder["output"]["bias"] + by}
    weights = {**params.weights, "decoder": {**decoder, "output": output}}
    cpvae_jax.save(folder / "checkpoints", params.replace(weights=weights))
    for name in (run_folder.CONFIG, run_folder.SCORES):
        shutil.copy(finished / name, folder / name)
    return folder
