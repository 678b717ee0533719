"""The sweep behind Table 1, on two tiny cells of a user's own data."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cpvae_jax import config
from cpvae_jax.commands import settings
from cpvae_jax.commands.job import Folders
from cpvae_jax.errors import UserError
from cpvae_jax.storage import run_folder
from experiments import run, sweep, table1
from experiments.data import load
from experiments.sweep import Cell


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A data set of eight pixels, and what makes the table two cells of it."""
    path = tmp_path_factory.mktemp("data") / "dots.npz"
    rng = np.random.default_rng(0)
    np.savez(path, x=(rng.random((120, 8)) < 0.5).astype(np.float32), y=rng.integers(0, 2, 120))
    return str(path)


@pytest.fixture
def command(tiny, monkeypatch, tmp_path):
    """The command on those cells; its runs are kept small."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(table1, "COLUMNS", ((tiny, 2),))
    monkeypatch.setattr(table1, "PAPER", {"cp": (9.5,), "vae": (None,)})
    monkeypatch.setitem(sweep.SHORT, tiny, {"epochs": 1, "decay_epochs": 1, "warmup": 1})
    # A path is no name: the folders and files of such a cell need one.
    monkeypatch.setattr(Cell, "name", property(lambda cell: f"dots-{cell.model}-K{cell.K}"))
    of = sweep.of

    def small(*arguments):
        whole = of(*arguments)
        return whole._replace(base=replace(whole.base, model={"latent": 2, "hidden": (4,)}))

    monkeypatch.setattr(sweep, "of", small)
    return lambda *flags: table1.main(["--log-likelihood", "20", *flags])


@pytest.mark.slow
def test_a_sweep_trains_what_is_missing_and_prints_the_table(
    command, tmp_path, capsys, monkeypatch
):
    assert command("--only", "*vae*", "--likelihood-images", "5") == 0
    results = tmp_path / "results" / "short"
    (only,) = results.iterdir()
    assert only.name == "dots-vae-K1-seed0.json"
    found = json.loads(only.read_text())
    assert found["cell"] == {**found["cell"], "model": "vae", "K": 1}
    assert found["log_likelihood"]["images"] == 5
    assert "Missing cells: dots-cp-K2\n" in capsys.readouterr().out

    assert command("--only", "*cp*", "--seeds", "2", "--side-by-side", "2") == 0
    out = capsys.readouterr().out
    assert "Missing cells: none" in out
    seeds = [json.loads((results / f"dots-cp-K2-seed{s}.json").read_text()) for s in (0, 1)]
    assert [seed["seed"] for seed in seeds] == [0, 1]
    bounds = [-seed["test_bound"]["mean"] for seed in seeds]
    assert (
        f"| cp | {np.mean(bounds):.2f} ± {np.std(bounds, ddof=1):.2f} (2) / 9.50 |"
        in out.replace(" ‡", "")
    )

    monkeypatch.setattr(run, "run", lambda job: pytest.fail("a finished cell ran again"))
    assert command("--only", "*cp*", "--seeds", "2", "--side-by-side", "2") == 0


def test_the_table_marks_old_accuracies_and_files_of_a_modified_source(
    command, tmp_path, capsys, tiny
):
    results = tmp_path / "results" / "short"
    results.mkdir(parents=True)

    def write(seed, commit, **clustering):
        found = {"test_bound": {"mean": -9.0}, "sessions": [{"commit": commit}]}
        found["clustering"] = {"accuracy_hungarian": 0.25, "accuracy_majority": 0.5, **clustering}
        (results / f"dots-cp-K2-seed{seed}.json").write_text(json.dumps(found))

    def rows():
        assert command("--print") == 0
        out = capsys.readouterr().out
        return out, [line for line in out.splitlines() if line.startswith("| cp |")]

    write(0, "ab", majority_from="training")
    out, (bound, *_, hungarian, majority) = rows()
    assert (bound, majority) == ("| cp | 9.00 (1) / 9.50 |", "| cp | 0.500 (1) |")
    assert "†" not in out
    assert "‡" not in out
    write(1, "ab", accuracy_majority=0.9)
    assert rows()[1][-1] == "| cp | 0.500 (1) |"  # no mean of two kinds
    write(0, "ab")
    out, (bound, *_, hungarian, majority) = rows()
    assert majority == "| cp | 0.700 ± 0.283 (2) † |"
    assert hungarian == "| cp | 0.250 ± 0.000 (2) |"
    assert "\n\n† With a file in which" in out
    write(1, "cd+")
    out, (bound, *_, hungarian, majority) = rows()
    assert bound == "| cp | 9.00 ± 0.00 (2) ‡ / 9.50 |"
    assert majority == "| cp | 0.500 ± 0.000 (2) †‡ |"  # the second file was written again
    assert out.index("\n\n† ") < out.index("\n\n‡ ") < out.index("Missing cells")


def test_refined_bounds_have_a_table_where_there_are_some(command, tmp_path, capsys, tiny):
    results = tmp_path / "results" / "short"
    results.mkdir(parents=True)
    found = {"test_bound": {"mean": -9.0}, "sessions": [{"commit": "ab"}]}
    path = results / "dots-cp-K2-seed0.json"
    path.write_text(json.dumps(found))
    command("--print")
    assert "refined" not in capsys.readouterr().out
    path.write_text(json.dumps({**found, "refined_bound": {"mean": -8.25}}))
    command("--print")
    out = capsys.readouterr().out
    assert "8.25 (1)" in out[out.index("refined bound") : out.index("log-likelihood")]


def test_differences_from_cp_have_a_table_where_both_have_several_seeds(command, tmp_path, capsys):
    results = tmp_path / "results" / "short"
    results.mkdir(parents=True)

    def printed(commit="ab", **bounds):
        for name, values in bounds.items():
            cell = {"cp": "dots-cp-K2", "vae": "dots-vae-K1"}[name]
            for seed, value in enumerate(values):
                path = results / f"{cell}-seed{seed}.json"
                found = {"test_bound": {"mean": value}, "sessions": [{"commit": commit}]}
                path.write_text(json.dumps(found))
        command("--print")
        return capsys.readouterr().out

    assert "better than cp's" not in printed(cp=[-9.0, -8.0], vae=[-10.0])
    out = printed(vae=[-10.0, -12.0])
    assert "| vae | -2.50 ± 1.12 |" in out[out.index("better than cp's") :]
    assert "| vae | -2.50 ± 1.12 ‡ |" in printed(commit="ab+", vae=[-10.0])


def test_a_run_that_a_signal_stops_ends_the_sweep(command, monkeypatch, capsys):
    codes = iter([130])
    monkeypatch.setattr(run, "run", lambda job: next(codes))
    assert command() == 130
    assert "Missing cells: dots-cp-K2, dots-vae-K1" in capsys.readouterr().out


def test_a_run_that_fails_leaves_the_others_their_turn(command, monkeypatch):
    asked = []
    monkeypatch.setattr(run, "run", lambda job: asked.append(job) or 2)
    assert command() == 2
    assert len(asked) == 2


def test_what_another_sweep_is_working_on_is_left_to_it(command, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(run, "run", lambda job: asked.append(job) or 2)
    with run_folder.locked(tmp_path / "runs" / "short" / ".dots-cp-K2-seed0.lock") as mine:
        assert mine
        command()
    assert "== dots-cp-K2, seed 0: another sweep is working on it" in capsys.readouterr().out
    assert [job.options.out.name for job in asked] == ["dots-vae-K1-seed0"]
    with run_folder.locked(tmp_path / "runs" / "short" / ".dots-cp-K2-seed1.lock"):
        command("--only", "*cp*", "--seeds", "2", "--side-by-side", "2")  # a program of both
    assert len(asked) == 1
    command()
    assert len(asked) == 3


def test_a_pattern_that_matches_no_cell_is_refused(capsys):
    assert table1.main(["--print", "--only", "mnist-gan-*"]) == 2
    assert "--only mnist-gan-* matches no cell; choose from" in capsys.readouterr().err
    with pytest.raises(UserError, match="matches no cell"):
        sweep.chosen(table1.cells(), ["cifar*"])


def test_the_table_has_the_24_cells_of_the_paper_and_ten_more():
    papers = sum(value is not None for row in table1.PAPER.values() for value in row)
    assert papers == 24
    assert len(table1.cells()) == 34
    assert len({cell.name for cell in table1.cells()}) == 34


OLD = {"epochs": 100, "decay_epochs": 100, "warmup": 10, "temperature_epochs": 10}
RATES = {"mnist": 3e-3, "omniglot": 1e-3, "synthetic": 3e-3}


@pytest.mark.parametrize("cell", [*table1.cells(), Cell("synthetic", "mg", 150)], ids=str)
@pytest.mark.parametrize("schedule", ["short", "long", "paper"])
def test_the_schedules_are_those_of_the_published_numbers(cell, schedule):
    """The settings written out, by data set and model."""
    options = sweep.SweepOptions(schedule=schedule)
    job = sweep.of(options, Folders()).job(cell, 0, 1)
    data = load("synthetic", num=10)  # only its number of examples matters
    model = settings.model_config(replace(job, model={**job.model, "K": 1}), data)
    expected = {
        "paper": {},
        "long": {name: 4 * value for name, value in OLD.items()} | {"learning_rate": 1e-3},
        "short": {**OLD, "learning_rate": 1e-3 if "h" in cell.model else RATES[cell.dataset]},
    }[schedule]
    if schedule == "short" and cell.dataset == "omniglot":
        expected |= {"warmup": 30, "temperature_epochs": 30}
    if schedule == "short" and cell.dataset == "synthetic":
        expected |= {"epochs": 40, "decay_epochs": 40, "warmup": 5, "temperature_epochs": 5}
    assert settings.training(job, model, data) == config.Training(**expected)
    assert job.options.quiet
    assert (job.options.log_likelihood, job.options.likelihood_images) == (5000, 1000)


def test_a_job_of_a_sweep_is_recorded_as_a_command_that_repeats_it(monkeypatch):
    recorded = []
    monkeypatch.setattr(
        run.fit, "train", lambda job, arguments, program: recorded.append(arguments)
    )
    whole = sweep.of(sweep.SweepOptions(), Folders())
    job = whole.job(Cell("omniglot", "cp", 50), 1, 2)
    run.run(job)
    found = run.fit.parse(recorded[0], source=run.Named, data_options=run.Mixture)
    assert found == job
