"""Files and folders that the system does not let this user read: they may be whole."""

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from cpvae_jax import UserError, load, save
from cpvae_jax.storage import checkpoint, manifest, run_folder

SETTINGS = {"dataset": "digits", "seed": 0}


@pytest.fixture
def place():
    """A folder that other users may enter."""
    path = Path(tempfile.mkdtemp(prefix="cpvae-test-"))
    path.chmod(0o755)
    yield path
    for folder, _, _ in os.walk(path):  # from the top: each becomes readable before it is listed
        for entry in os.scandir(folder):
            os.chmod(entry.path, 0o755)
    shutil.rmtree(path)


@contextmanager
def without(path, rights=0o777):
    """A block in which this program, as a user without privileges, lacks rights on a path."""
    mode = path.stat().st_mode
    path.chmod(mode & ~rights)
    privileged = os.geteuid() == 0
    if privileged:
        os.seteuid(65534)
    try:
        yield
    finally:
        if privileged:
            os.seteuid(0)
        path.chmod(mode)


@pytest.mark.parametrize(
    "part",
    [
        ".",
        "model",
        "model/0",
        f"model/0/{manifest.FILE}",
        f"model/0/{checkpoint.CONFIG}",
        "model/0/params",
        "model/0/params/stats.aggregate/0",
    ],
)
def test_a_model_that_cannot_be_read_is_not_called_damaged(part, place, params):
    save(place / "model", params)
    with (
        without(place / part),
        pytest.raises(
            UserError, match=r"model.* cannot be read .Permission denied.; check its perm"
        ),
    ):
        load(place / "model")
    assert load(place / "model").config == params.config


def test_an_unfinished_step_is_removed_only_if_its_manifest_is_known_to_be_missing(place, params):
    with checkpoint.open_for(place) as steps:
        steps.write(1, params)
    (place / "2.notes").mkdir()
    with without(place / "1"), pytest.raises(UserError, match="Permission denied"):
        checkpoint.open_for(place).__enter__()
    with checkpoint.open_for(place) as steps:
        assert steps.latest() == 1
    assert sorted(path.name for path in place.iterdir()) == ["1", "2.notes"]


@pytest.mark.parametrize("name", ["model", "new/model"])
def test_a_folder_that_cannot_be_written_is_named(name, place, params):
    with (
        without(place, 0o222),
        pytest.raises(UserError, match=r"model cannot be written .Permission denied."),
    ):
        save(place / name, params)


@pytest.mark.parametrize("part", [".", "run", f"run/{run_folder.CONFIG}"])
def test_a_run_that_cannot_be_read_is_not_called_damaged(part, place):
    run = place / "run"
    with run_folder.open_run(run, SETTINGS, resume=False) as folder:
        folder.write_json(run_folder.SCORES, {})
    words = r"run.* cannot be read .Permission denied.; check its permissions"
    with without(place / part):
        with pytest.raises(UserError, match=words):
            run_folder.open_run(run, SETTINGS, resume=True).__enter__()
        with pytest.raises(UserError, match=words):
            run_folder.finished(run)
    assert json.loads((run / run_folder.CONFIG).read_text())["seed"] == 0


def test_scores_that_cannot_be_read_are_not_called_damaged(place):
    scores = place / run_folder.SCORES
    scores.write_text("{}")
    with (
        without(scores),
        pytest.raises(UserError, match=r"metrics.json cannot be read .Permission"),
    ):
        run_folder.result(scores)
