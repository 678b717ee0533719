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
from cpvae_jax.data import load as load_data
from cpvae_jax.errors import UserError
from cpvae_jax.report import pictures
from cpvae_jax.storage import manifest, run_folder
from cpvae_jax.storage.run_folder import LOG
from experiments import run
from tests.running import message, wait_for_epochs

REPOSITORY = Path(__file__).parents[2]
SMALL = [
    *("--recipe", "paper", "--K", "3", "--latent", "2", "--hidden", "8"),
    "--warmup",
    "2",
    "--quiet",
]


def command(out, *arguments):
    return run.main(["--dataset", "digits", "--out", str(out), *SMALL, *arguments])


SIZE = 12 * 2**20
"""Bytes of the disk: the 5 MiB of a report and its replacement fit, but not much more."""


@pytest.fixture
def disk(tmp_path):
    """A file system of `SIZE` bytes of its own; skipped, loudly, where it cannot be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_disk_that_fills_up_in_a_checkpoint_is_one_message(disk):
    """From the real command, whose threads would print pages."""
    out = disk / "run"
    os.truncate(fill(disk), SIZE - 400 * 2**10)  # the log and the pieces of some arrays fit
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two folders with a table of the same name, and a link to the first table."""
    place = tmp_path_factory.mktemp("tables")
    for seed, folder in enumerate(("a", "b")):
        (place / folder).mkdir()
        x = np.random.default_rng(seed).normal(size=(60, 3)).astype(np.float32)
        np.savez(place / folder / "mine.npz", x=x)
    (place / "link.npz").symlink_to("a/mine.npz")
    return place


@pytest.fixture(scope="module")
def run_of_table(tables):
    """A run whose folder has a backslash in its name, started in the folder of its table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tables / "a")
        flags = [*SMALL, "--epochs", "2", "--temperature-epochs", "2"]
        assert run.main(["--dataset", "mine.npz", "--out", "back\\slash", *flags]) == 0
    return tables / "a" / "back\\slash"


def resumed(dataset, out):
    flags = [*SMALL, "--epochs", "2", "--temperature-epochs", "2", "--resume"]
    return run.main(["--dataset", str(dataset), "--out", str(out), *flags])


@pytest.mark.slow
def test_a_run_lies_where_the_operating_system_finds_its_folder(run_of_table):
    assert cpvae_jax.load(run_of_table).config.K == 3
    found = [path for path in run_of_table.parents[1].rglob("checkpoints") if path.is_dir()]
    assert found == [run_of_table / "checkpoints"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "spelling", ["mine.npz", "./mine.npz", "../b/../a/mine.npz", "../link.npz"]
)
def test_a_file_by_another_spelling_is_the_same_data(spelling, run_of_table, monkeypatch):
    monkeypatch.chdir(run_of_table.parent)
    assert resumed(spelling, "./back\\slash") == 0


@pytest.mark.slow
def test_another_file_of_the_same_name_is_refused(run_of_table, tables, monkeypatch, capsys):
    monkeypatch.chdir(tables / "b")
    assert resumed("mine.npz", run_of_table) == 2
    text = message(capsys)
    assert "holds a run on other data: the training, validation and test examples are" in text
    assert "give the original data, or choose another folder" in text


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_a_file_that_changed_is_refused(part, run_of_table, tables, tmp_path, capsys):
    """Also if only the test part did, which the scores depend on; labels have no say."""
    found = {name: array.copy() for name, array in parts(tables / "a" / "mine.npz").items()}
    labels = {f"{name}_labels": np.arange(len(x)) % 3 for name, x in found.items()}
    np.savez(tmp_path / "mine.npz", **found, **labels)
    assert resumed(tmp_path / "mine.npz", run_of_table) == 0
    capsys.readouterr()
    found[part][0, 0] += 1
    np.savez(tmp_path / "mine.npz", **found, **labels)
    assert resumed(tmp_path / "mine.npz", run_of_table) == 2
    words = {"train": "training", "valid": "validation", "test": "test"}[part]
    assert f"on other data: the {words} examples are not those" in message(capsys)


def parts(path):
    """The parts that a table without parts is split into."""
    found = load_data(path)
    return {name: getattr(found, name) for name in ("train", "valid", "test")}


@pytest.mark.parametrize("name", ["é" * 128, "new/" + "n" * 300])
def test_a_name_that_no_folder_has_is_refused_before_training(name, tables, tmp_path, capsys):
    flags = ["--dataset", str(tables / "a" / "mine.npz"), *SMALL, "--epochs", "100000"]
    assert run.main([*flags, "--out", str(tmp_path / name)]) == 2
    assert "choose a shorter one" in message(capsys)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("out", ["gs://bucket/run", "s3://run", ""])
def test_a_folder_is_on_this_machine(out, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        command(out)
    assert "argument --out: the path is" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_tilde_is_the_home_folder(run_of_table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    shutil.copytree(run_of_table, tmp_path / "home" / "run")
    shutil.copy(run_of_table.parent / "mine.npz", tmp_path / "home")
    assert resumed("~/mine.npz", "~/run") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_a_run_that_kept_no_digest_of_its_data_is_continued_with_a_note(
    run_of_table, tmp_path, capsys
):
    out = shutil.copytree(run_of_table, tmp_path / "out")
    settings = json.loads((out / run_folder.CONFIG).read_text())
    del settings["data"], settings["prng"]
    (out / run_folder.CONFIG).write_text(json.dumps(settings))
    (tmp_path / "mine.npz").symlink_to(run_of_table.parent / "mine.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert resumed("mine.npz", out) == 0
    assert "kept no digest of its data" in capsys.readouterr().out
