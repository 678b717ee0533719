"""Runs compared image by image."""

import json
import shutil

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax.evaluation.estimates import bound_terms
from cpvae_jax.keys import purpose
from cpvae_jax.storage import run_folder
from experiments import compare
from experiments.data import load
from tests.running import copied

KEY = purpose(jax.random.key(0), "comparison")


@pytest.mark.slow
def test_the_difference_is_that_of_the_bounds_and_its_error_is_smaller(finished, tmp_path, capsys):
    other = copied(finished, tmp_path / "shifted", 0.2)
    out = tmp_path / "results" / "pair.json"
    assert compare.main([str(finished), str(other), "--out", str(out)]) == 0

    found, test = json.loads(out.read_text()), load("digits").test
    first, second = (
        bound_terms(cpvae_jax.load(path), KEY, test)["bound"] for path in (finished, other)
    )
    assert found["bound"] == pytest.approx(first.mean(), abs=1e-4)
    better = found["better_by"]["shifted"]
    difference = np.float64(second - first)
    assert better["mean"] == pytest.approx(difference.mean(), abs=1e-4)
    assert better["mean"] < -4 * better["standard_error"]
    assert better["standard_error"] == pytest.approx(
        difference.std(ddof=1) / np.sqrt(len(test)), rel=1e-6
    )
    assert better["standard_error"] < 0.5 * first.std() / np.sqrt(len(test))
    assert f"{better['mean']:+.3f} ±" in capsys.readouterr().out


def test_runs_in_folders_of_one_name_are_told_apart_and_a_run_counts_once(
    finished, tmp_path, capsys, monkeypatch
):
    a, b = (copied(finished, tmp_path / name / "x", by) for name, by in (("a", 0.1), ("b", 0.2)))
    (tmp_path / "link").symlink_to(a)
    monkeypatch.chdir(tmp_path)
    runs = [str(finished), "a/x", str(b), "link", str(finished)]
    assert compare.main([*runs, "--out", "found.json"]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["first"] == finished.name
    assert list(found["better_by"]) == ["a/x", "b/x"]
    assert found["better_by"]["a/x"]["mean"] > found["better_by"]["b/x"]["mean"]
    assert len(set(found["runs"].values())) == 3
    error = capsys.readouterr().err
    assert "note: link is the same run as a/x; it counts once." in error
    assert error.count("it counts once") == 2
    assert compare.main(["a/x", "a/x"]) == 0  # nothing is left to compare with
    assert "it counts once" in capsys.readouterr().err
    assert compare.main(["a/x", "b/x", "--out", "pair.json"]) == 0
    assert json.loads((tmp_path / "pair.json").read_text())["first"] == "a/x"


def test_a_file_that_holds_something_else_is_not_overwritten(finished, tmp_path, capsys):
    other = copied(finished, tmp_path / "other", 0.2)
    out = tmp_path / "pair.json"
    flags = [str(finished), str(other), "--out", str(out)]
    assert compare.main(flags) == 0
    first = json.loads(out.read_text())
    assert compare.main(flags) == 0  # the same comparison
    assert json.loads(out.read_text()) == first
    shutil.rmtree(other)
    copied(finished, other, 0.3)  # another model in the same place
    third = copied(finished, tmp_path / "third", 0.2)
    before = out.read_text()
    for changed in (
        flags,
        [str(finished), str(third), "--out", str(out)],
        [str(other), str(finished), "--out", str(out)],
    ):
        capsys.readouterr()
        assert compare.main(changed) == 2
        assert "holds something else than this comparison" in capsys.readouterr().err
        assert out.read_text() == before
    for text in ("[1, 2]", "not JSON", "{}"):
        out.write_text(text)
        assert compare.main(flags) == 2
        assert out.read_text() == text
    old = {name: value for name, value in first.items() if name not in ("runs", "seed")}
    out.write_text(json.dumps(old))  # of an earlier version
    assert compare.main(flags) == 0


def test_runs_on_other_data_and_folders_without_a_run_are_refused(finished, tmp_path, capsys):
    (tmp_path / run_folder.SCORES).write_text("{}")
    (tmp_path / run_folder.CONFIG).write_text('{"dataset": "mnist"}')
    for path, words in (
        (tmp_path, "is a run on mnist"),
        (tmp_path / "none", "holds no finished run"),
    ):
        assert compare.main([str(finished), str(path)]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1


def test_runs_on_a_mixture_are_compared_on_that_mixture(tmp_path, capsys):
    mixture, config = (
        {"means": [50.0, 60.0], "num": 500},
        cpvae_jax.Config(shape=(1,), K=2, latent=1, hidden=(4,), likelihood="gaussian"),
    )
    data = load("synthetic", **mixture)
    params = cpvae_jax.initialise(jax.random.key(0), config, data.train)
    for name, of in (("a", mixture), ("b", mixture), ("c", {})):
        cpvae_jax.save(tmp_path / name / "checkpoints", params)
        (tmp_path / name / run_folder.SCORES).write_text("{}")
        (tmp_path / name / run_folder.CONFIG).write_text(json.dumps({"dataset": "synthetic", **of}))
    a, b, c = (str(tmp_path / name) for name in "abc")
    out = tmp_path / "pair.json"
    assert compare.main([a, b, "--out", str(out)]) == 0
    own = bound_terms(params, KEY, data.test)["bound"]
    assert json.loads(out.read_text())["bound"] == pytest.approx(own.mean(), abs=1e-4)
    assert compare.main([a, c]) == 2
    assert "is a run on another mixture than" in capsys.readouterr().err
