"""Runs compared image by image."""

import json
import shutil

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax.evaluation.estimates import bound_terms
from cpvae_jax.storage import run_folder
from experiments import compare
from experiments.data import load


def test_the_difference_is_that_of_the_bounds_and_its_error_is_smaller(finished, tmp_path, capsys):
    """Against the same model with its outputs shifted, which is worse by as much on every image."""
    params = cpvae_jax.load(finished)
    decoder = params.weights["decoder"]
    output = decoder["output"] | {"bias": decoder["output"]["bias"] + 0.2}
    weights = {**params.weights, "decoder": {**decoder, "output": output}}
    other = tmp_path / "shifted"
    cpvae_jax.save(other / "checkpoints", params.replace(weights=weights))
    for name in (run_folder.CONFIG, run_folder.SCORES):
        shutil.copy(finished / name, other / name)
    out = tmp_path / "results" / "pair.json"
    assert compare.main([str(finished), str(other), str(finished), "--out", str(out)]) == 0

    found, test = json.loads(out.read_text()), load("digits").test
    first, second = (
        bound_terms(cpvae_jax.load(path), jax.random.key(0), test)["bound"]
        for path in (finished, other)
    )
    assert found["bound"] == pytest.approx(first.mean(), abs=1e-4)
    shifted = found["better_by"]["shifted"]
    assert shifted["mean"] == pytest.approx(np.mean(second - first), abs=1e-4)
    assert shifted["mean"] < -4 * shifted["standard_error"]
    assert shifted["standard_error"] < 0.5 * first.std() / np.sqrt(len(test))
    assert found["better_by"][finished.name] == {"mean": 0, "standard_error": 0}
    assert f"{shifted['mean']:+.3f} ±" in capsys.readouterr().out


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
    own = bound_terms(params, jax.random.key(0), data.test)["bound"]
    assert json.loads(out.read_text())["bound"] == pytest.approx(own.mean(), abs=1e-4)
    assert compare.main([a, c]) == 2
    assert "is a run on another mixture than" in capsys.readouterr().err
