"""The command `cpvae report`: the report again, from the files of the run alone."""

import json
import shutil

import pytest

from cpvae_jax.commands.main import main
from cpvae_jax.storage.run_folder import CONTENT, PAGE
from tests.report.html.conftest import tiny_run

__all__ = ["tiny_run"]


@pytest.fixture
def copy(tiny_run, tmp_path):
    return shutil.copytree(tiny_run, tmp_path / "copy")


@pytest.mark.slow
def test_the_report_is_the_same_again_without_data_and_model(copy, tmp_path, capsys):
    before = (copy / PAGE).read_bytes()
    (copy / PAGE).unlink()
    shutil.rmtree(copy / "checkpoints")
    assert main(["report", str(copy)]) == 0
    assert capsys.readouterr().out == f"report: {copy / PAGE}\n"
    assert (copy / PAGE).read_bytes() == before
    other = tmp_path / "new" / "here.html"
    assert main(["report", str(copy), "--out", str(other)]) == 0
    assert other.read_bytes() == before


def test_a_run_names_its_report_on_the_last_line(tiny_run, capsys):
    arguments = [str(tiny_run.parent / "tiny.npz"), "--out", str(tiny_run), "--K", "3"]
    arguments += ["--latent", "3", "--hidden", "8", "--likelihood", "gaussian", "--recipe", "paper"]
    assert main(["fit", *arguments, "--epochs", "3", "--seeds", "2", "--quiet", "--resume"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f"report: {tiny_run / PAGE}"
    assert "between seeds: adjusted Rand index" in printed


def test_runs_that_lack_what_the_report_needs_are_refused_in_a_sentence(copy, tmp_path, capsys):
    def refused(folder, words):
        assert main(["report", str(folder)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert words in error
        assert error.count("\n") == 1

    refused(tmp_path, "holds no finished run")
    content = json.loads((copy / CONTENT).read_text())
    (copy / CONTENT).write_text(json.dumps({**content, "format": 99}))
    refused(copy, "has the format 99, but this version reads 1")
    (copy / CONTENT).write_text("{")
    refused(copy, f"{CONTENT} is damaged")
    (copy / CONTENT).unlink()
    refused(copy, f"holds no {CONTENT}, which runs of earlier versions lack; repeat the command")
