"""One run of several processes, over loopback, by the real command."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax.storage.run_folder import LOG
from experiments import run
from tests.running import message, wait_for_epochs, with_devices

REPOSITORY = Path(__file__).parents[2]
FLAGS = [
    "--recipe",
    "paper",
    "--seeds",
    "2",
    "--K",
    "3",
    "--latent",
    "2",
    "--hidden",
    "8",
    "--warmup",
    "1",
    "--checkpoint-every",
    "0",
]
EPOCHS = 12


def free_port(ports):
    """The first of some ports that nobody listens on."""
    for port in ports:
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return tried.getsockname()[1]
    raise OSError("no port is free")


def by_hand(processes):
    """Flags of each process, and no environment."""
    address = f"127.0.0.1:{free_port([0])}"
    for number in range(processes):
        flags = ["--coordinator", address, "--processes", str(processes), "--process", str(number)]
        yield flags, {"JAX_COORDINATOR_BIND_ADDRESS": address}


def by_slurm(processes):
    """One flag, and the environment in which srun starts each process of a job on one machine."""
    first = 2**16 - 2**12  # JAX adds the number of the job to this port
    port = free_port(range(first, 2**16))
    job = {"SLURM_JOB_ID": str(port - first), "SLURM_STEP_NODELIST": "127.0.0.1"}
    job |= {"SLURM_NTASKS": str(processes), "JAX_COORDINATOR_BIND_ADDRESS": f"127.0.0.1:{port}"}
    for number in map(str, range(processes)):
        yield ["--distributed"], job | {"SLURM_PROCID": number, "SLURM_LOCALID": number}


def start(out, *flags, processes=1, devices=1, by=by_hand):
    """Starts the processes of one run; the output of each goes to a file beside the run folder."""
    each = by(processes) if processes > 1 else [([], {})]
    started = []
    for number, (more, of_process) in enumerate(each):
        command = [
            sys.executable,
            "-m",
            "experiments.run",
            "--out",
            str(out),
            *FLAGS,
            *flags,
            *more,
        ]
        environment = with_devices(devices) | of_process
        with said(out, number).open("w") as words:
            started.append(
                subprocess.Popen(
                    command, cwd=REPOSITORY, env=environment, stdout=words, stderr=words
                )
            )
    return started


def said(out, number):
    return out.with_name(f"{out.name}.{number}.txt")


def finish(out, *flags, **how):
    started = start(out, *flags, **how)
    for number, process in enumerate(started):
        assert process.wait(timeout=300) == 0, said(out, number).read_text()


def log(out):
    """The epochs in the log, without their seconds, with a name for each number."""
    found = []
    for line in map(json.loads, (out / LOG).read_text().splitlines()):
        numbers = {name: np.ravel(value) for name, value in line.items() if name != "seconds"}
        found.append({f"{name} {i}": n for name, of in numbers.items() for i, n in enumerate(of)})
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A run by one process, undisturbed."""
    out = tmp_path_factory.mktemp("runs") / "alone"
    finish(out, "--epochs", str(EPOCHS), "--quiet")
    return out


@pytest.mark.slow
def test_four_processes_end_together_and_one_goes_on(alone, tmp_path):
    out = tmp_path / "four"
    processes = start(out, "--epochs", "100000", processes=4)
    wait_for_epochs(processes[0], out / LOG, 2)
    processes[3].send_signal(signal.SIGKILL)
    began = time.monotonic()
    for number, process in enumerate(processes):
        assert process.wait(timeout=60) != 0
        words = said(out, number).read_text()
        assert "start them again with --resume" in words.splitlines()[-1], words
        assert "Traceback" not in words
    assert time.monotonic() - began < 60
    done = min(len(log(out)), EPOCHS)
    assert log(out)[:done] == [pytest.approx(line, rel=1e-3) for line in log(alone)[:done]]

    at = max(int(step.name) for step in (out / "checkpoints").iterdir() if step.name.isdigit())
    finish(out, "--resume", "--epochs", str(at + 1), "--quiet")
    assert [line["epoch 0"] for line in log(out)] == list(range(1, at + 2))
    assert cpvae_jax.load(out).config.K == 3


@pytest.mark.slow
def test_two_processes_of_two_devices_in_a_job_go_on_with_what_one_began(alone, tmp_path):
    out = tmp_path / "two"
    shutil.copytree(alone, out)
    shutil.rmtree(out / "checkpoints" / str(EPOCHS))
    (out / "metrics.json").unlink()
    finish(out, "--resume", "--epochs", str(EPOCHS), processes=2, devices=2, by=by_slurm)
    assert log(out)[:-1] == log(alone)[:-1]
    assert log(out)[-1] == pytest.approx(log(alone)[-1], rel=1e-4)
    scores, before = (
        json.loads((folder / "metrics.json").read_text())["seeds"][0] for folder in (out, alone)
    )
    for name in ("test_bound", "relaxed_figure"):
        assert scores[name] == pytest.approx(before[name], rel=1e-4)
    assert sorted(path.name for path in (out / "pictures").iterdir())
    assert said(out, 1).read_text().count("true test bound") == 0


def test_open_mpi_says_how_many_processes_there_are(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args, **_: asked.append(args))
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "0")
    flags = ["--distributed", "--coordinator", "127.0.0.1:1234", "--dataset", "none"]
    assert run.main(["--out", str(tmp_path / "run"), *flags]) == 2
    assert "There is no data set 'none'" in message(capsys)
    assert asked.pop() == ("127.0.0.1:1234", 1, 0)
    capsys.readouterr()
    assert (
        run.main(["--out", str(tmp_path / "run"), *flags, "--processes", "2", "--process", "0"])
        == 2
    )
    assert asked == [("127.0.0.1:1234", 2, 0)]  # flags take precedence


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--coordinator", "127.0.0.1:1234"], "--processes and --process missing"),
        (["--processes", "2"], "--coordinator and --process missing"),
        (
            ["--coordinator", "here", "--processes", "2", "--process", "0"],
            "--coordinator is here; it must be HOST:PORT",
        ),
        (
            ["--coordinator", "127.0.0.1:1234", "--processes", "2", "--process", "2"],
            "--process is 2; with --processes 2 it must be from 0 to 1",
        ),
        (["--distributed"], "the processes cannot connect"),
        (["--devices", "5"], "devices is 5; there are 1"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(flags, words, tmp_path, capsys):
    assert run.main(["--out", str(tmp_path / "run"), *flags]) == 2
    assert words in message(capsys)
    assert not (tmp_path / "run").exists()
