"""The figures of the paper, from tiny runs: on the synthetic mixture, and on digits for MNIST."""

import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from cpvae_jax.commands.job import Folders, Job
from cpvae_jax.report import drawing
from experiments import densities, figure_source, figures, run, sweep
from experiments.data import load
from experiments.sweep import Cell

TINY = ["--recipe", "paper", "--latent", "2", "--hidden", "4", "--epochs", "1", "--quiet"]


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder of finished runs, named as a sweep names them."""
    path = tmp_path_factory.mktemp("runs")
    for cell in (Cell("synthetic", "cp", 150), Cell("mnist", "vae", 1), Cell("mnist", "cp", 10)):
        data = ["--dataset", "synthetic", "--num", "400"]
        if cell.dataset == "mnist":
            data = ["--dataset", "digits"]
        flags = [
            "--model",
            cell.model,
            "--K",
            str(cell.K),
            "--out",
            str(path / f"{cell.name}-seed0"),
        ]
        assert run.main([*data, *flags, *TINY]) == 0
    return path


@pytest.fixture
def command(runs, tmp_path, monkeypatch):
    """The command on those runs, with digits in the place of MNIST."""
    small = {"mnist": "digits", "synthetic": "synthetic"}
    monkeypatch.setattr(figure_source.datasets, "load", lambda name, **folders: load(small[name]))
    monkeypatch.setattr(densities.scoring, "DENSITY_SAMPLES", 500)
    folders = ["--runs", str(runs), "--results", str(tmp_path / "results")]
    return lambda *flags: figures.main([*flags, *folders, "--out", str(tmp_path / "figures")])


def test_every_figure_that_has_a_run_is_drawn_and_what_is_missing_is_said(
    command, tmp_path, capsys
):
    assert command() == 0
    lines = {
        line.split(":")[0].split(",")[0]: line for line in capsys.readouterr().out.splitlines()
    }
    for number in (3, 4, 5, 6, 7, 8):
        path = tmp_path / "figures" / f"figure{number}.png"
        assert str(path) in lines
        assert np.ptp(matplotlib.image.imread(path)[..., :3]) > 0.9
    assert lines["figure 9"].startswith("figure 9: no run of it is in")
    assert (
        "without synthetic-vae-K1, synthetic-cp-K2" in lines[str(tmp_path / "figures/figure3.png")]
    )
    assert lines[str(tmp_path / "figures/figure6.png")].endswith("without mnist-cp-K1")
    assert "without" not in lines[str(tmp_path / "figures/figure7.png")]


def test_a_caption_has_the_score_of_the_samples_where_it_was_taken(runs, tmp_path):
    whole = sweep.Sweep("short", runs, tmp_path, seeds=1, side_by_side=1, base=Job(""))
    cell = Cell("mnist", "cp", 10)
    source = figure_source.Source(whole, Folders())
    assert figure_source.caption(cell, source.score(cell)) == "CP, K = 10"
    (tmp_path / "generation").mkdir()
    file = tmp_path / "generation" / "mnist-cp-K10-seed0.json"
    file.write_text(json.dumps({"frechet": {"mean": 12.34, "std": 0.1}}))
    assert figure_source.caption(cell, source.score(cell)) == "CP, K = 10\nFréchet distance 12.3"


@pytest.mark.parametrize("side_by_side", [1, 2])
def test_the_distances_of_figure_3_are_those_of_all_finished_seeds(tmp_path, side_by_side, capsys):
    """Three seeds are asked for. CP has all with two components, and one with 150."""

    def write(name, of_seeds):
        seeds = [
            {"seed": seed, "wasserstein": {"aggregate": q, "uniform": 2 * q, "floor": 0.003}}
            for seed, q in of_seeds.items()
        ]
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps({"seeds": seeds}))

    if side_by_side == 1:
        for seed, q in enumerate((0.001, 0.002, 0.006)):
            write(f"synthetic-cp-K2-seed{seed}", {seed: q})
    else:
        write("synthetic-cp-K2-seeds0-1", {0: 0.001, 1: 0.002})
        write("synthetic-cp-K2-seed2", {2: 0.006})
    write("synthetic-mg-K150-seed2", {2: 0.004})
    whole = sweep.Sweep("short", tmp_path, tmp_path, seeds=3, side_by_side=side_by_side, base=None)
    lines = densities.table(figure_source.Source(whole, Folders())).splitlines()
    assert lines[2:] == [
        "| CP | 2 | 0.0030 ± 0.0026 (3 seeds) | 0.0060 ± 0.0053 (3 seeds) |",
        "| MG | 150 | 0.0040 | 0.0080 |",
        "| training set | | 0.0030 | |",
    ]


def test_the_panels_of_figure_3_show_the_distances_of_the_scores(command, runs, capsys):
    titles = []
    original = densities.Axes.set
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(densities.Axes, "set", lambda a, **k: titles.append(k) or original(a, **k))
        assert command("--figures", "3", "--seeds", "2") == 0
    scores = json.loads((runs / "synthetic-cp-K150-seed0" / "metrics.json").read_text())
    distance = scores["seeds"][0]["wasserstein"]["aggregate"]
    assert f"CP\nW₁ = {distance:.4f}" in [title.get("title") for title in titles]
    assert f"| CP | 150 | {distance:.4f} |" in capsys.readouterr().out


def test_methods_are_shown_by_the_samples_kept_with_their_scores_without_runs(
    tmp_path, monkeypatch, capsys
):
    shown = []
    monkeypatch.setattr(drawing, "show_tiled", lambda axes, image: shown.append((axes, image)))
    kept = tmp_path / "results" / "generation"
    kept.mkdir(parents=True)
    levels = {"omniglot-cp-K50-seed1": 0.2, "omniglot-mg-K500-seed0": 0.6}
    for name, level in levels.items():
        drawing.save_tiled(kept / f"{name}.png", np.full((36, 4, 4), level))
        (kept / f"{name}.json").write_text(json.dumps({"frechet": {"mean": level, "std": 0.1}}))
    drawing.save_tiled(kept / "omniglot-cp-K500-seed0.png", np.ones((36, 4, 4)))  # scores missing
    flags = ["--runs", str(tmp_path / "none"), "--results", str(tmp_path / "results")]
    assert figures.main(["--figures", "8", "9", *flags, "--out", str(tmp_path)]) == 0
    line8, line9 = capsys.readouterr().out.splitlines()
    assert line8.startswith("figure 8: no run of it")
    assert "omniglot-cp-K500" in line9
    assert "omniglot-cp-K50," not in line9
    found = {axes.get_title(): image[1, 1] for axes, image in shown}
    assert found == {
        "CP, K = 50\nFréchet distance 0.2": pytest.approx(0.2, abs=0.01),
        "MG, K = 500\nFréchet distance 0.6": pytest.approx(0.6, abs=0.01),
    }


def test_what_a_figure_lacks_is_trained_if_asked(command, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(run, "run", lambda job: asked.append(job) or 0)
    monkeypatch.setattr(sweep.Sweep, "_collect", lambda *_: None)
    assert command("--figures", "3", "--train", "--only", "synthetic-mg-*") == 0
    assert [job.model["model"] for job in asked] == ["mg", "mg"]
    monkeypatch.setattr(run, "run", lambda job: 130)
    assert command("--figures", "3", "--train") == 130
    capsys.readouterr()
    assert command("--figures", "3", "--train", "--only", "mnist-gan") == 2
    assert "--only mnist-gan matches no cell" in capsys.readouterr().err


def test_samples_of_images_are_scored_by_a_classifier_of_their_data(command, runs, monkeypatch):
    asked = []
    for module in (figures.classifier, figures.generation):
        monkeypatch.setattr(module, "run", lambda *records, m=module: asked.append((m, *records)))
    monkeypatch.setattr(run, "run", lambda job: 0)
    monkeypatch.setattr(sweep.Sweep, "_collect", lambda *_: None)
    flags = ["--figures", "7", "4", "--train", "--data-dir", "there"]
    assert command(*flags) == 0
    (_, named, folders, trained), (module, scored, also_folders) = asked
    judge = runs / "classifier-mnist"
    assert (named.dataset, trained.out) == ("mnist", judge)
    assert folders == also_folders == Folders(data_dir=Path("there"))
    assert module is figures.generation
    assert (scored.runs, scored.classifier) == ((runs / "mnist-cp-K10-seed0",), judge)
