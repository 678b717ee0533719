"""The table of clusterings, on a tiny cell of a user's own data."""

import json
from dataclasses import replace

import numpy as np
import pytest

from experiments import clusters, run, sweep
from experiments.clusters import TARGETS, Target
from experiments.data import SOURCES
from experiments.sweep import Cell


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command on two cells of one file; its runs are kept small."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 120)
    path = tmp_path / "groups.npz"
    np.savez(path, x=rng.normal(size=(120, 3)) + 5 * y[:, None], y=y)
    monkeypatch.chdir(tmp_path)
    cells = {
        Cell(str(path), "cp", 2): Target(2, margin=-0.02, worst=0.4),
        Cell(str(path), "cp", 3): Target(1, mean=0.5, score="accuracy_majority"),
    }
    monkeypatch.setattr(clusters, "TARGETS", cells)
    # A path is no name: the folders and files of such a cell need one.
    monkeypatch.setattr(Cell, "name", property(lambda cell: f"groups-{cell.model}-K{cell.K}"))
    of = sweep.of

    def small(*arguments):
        whole = of(*arguments)
        model = {"latent": 2, "hidden": (4,)}
        training = {"epochs": 1, "warmup": 0, "temperature_epochs": 0}
        return whole._replace(base=replace(whole.base, model=model, training=training))

    monkeypatch.setattr(sweep, "of", small)
    return lambda *flags: clusters.main(["--recipe", "short", *flags])


def rows(text):
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| /")]


@pytest.mark.slow
def test_it_trains_what_is_missing_and_prints_the_table(command, tmp_path, capsys, monkeypatch):
    assert command() == 0
    folder = tmp_path / "results" / "clusters-short"
    names = [f"groups-cp-K{K}-seed{s}.json" for K, s in ((2, 0), (2, 1), (3, 0))]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert (tmp_path / "runs" / "clusters-short" / "groups-cp-K2-seed1" / "metrics.json").exists()
    seeds = [json.loads((folder / name).read_text()) for name in names]
    two, three = rows(capsys.readouterr().out)
    scores = [seed["clustering"]["accuracy_hungarian"] for seed in seeds[:2]]
    kept = max(seeds[:2], key=lambda seed: seed["valid_bound"])["clustering"]
    baselines = seeds[0]["baselines"]
    best = max(one["accuracy_hungarian"] for one in baselines.values())
    assert two[2].startswith(f"mean ≥ {best - 0.02:.3f}, worst ≥ 0.400, m")
    assert two[3].startswith(f"{np.mean(scores):.3f} ± {np.std(scores, ddof=1):.3f} (2)")
    assert two[4] == f"{min(scores):.3f}"
    assert two[5] == f"{kept['accuracy_hungarian']:.3f} / {max(scores):.3f}"
    assert two[6:8] == [f"{baselines[n]['accuracy_hungarian']:.3f}" for n in ("kmeans", "mixture")]
    bounds = [seed["test_bound"]["mean"] for seed in seeds[:2]]
    assert two[9] == f"{np.mean(bounds):.2f} ± {np.std(bounds, ddof=1):.2f} (2)"
    assert three[1] == "majority"
    assert three[3].startswith(f"{seeds[2]['clustering']['accuracy_majority']:.3f} (1)")

    monkeypatch.setattr(run, "run", lambda job: pytest.fail("a finished seed ran again"))
    assert command() == 0
    assert "Missing seeds: none" in capsys.readouterr().out


def test_missing_seeds_are_counted_and_asked_for(command, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(run, "run", lambda job: asked.append(job) or 2)
    assert command("--print") == 0
    assert "Missing seeds: groups-cp-K2 (2), groups-cp-K3 (1)" in capsys.readouterr().out
    assert command("--only", "*K2", "--seeds", "3") == 2
    out = capsys.readouterr().out
    assert "Missing seeds: groups-cp-K2 (2)" in out
    assert len(rows(out)) == 1
    assert [job.options.seed for job in asked] == [0, 1, 2]
    assert {(job.recipe, job.options.log_likelihood) for job in asked} == {("short", 0)}
    assert command("--only", "*gan*") == 2
    assert "--only *gan* matches no cell" in capsys.readouterr().err


def test_a_signal_ends_it(command, monkeypatch):
    codes = iter([130])
    monkeypatch.setattr(run, "run", lambda job: next(codes))
    assert command() == 130


def test_the_default_is_the_recipe_modes(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(run, "run", lambda job: asked.append(job) or 130)
    assert clusters.main(["--manual-dir", str(tmp_path)]) == 130
    (job,) = asked
    assert (job.recipe, job.dataset, job.model) == ("modes", "digits", {"model": "cp", "K": 10})
    assert str(job.options.out) == "runs/clusters/digits-cp-K10-seed0"
    assert job.folders.manual_dir == tmp_path


def test_a_target_is_met_or_missed_once_all_seeds_are_there():
    target = Target(2, mean=0.9, worst=0.8)
    words = "mean ≥ 0.900, worst ≥ 0.800"
    assert clusters._target(target, [0.95], []) == words
    assert clusters._target(target, [0.97, 0.85], []) == f"{words}, met"
    assert clusters._target(target, [0.99, 0.79], []) == f"{words}, missed"
    assert clusters._target(target, [0.85, 0.85], []) == f"{words}, missed"
    relative = Target(1, margin=0.05)
    assert clusters._target(relative, [0.76], [0.5, 0.7]) == "mean ≥ 0.750, met"
    assert clusters._target(relative, [0.74], [0.5, 0.7]) == "mean ≥ 0.750, missed"
    assert clusters._target(relative, [0.74], []) == ""
    assert clusters._target(Target(1), [0.74], [0.5]) == ""


def test_results_without_labels_or_baselines_leave_gaps(command, tmp_path, capsys):
    folder = tmp_path / "results" / "clusters-short"
    folder.mkdir(parents=True)
    old = {"test_bound": {"mean": -9.0}, "valid_bound": -9.0, "sessions": [{"commit": "ab+"}]}
    scores = {"accuracy_hungarian": 0.75, "nmi": 0.5}
    (folder / "groups-cp-K2-seed0.json").write_text(json.dumps({**old, "clustering": scores}))
    (folder / "groups-cp-K3-seed0.json").write_text(json.dumps({**old, "clustering": scores}))
    assert command("--print") == 0
    out = capsys.readouterr().out
    two, three = (line.split("|")[3:] for line in out.splitlines() if line.startswith("| /"))
    assert [cell.strip() for cell in two[1:6]] == ["0.750 (1) ‡", "0.750", "0.750 / 0.750", "", ""]
    assert not "".join(three[1:]).strip()  # it has no majority accuracy
    assert "\n\n‡ With a file" in out


def test_the_cells_are_those_of_registered_data_sets():
    assert {cell.dataset for cell in TARGETS} <= set(SOURCES.names())
    assert sum(target.seeds for target in TARGETS.values()) == 10 + 6 * 5 + 2 * 5 + 10 + 3 + 3 + 2
    assert len({cell.name for cell in TARGETS}) == len(TARGETS) == 13
