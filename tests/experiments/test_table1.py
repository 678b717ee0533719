"""The sweep behind Table 1, on two tiny cells of a user's own data."""

import json

import numpy as np
import pytest

from cpvae_jax import UserError
from experiments import folder, run, sweep, table1
from experiments.sweep import Budget, Cell


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
    monkeypatch.setattr(sweep, "SHORT", {tiny: Budget(epochs=1, warmup=1)})
    # A path is no name: the folders and files of such a cell need one.
    monkeypatch.setattr(Cell, "name", property(lambda cell: f"dots-{cell.model}-K{cell.K}"))
    of = sweep.of

    def small(arguments):
        whole = of(arguments)
        return whole._replace(flags=[*whole.flags, "--latent", "2", "--hidden", "4"])

    monkeypatch.setattr(sweep, "of", small)
    return lambda *flags: table1.main(["--log-likelihood", "20", *flags])


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
    assert f"| cp | {np.mean(bounds):.2f} ± {np.std(bounds, ddof=1):.2f} (2) / 9.50 |" in out

    monkeypatch.setattr(run, "main", lambda argv: pytest.fail("what is done ran again"))
    assert command("--only", "*cp*", "--seeds", "2", "--side-by-side", "2") == 0


def test_a_run_that_a_signal_stops_ends_the_sweep(command, monkeypatch, capsys):
    codes = iter([130])
    monkeypatch.setattr(run, "main", lambda argv: next(codes))
    assert command() == 130
    assert "Missing cells: dots-cp-K2, dots-vae-K1" in capsys.readouterr().out


def test_a_run_that_fails_leaves_the_others_their_turn(command, monkeypatch):
    asked = []
    monkeypatch.setattr(run, "main", lambda argv: asked.append(argv) or 2)
    assert command() == 2
    assert len(asked) == 2


def test_what_another_sweep_has_in_hand_is_left_to_it(command, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(run, "main", lambda argv: asked.append(argv) or 2)
    with folder.locked(tmp_path / "runs" / "short" / ".dots-cp-K2-seed0.lock") as mine:
        assert mine
        command()
    assert "== dots-cp-K2, seed 0: another sweep has it in hand" in capsys.readouterr().out
    ((*_, out),) = [[flag for flag in argv if "dots-" in str(flag)] for argv in asked]
    assert out.endswith("dots-vae-K1-seed0")
    with folder.locked(tmp_path / "runs" / "short" / ".dots-cp-K2-seed1.lock"):
        command("--only", "*cp*", "--seeds", "2", "--side-by-side", "2")  # a program of both
    assert len(asked) == 1
    command()
    assert len(asked) == 3


def test_a_pattern_that_names_no_cell_is_told(capsys):
    assert table1.main(["--print", "--only", "mnist-gan-*"]) == 2
    assert "--only mnist-gan-* names no cell; choose from" in capsys.readouterr().err
    with pytest.raises(UserError, match="names no cell"):
        sweep.chosen(table1.cells(), ["cifar*"])


def test_the_table_has_the_24_cells_of_the_paper_and_ten_more():
    papers = sum(value is not None for row in table1.PAPER.values() for value in row)
    assert papers == 24
    assert len(table1.cells()) == 34
    assert len({cell.name for cell in table1.cells()}) == 34
