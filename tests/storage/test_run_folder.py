"""The folder of a run, without a training."""

import json
from dataclasses import asdict

import pytest

from cpvae_jax.config import Config, Training
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


def test_fields_that_an_earlier_version_lacks_stand_for_their_defaults(tmp_path):
    config, training = Config(shape=(3,)).to_dict(), asdict(Training())
    del training["epochs"]
    now = {**SETTINGS, "model": {**config, "shape": [3], "hidden": [300, 300]}}
    now["training"] = {**training, "regularisers": []}
    then = json.loads(json.dumps(now))
    for name in ("category_prior", "groups"):
        del then["model"][name]
    del then["training"]["regularisers"]
    with open_run(tmp_path / "run", then, resume=False):
        pass
    with open_run(tmp_path / "run", now, resume=True):
        pass
    now["model"]["category_prior"] = "learned"
    with pytest.raises(UserError, match="model"), open_run(tmp_path / "run", now, resume=True):
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
        with pytest.raises(
            UserError, match="move it away, and run the command that wrote it again"
        ):
            run_folder.result(made / CONFIG)


DATA = {"train": "1", "valid": "2", "test": "3"}
KEYED = {**SETTINGS, "prng": "threefry2x32", "data": DATA}


@pytest.fixture
def keyed(tmp_path):
    """The folder of a run that knows its data and the kind of its random keys."""
    path = tmp_path / "run"
    with open_run(path, KEYED, resume=False):
        pass
    return path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {**DATA, "train": "9"}}, "on other data: the training examples are not those"),
        ({"data": {**DATA, "valid": "9"}}, "on other data: the validation examples are not"),
        ({"data": {**DATA, "test": "9"}}, "on other data: the test examples are not"),
        ({"data": {**DATA, "train": "9", "test": "9"}}, "the training and test examples are not"),
        ({"data": {"train": "1"}}, "the validation and test examples are not"),
        ({"data": dict.fromkeys(DATA, "9"), "dataset": "b"}, "on other data: the training, valid"),
        ({"data": dict.fromkeys(DATA, "9"), "seed": 1}, "other settings .different: data, seed."),
        ({"prng": "rbg"}, "jax_default_prng_impl=threefry2x32, and now the random keys are rbg"),
        ({"dataset": "b", "seed": 1}, "other settings .different: seed."),
    ],
)
def test_a_run_is_continued_on_its_own_data_only(keyed, changes, words):
    with pytest.raises(UserError, match=words), open_run(keyed, {**KEYED, **changes}, resume=True):
        pass


@pytest.mark.parametrize("dataset", ["./arrays", "/data/arrays", "another-name"])
def test_the_same_data_by_another_spelling_are_the_same(keyed, dataset):
    with open_run(keyed, {**KEYED, "dataset": dataset}, resume=True):
        pass
    assert run_folder.read(keyed / CONFIG)["dataset"] == "arrays"


def test_an_earlier_run_without_a_digest_is_compared_by_the_name_of_its_data(made):
    with open_run(made, KEYED, resume=True):
        pass
    words = "other settings .different: dataset."
    with (
        pytest.raises(UserError, match=words),
        open_run(made, {**KEYED, "dataset": "b"}, resume=True),
    ):
        pass


@pytest.mark.parametrize("path", ["gs://bucket/run", "", "n" * 300, "a\0b"])
@pytest.mark.parametrize("writer", [True, False])
def test_what_is_no_folder_is_refused_by_every_process(path, writer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(UserError, match=r"is a URL|is empty|has a name of|has a zero byte"),
        open_run(path, SETTINGS, resume=False, writer=writer),
    ):
        pass
    assert not list(tmp_path.iterdir())
