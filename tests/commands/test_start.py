"""Commands in environments that hinder them: they work, or end with code 2 and one sentence."""

import errno
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

from cpvae_jax.commands import main, start
from cpvae_jax.errors import UserError
from experiments import classifier, compare, figures, generation, run
from tests.running import message

REPOSITORY = Path(__file__).parents[2]
NOBODY = 54321
"""A user without an entry in the user database."""


@pytest.fixture
def no_device(monkeypatch):
    """A JAX that finds no device, as with JAX_PLATFORMS=cuda on a machine without a GPU."""

    def devices(*_):
        raise AssertionError

    monkeypatch.setattr(jax, "devices", devices)
    for name in start.CHOICES:
        monkeypatch.delenv(name, raising=False)


COMMANDS = {
    "fit": lambda out: main.main(["fit", "digits", "--out", out]),
    "sample": lambda out: main.main(["sample", out, "--out", f"{out}.png"]),
    "run": lambda out: run.main(["--dataset", "digits", "--out", out]),
    "compare": lambda out: compare.main([out, out]),
    "generation": lambda out: generation.main([out, "--classifier", out, "--out", f"{out}2"]),
    "classifier": lambda out: classifier.main(["--out", out]),
    "figures": lambda out: figures.main(["--runs", out, "--out", f"{out}2"]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_without_a_device_names_the_variable(
    name, no_device, monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    assert COMMANDS[name](str(tmp_path / "out")) == 2
    assert message(capsys) == (
        "error: JAX_PLATFORMS is 'cuda', but JAX finds no such device here; unset it to take the "
        "device that there is, set it to cpu, or install JAX for that device."
    )
    assert list(tmp_path.iterdir()) == []


def test_without_a_device_and_without_a_variable(no_device, monkeypatch):
    with pytest.raises(
        UserError, match=r"JAX cannot start a device \(AssertionError\); set JAX_PL"
    ):
        start.start_jax()
    monkeypatch.setenv("JAX_PLATFORM_NAME", "tpu")
    with pytest.raises(UserError, match="JAX_PLATFORM_NAME is 'tpu', but JAX finds no such device"):
        start.start_jax()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("JAX_PLATFORMS", "nonsense", "error: JAX_PLATFORMS is 'nonsense', but JAX finds no such"),
        ("JAX_ENABLE_X64", "maybe", "error: JAX cannot start (invalid truth value 'maybe' for"),
    ],
)
def test_a_variable_with_which_jax_cannot_start(name, value, words, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", "--out", str(tmp_path / "run")],
        cwd=REPOSITORY,
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("limits", "changed"),
    [
        ((64, 64), None),
        ((20, 80), (80, 80)),
        ((256, resource.RLIM_INFINITY), (1024, resource.RLIM_INFINITY)),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
        ((5000, 5000), None),
    ],
)
def test_a_low_limit_of_open_files_is_raised(limits, changed, monkeypatch):
    set_to = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda kind, both: set_to.append(both))
    start.start_jax()
    assert set_to == ([] if changed is None else [changed])


def test_too_few_open_files_are_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (24, 24))
    assert main.main(["fit", "digits", "--out", str(tmp_path / "run")]) == 2
    assert "open 24 files at once, but checkpoints need at least 64" in message(capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_training_in_a_hostile_environment():
    """Each of these variables, streams and permissions once ended a command with a traceback."""
    environment = {
        **{k: v for k, v in os.environ.items() if k != "HOME"},
        "COLUMNS": "-1",
        "JAX_NUMPY_DTYPE_PROMOTION": "strict",
        "JAX_NUMPY_RANK_PROMOTION": "raise",
        "JAX_TRANSFER_GUARD": "disallow",
        "MPLBACKEND": "nonsense",
        "PYTHONIOENCODING": "ascii:strict",
        "TMPDIR": "/nonexistent",
    }
    how = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if can_be_nobody() else {}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        data, out = Path(folder, "data.npz"), Path(os.fsdecode(os.fsencode(folder) + b"/run\xff"))
        np.savez(data, x=np.random.default_rng(0).normal(size=(60, 3)))
        data.chmod(0o644)
        small = ["--K", "2", "--latent", "2", "--hidden", "4"]
        small += ["--epochs", "1", "--start-epochs", "2"]
        fit = [sys.executable, "-m", "cpvae_jax.commands.main", "fit", data, *small, "--out", out]
        shell = ["bash", "-c", 'umask 0777; "$@" <&- 2>&- | head -n 1; exit ${PIPESTATUS[0]}', "-"]
        done = subprocess.run(
            [*shell, *fit], cwd=REPOSITORY, env=environment, capture_output=True, **how
        )
        assert done.returncode == 141, done  # the reader of the output ended
        assert done.stdout.isascii()
        assert (out / "metrics.json").stat().st_size > 1000
        assert (out / "pictures" / "curves.png").stat().st_size > 1000


def can_be_nobody():
    """Whether the tests may start a process as `NOBODY`, and it can import what is installed."""
    if os.geteuid() != 0:
        return False
    program = [sys.executable, "-c", "import cpvae_jax, jax"]
    try:
        return subprocess.run(program, cwd=REPOSITORY, user=NOBODY, check=False).returncode == 0
    except OSError:
        return False


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            OSError(errno.EACCES, "Permission denied", "secret/file"),
            "secret/file cannot be read or written (Permission denied); check the path",
        ),
        (
            OSError(errno.ENAMETOOLONG, "File name too long", b"\xff" * 3),
            "\\udcff\\udcff\\udcff cannot be read or written (File name too long)",
        ),
        (OSError(errno.EMFILE, "Too many open files"), "a file cannot be read or written (Too"),
        (MemoryError("2 TiB"), "there is not enough memory (2 TiB); choose a smaller model"),
        (
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory.\nmore"),
            "there is not enough memory (RESOURCE_EXHAUSTED: Out of memory.); choose a smaller",
        ),
    ],
)
def test_an_error_of_the_system_is_one_sentence(error, words, capsys):
    def fail():
        raise error

    assert main.exit_code(fail) == 2
    assert message(capsys).startswith(f"error: {words}")


def test_a_warning_that_is_made_an_error_is_one_sentence(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main.exit_code(lambda: warnings.warn("Odd data.", stacklevel=1)) == 2
    assert message(capsys) == (
        "error: Odd data. This is a warning, which PYTHONWARNINGS makes an error; unset it."
    )


def test_an_error_of_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        main.exit_code(lambda: 1 // 0)
