"""The folder of a run, without a training."""

import json

import pytest

from cpvae_jax.errors import UserError
from cpvae_jax.storage import run_folder
from cpvae_jax.storage.run_folder import CONFIG, FORMAT, LOG, Elsewhere, RunFolder, open_run

SETTINGS = {"dataset": "arrays", "seed": 0}


@pytest.fixture
def made(tmp_path):
    """The folder of a run with a log of three epochs."""
    path = tmp_path / "run"
    with open_run(path, SETTINGS, resume=False) as folder:
        for epoch in (1, 2, 3):
            folder.append(LOG, {"epoch": epoch})
    return path


def test_a_new_run_writes_its_settings_and_an_old_one_is_continued(made):
    assert json.loads((made / CONFIG).read_text()) == {"format": FORMAT, **SETTINGS}
    with open_run(made, SETTINGS, resume=True) as folder:
        assert [line["epoch"] for line in folder.lines(LOG)] == [1, 2, 3]
        folder.rewind(2)
    assert [line["epoch"] for line in RunFolder(made).lines(LOG)] == [1, 2]


@pytest.mark.parametrize(
    ("settings", "resume", "words"),
    [
        (SETTINGS, False, "already holds this run; add --resume"),
        ({**SETTINGS, "seed": 1}, True, "other settings .different: seed."),
        ({"dataset": "arrays"}, True, "other settings .different: seed."),
    ],
)
def test_a_folder_with_a_run_is_not_touched(made, settings, resume, words):
    before = {path: path.stat().st_mtime_ns for path in made.iterdir()}
    with pytest.raises(UserError, match=words), open_run(made, settings, resume=resume):
        pass
    assert {path: path.stat().st_mtime_ns for path in made.iterdir()} == before


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (1, "older version .format 1., which can be loaded"),
        (3, "another version .format 3, not 2."),
    ],
)
def test_runs_of_other_formats_are_not_resumed(made, version, words):
    (made / CONFIG).write_text(json.dumps({**SETTINGS, "format": version}))
    with pytest.raises(UserError, match=words), open_run(made, SETTINGS, resume=True):
        pass


def test_folders_without_a_run(tmp_path):
    new = tmp_path / "new"
    with pytest.raises(UserError, match="no run to resume"), open_run(new, SETTINGS, resume=True):
        pass
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(UserError, match="holds no run"), open_run(tmp_path, SETTINGS, resume=False):
        pass
    with pytest.raises(UserError, match="holds no finished run"):
        run_folder.finished(tmp_path)


def test_a_folder_belongs_to_one_program(made):
    with (
        open_run(made, SETTINGS, resume=True),
        pytest.raises(UserError, match="another program is training in"),
        open_run(made, SETTINGS, resume=True),
    ):
        pass


def test_other_processes_touch_nothing(tmp_path):
    path = tmp_path / "run"
    with open_run(path, SETTINGS, resume=False, writer=False) as folder:
        assert isinstance(folder, Elsewhere)
        folder.append(LOG, {"epoch": 1})
        folder.write_json("scores.json", {})
        folder.rewind(0)
        assert folder.lines(LOG) == []
    assert not path.exists()


def test_a_log_that_a_crash_cut_short_loses_its_last_line_only(made):
    with (made / LOG).open("a") as file:
        file.write('{"epoch": 4')
    assert [line["epoch"] for line in RunFolder(made).lines(LOG)] == [1, 2, 3]
    (made / LOG).write_text('{"epoch": 1}\n{"epoch\n')
    with pytest.raises(UserError, match=r"line 2 of .* is damaged"):
        RunFolder(made).lines(LOG)


def test_a_folder_is_the_same_data_with_a_slash_at_its_end(tmp_path):
    (tmp_path / CONFIG).write_text(json.dumps({"dataset": "arrays/"}))  # an older run
    assert run_folder.read(tmp_path / CONFIG) == {"dataset": "arrays"}


def test_damaged_files_are_named(made):
    for text in ("[]", "{", ""):
        (made / CONFIG).write_text(text)
        with pytest.raises(UserError, match=r"config\.json is damaged"):
            run_folder.read(made / CONFIG)
        with pytest.raises(UserError, match="remove it and run the command again"):
            run_folder.result(made / CONFIG)
