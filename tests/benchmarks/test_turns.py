"""Programs in processes of their own, by turns, and this checkout against another one."""

import argparse

import numpy as np
import pytest

from benchmarks import against, turns
from benchmarks.problem import Case, image_file
from benchmarks.turns import Child, Program, ProgramError, by_turns, ratio
from cpvae_jax import UserError

ANSWERS = "unittest.mock:Mock"  # makes a program that answers `return_value`
CASE = Case("cp", 2, 10, latent=2, hidden=4)


def test_ratios_are_formed_within_a_round():
    assert ratio([2.0, 30.0, 3.0], [1.0, 10.0, 2.0]) == (2.0, 1.5, 3.0)
    assert str(ratio([2.0], [1.0])) == "2.00 (2.00–2.00)"


def test_images_are_random_with_the_ink_of_mnist():
    with image_file(60) as path:
        images = np.load(path)
    assert (images.shape, images.dtype) == ((60, 28, 28), np.uint8)
    assert 0.17 < (images > 0).mean() < 0.21
    assert not path.exists()


def test_programs_take_turns_and_a_failing_one_is_noted(quiet):
    programs = {
        "a": Program(ANSWERS, {"return_value": [2.0, 7]}),
        "b": Program(ANSWERS, {"return_value": [6.0, 8]}),
        "c": Program("no_such_module:program"),
    }
    found = by_turns(programs, 2, "test")
    assert found["over"]["b"] == {"median": 3.0, "low": 3.0, "high": 3.0}
    assert found["value"] == {"a": [7, 7], "b": [8, 8]}
    (note,) = found["notes"]
    assert note.startswith("c is left out: ModuleNotFoundError")


def test_without_the_first_program_nothing_is_measured(quiet):
    programs = {"a": Program("no_such_module:program"), "b": Program(ANSWERS)}
    with pytest.raises(ProgramError, match="no_such_module"):
        by_turns(programs, 1, "test")


def test_a_process_that_dies_is_an_error():
    with (
        Child(Program("os:_exit", {"status": 1})) as child,
        pytest.raises(ProgramError, match="its process died"),
    ):
        child.run()


@pytest.fixture
def checkouts(tmp_path, monkeypatch):
    """Two checkouts: a step of this one takes twice as long as a step of the other one."""
    for side, seconds in (("this", 2.0), ("other", 1.0)):
        for package in ("benchmarks", "cpvae_jax"):
            (tmp_path / side / package).mkdir(parents=True)
            (tmp_path / side / package / "__init__.py").touch()
        (tmp_path / side / "benchmarks" / "problem.py").write_text("Case = dict\n")
        (tmp_path / side / "benchmarks" / "ours.py").write_text(
            f"def ours(case, images):\n    return lambda: ({seconds}, case['K'])\n"
        )
    monkeypatch.setattr(against, "ROOT", tmp_path / "this")
    monkeypatch.setattr(turns, "ROOT", tmp_path / "this")
    return argparse.Namespace(against=against.checkout(f"{tmp_path}/other"), steps=2, repeats=2)


def test_each_side_runs_its_own_checkout(checkouts, quiet):
    found = against.measure(checkouts, model="cp", K=5, batch=10)
    assert found["step"] == {"median": 2.0, "low": 2.0, "high": 2.0}
    assert found["seconds_per_step"]["other"] == [[0.5] * against.TURNS] * 2
    assert found["loss"]["this"] == [5, 5]
    table = against.table([{"case": {"model": "cp", "K": 5, "batch": 10}, **found}])
    assert "cp, K=5, batch 10: step 2.000 (2.000–2.000)" in table
    assert "1000.00 / 500.00 ms; 5.000 / 5.000" in table


def test_a_side_that_imports_another_package_is_refused(checkouts, quiet):
    decoy = checkouts.against.parent / "decoy"
    decoy.mkdir()
    (checkouts.against / "cpvae_jax").rename(decoy / "cpvae_jax")
    program = checkouts.against / "benchmarks" / "ours.py"
    program.write_text(f"import sys\nsys.path.insert(0, {str(decoy)!r})\n{program.read_text()}")
    with pytest.raises(UserError, match=r"other imports cpvae_jax from .*decoy"):
        against.measure(checkouts, model="cp", K=5, batch=10)
