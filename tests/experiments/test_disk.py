"""Disks that are full or read-only, and folders that others have a hand in."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax.errors import UserError
from cpvae_jax.report import pictures
from cpvae_jax.storage import manifest, run_folder
from cpvae_jax.storage.run_folder import LOG
from experiments import run
from tests.running import message, wait_for_epochs

REPOSITORY = Path(__file__).parents[2]
SMALL = ["--K", "3", "--latent", "2", "--hidden", "8", "--warmup", "2", "--quiet"]


def command(out, *arguments):
    return run.main(["--dataset", "digits", "--out", str(out), *SMALL, *arguments])


@pytest.fixture
def disk(tmp_path):
    """A file system of 4 MiB of its own; skipped, loudly, where it cannot be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if mount is None or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("NOT TESTED: full and read-only disks, for this user may not mount one")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(place):
    """Take all the space that is left; returns the file that takes it."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


def test_a_disk_that_fills_up_costs_the_epochs_since_the_last_checkpoint(disk, tmp_path, capsys):
    out = disk / "run"
    assert command(out, "--epochs", "2") == 0
    capsys.readouterr()
    ballast = fill(disk)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # threads of Orbax that fail after the first one
        assert command(out, "--epochs", "4", "--resume") == 2
    text = message(capsys)
    assert "cannot be written" in text
    assert "space" in text
    manifest.verify(out / "checkpoints" / "2", ["params", "config", "state"])
    assert cpvae_jax.load(out).config.K == 3
    ballast.unlink()
    assert command(out, "--epochs", "4", "--resume") == 0
    assert command(tmp_path / "straight", "--epochs", "4") == 0
    a, b = cpvae_jax.load(out), cpvae_jax.load(tmp_path / "straight")
    jax.tree.map(np.testing.assert_array_equal, a, b)
    epochs = [json.loads(line)["epoch"] for line in (out / LOG).read_text().splitlines()]
    assert epochs == [1, 2, 3, 4]


def test_a_disk_that_fills_up_in_a_checkpoint_is_one_message(disk):
    """From the real command, whose threads would print pages."""
    out = disk / "run"
    os.truncate(fill(disk), 4 * 2**20 - 400 * 2**10)  # the log and the pieces of some arrays fit
    flags = ["--epochs", "9", "--checkpoint-every", "0", *SMALL]
    command = [sys.executable, "-m", "experiments.run", "--out", str(out), *flags]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 2
    words = done.stderr.strip()
    assert "\n" not in words
    assert words.startswith(f"error: the checkpoint {out}/checkpoints/")
    assert "cannot be written (No space left on device)" in words
    assert sorted(json.loads(line)["epoch"] for line in (out / LOG).read_text().splitlines())


def test_a_full_disk_leaves_the_picture_before(disk):
    history = [
        {"epoch": 1, **{f"{p}_{t}": -1.0 for p in ("train", "valid") for t in TERMS}},
    ]
    folder = run_folder.RunFolder(disk)
    path = folder.picture("curves")
    pictures.curves(path, history)
    before = path.read_bytes()
    fill(disk)
    with pytest.raises(UserError, match=r"cannot be written .No space left"), folder.writing():
        pictures.curves(path, history * 2)
    assert path.read_bytes() == before
    assert [child.name for child in path.parent.iterdir()] == ["curves.png"]


TERMS = ("bound", "reconstruction", "kl_c", "kl_z")


def test_a_full_disk_in_the_log_is_one_message(tmp_path):
    (tmp_path / LOG).symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"cannot be written .No space left"):
        run_folder.RunFolder(tmp_path).append(LOG, {"epoch": 1})


def test_a_read_only_disk(disk, capsys):
    assert command(disk / "run", "--epochs", "1") == 0
    capsys.readouterr()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert command(disk / "new", "--epochs", "1") == 2
    assert "cannot be written (Read-only file system)" in message(capsys)
    assert command(disk / "run", "--epochs", "2", "--resume") == 2
    assert "cannot be written (Read-only file system)" in message(capsys)
    assert cpvae_jax.load(disk / "run").config.K == 3  # to read, nothing is written
    with pytest.raises(UserError, match="Read-only file system"):
        cpvae_jax.save(disk / "model", cpvae_jax.load(disk / "run"))


def test_a_folder_that_is_deleted_while_it_runs(tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "experiments.run", "--out", str(out), *SMALL]
    command += ["--epochs", "100000", "--patience", "100000"]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_epochs(process, out / LOG, 3)
    os.rename(out, tmp_path / "gone")
    _, told = process.communicate(timeout=120)
    assert process.returncode == 2
    assert told.strip().startswith("error: ")
    assert "cannot be written (No such file or directory)" in told
    assert "\n" not in told.strip()
    assert not out.exists()


def test_a_second_program_is_refused_while_the_first_one_runs(tmp_path, capsys):
    out = tmp_path / "out"
    assert command(out, "--epochs", "1") == 0
    capsys.readouterr()
    settings = json.loads((out / run_folder.CONFIG).read_text())
    with run_folder.open_run(out, settings, resume=True):
        assert command(out, "--epochs", "2", "--resume") == 2
        assert "another program is training in" in message(capsys)
    assert command(out, "--epochs", "2", "--resume") == 0


def test_a_run_that_was_killed_at_its_start_can_be_started_again(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / run_folder.LOCK).touch()
    (out / f".{run_folder.CONFIG}.partial").write_text("{")
    assert command(out, "--epochs", "1") == 0


def test_a_log_deleted_by_hand_costs_the_log_only(tmp_path, capsys):
    out = tmp_path / "out"
    assert command(out, "--epochs", "2") == 0
    (out / LOG).unlink()
    assert command(out, "--epochs", "2", "--resume") == 0
    assert command(out, "--epochs", "3", "--resume") == 0
    assert [json.loads(line)["epoch"] for line in (out / LOG).read_text().splitlines()] == [3]
    (out / LOG).write_text('{"epoch": 1\n')
    capsys.readouterr()
    assert command(out, "--epochs", "4", "--resume") == 2
    assert "line 1 of" in message(capsys)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (1, "can be loaded, sampled and passed to fit as init, but not resumed"),
        (3, "a run of another version (format 3, not 2)"),
    ],
)
def test_a_run_of_another_version_is_refused_and_left_alone(version, words, tmp_path, capsys):
    out = tmp_path / "out"
    settings = {"dataset": "digits", "seed": 0}
    with run_folder.open_run(out, settings, resume=False):
        pass
    (out / run_folder.CONFIG).write_text(json.dumps({**settings, "format": version}))
    assert command(out, "--epochs", "2", "--resume") == 2
    assert words in message(capsys)
    assert json.loads((out / run_folder.CONFIG).read_text())["format"] == version
