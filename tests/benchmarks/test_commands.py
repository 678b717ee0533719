"""The commands: mistakes told in a sentence, files completed, tables and pictures of files."""

import inspect
import json
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks import (
    choices,
    epoch,
    flags,
    growth,
    machine,
    ours,
    plots,
    results,
    seeds,
    throughput,
    variants,
)
from benchmarks.children import Child
from benchmarks.floor import Floor, Rates, Work, record
from benchmarks.problem import Case, UnavailableError, cases, image_file, load_images
from benchmarks.turns import Program, ratio, take_turns, warmed_up
from cpvae_jax import UserError

RATES = Rates(large=300, large_best=1, own=200, own_best=1, memory=140, memory_best=1)
FLOORS = [Floor(Work(flops=600, parameters=10), RATES)] * 2  # 4 and 5 seconds a step
SERIES = [
    epoch.Series("ours", [8.0, 16.0], [200.0, 190.0]),
    epoch.Series("torch, plain", [24.0, 32.0], [201.0, 191.0]),
]
ANSWERING = "unittest.mock:Mock"  # a program that answers what it is given to answer


@pytest.fixture
def quiet(monkeypatch):
    """A machine that nobody else uses, an environment that stays as it is, and 300 images."""
    images = np.zeros((300, 28, 28), np.uint8)
    monkeypatch.setattr(flags, "load_images", lambda data, data_dir: images)
    monkeypatch.setattr(machine, "busy_cores", lambda: 0.0)
    for name in ("JAX_PLATFORMS", "XLA_PYTHON_CLIENT_PREALLOCATE"):
        monkeypatch.setenv(name, "cpu")


def test_a_vae_is_one_case_whatever_the_categories():
    found = cases(["cp", "vae"], [10, 500], [100])
    assert [(case.model, case.K) for case in found] == [("cp", 10), ("cp", 500), ("vae", 1)]


def test_noise_has_the_ink_of_mnist_and_any_number_of_images():
    images = load_images("random", None, 60)
    assert images.shape == (60, 28, 28)
    assert images.dtype == np.uint8
    assert 0.17 < (images > 0).mean() < 0.21
    with image_file(images) as path:
        np.testing.assert_array_equal(np.load(path), images)
    assert not path.exists()


def test_ratios_are_formed_within_a_round():
    assert ratio([2.0, 30.0, 3.0], [1.0, 10.0, 2.0]) == (2.0, 1.5, 3.0)
    assert str(ratio([2.0], [1.0])) == "2.00 (2.00–2.00)"


def test_programs_take_turns_and_what_cannot_run_is_noted():
    error = UnavailableError("no compiler")
    programs = {
        "a": Program(ANSWERING, {"return_value": 7}),
        "b": Program(ANSWERING, {"side_effect": error}),
    }
    with warmed_up(programs, "test") as (children, notes):
        assert notes == ["b is left out: no compiler"]
        assert take_turns(children, 2, "test") == {"a": [7, 7]}
        assert children["a"].peak_memory().process > 1


def test_a_program_that_dies_is_told():
    with (
        Child(ANSWERING, side_effect=SystemExit) as child,
        pytest.raises(RuntimeError, match="a program of the benchmark died"),
    ):
        child.run()


def test_rows_compare_with_ours_and_with_the_floor():
    ours, plain = epoch.compare(SERIES, FLOORS, steps=2)
    assert (ours.ratio, ours.over_floor_large) == (1, 1.5)
    assert ours.over_floor_own == pytest.approx(1.2)
    assert (plain.ratio, plain.low, plain.high, plain.loss) == (2.5, 2, 3, 191)
    assert plain.over_floor_large == 3.5


def test_the_algebra_is_a_program_of_cp_alone():
    every = tuple(epoch.COMPETITORS)
    of_cp = epoch.programs(Case("cp", 10, 100), None, "cpu", every)
    of_vp = epoch.programs(Case("vp", 10, 100), None, "cpu", every)
    assert set(of_cp) - set(of_vp) == {"torch, tuned, compiled, our algebra"}
    assert set(epoch.programs(Case("cp", 10, 100), None, "cpu", ["ours"])) == {
        epoch.OURS,
        epoch.FLOOR,
    }


def measured(case, *_):
    """What `epoch.measure` keeps, of programs that need not run."""
    return {
        "notes": ["a note"],
        "rows": [asdict(row) for row in epoch.compare(SERIES, FLOORS, steps=2)],
        "series": [asdict(one) for one in SERIES],
        "floor": record(FLOORS),
        "peak_memory": {},
    }


def test_a_stopped_measurement_goes_on(monkeypatch, tmp_path, capsys, quiet):
    out = tmp_path / "new" / "speed.json"
    done = []

    def until_stopped(case, *rest):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(case)
        return measured(case)

    command = ["--model", "cp", "vae", "--K", "10", "--programs", "ours", "--out", str(out)]
    monkeypatch.setattr(epoch, "measure", until_stopped)
    with pytest.raises(KeyboardInterrupt):
        epoch.main(command)
    assert [one["case"]["model"] for one in json.loads(out.read_text())["cases"]] == ["cp"]

    done.clear()
    epoch.main(command)
    assert done == [Case("vae", 1, 100)]
    found = json.loads(out.read_text())
    assert [one["case"]["model"] for one in found["cases"]] == ["cp", "vae"]
    told = capsys.readouterr().out
    assert "vae      1    100  torch, plain                                 2.50" in told
    assert "note: a note (cp, K=10, batch 100; vae, K=1, batch 100)" in told
    # 600 operations at 200 and at 300 a second, 280 bytes at 140 a second.
    assert (
        "products 3e+03 ms at their own rate, 2e+03 at a large product's; optimiser 2e+03" in told
    )

    with pytest.raises(SystemExit):
        epoch.main([*command, "--steps", "2"])
    told = capsys.readouterr().err
    assert "under another setting: steps (None there, 2 now); give another --out." in told

    plots.main(["--speed", str(out), "--out", str(tmp_path)])
    assert (tmp_path / "speed.png").stat().st_size > 0


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.json"
    for text in ("[]", "{}", "nothing", '{"setting": {}, "machine": {}, "cases": [1]}'):
        path.write_text(text)
        with pytest.raises(UserError, match="is no file of this measurement; give another --out"):
            results.Results(path, {})
        assert path.read_text() == text


def test_a_place_that_cannot_be_is_told_before_anything_is_measured(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be made a folder; give another --out"):
        results.Results(tmp_path / "file" / "speed.json", {})


def point(axis, value, model="cp"):
    return {
        "case": {"axis": axis, "value": value, "model": model},
        "notes": [],
        "images": 1000,
        "steps": 10,
        "seconds": [0.1 * value, 0.2 * value],
        "reference_seconds": [1.0, 1.0],
        "step_over_reference": {"median": 1.0, "low": 0.5, "high": 2.0},
        "peak_memory": {"process": 500.0 + value, "device": None},
    }


def test_growth_draws_every_axis_there_is(tmp_path):
    points = [point("K", 1), point("K", 10), point("K", 10, "vp"), point("examples", 1000)]
    path = tmp_path / "growth.json"
    path.write_text(json.dumps({"cases": points}))
    plots.main(["--growth", str(path), "--out", str(tmp_path)])
    assert (tmp_path / "growth.png").stat().st_size > 0
    assert "examples     1000 cp          1.00 (0.50–2.00)      1500" in growth.table(points)


def test_points_vary_one_thing():
    assert growth.Point("K", 500, "vp").case == Case("vp", 500, 100)
    assert growth.Point("width", 64, "cp").case == Case("cp", 10, 100, hidden=64)
    assert growth.Point("examples", 1000, "cp").case == growth.PAPER
    assert growth.Point("examples", 1000, "cp").images(7) == 1000
    assert growth.Point("batch", 32, "cp").images(7) == 7
    assert len({*growth.points(growth.AXES)}) == len(growth.points(growth.AXES))


def test_tables_of_the_other_commands():
    case = asdict(Case("cp", 10, 100))
    seconds = {"1": 1.0, "4": 2.0, "2 seeds, a core each": 1.4}
    over = {name: ratio([time], [1.0])._asdict() for name, time in seconds.items()}
    told = seeds.table([{"case": case, "over_one": over, "notes": []}])
    assert "4 seeds: 2.00 (2.00–2.00) of one seed's epoch, 0.50 each" in told
    assert "2 seeds, a core each: 1.40 (1.40–1.40) of one seed's epoch, 0.70 each" in told
    rows = [{"program": "ours", "imports": 100.0, "process": 300.0, "device": None}]
    memory = {"case": {"task": "memory", **case}, "rows": rows, "notes": []}
    assert "300 MiB, 100 of it imports" in throughput.table([memory])


def test_each_way_is_one_that_our_program_takes():
    taken = set(inspect.signature(ours.ours).parameters)
    for device in flags.DEVICES:
        ways = choices.ways(device)
        assert next(iter(ways)) == choices.AS_IT_IS
        assert {name for way in ways.values() for name in way} <= taken
    assert any("xla" in way for way in choices.ways("gpu").values())


def test_choices_are_measured_against_the_program_as_it_is(monkeypatch, capsys, quiet, tmp_path):
    """By programs that answer at once, one of them twice as slow, one that cannot run."""

    def program(target, arguments):
        seconds = 2.0 if "random" in arguments else 1.0
        error = UnavailableError("too much unrolled") if arguments["plan"].unroll == 8 else None
        return Program(ANSWERING, {"return_value": (seconds, 90.0), "side_effect": error})

    monkeypatch.setattr(variants, "Program", program)
    out = tmp_path / "choices.json"
    choices.main(["--steps", "2", "--repeats", "2", "--out", str(out)])
    told = capsys.readouterr().out
    name = "cp, K=10, batch 100"
    assert f"{name}, unrolled by 2: 1.00 (1.00–1.00) of the time, loss 90.0" in told
    assert f"{name}, XLA's generator of random numbers: 2.00 (2.00–2.00) of the time" in told
    assert "unrolled by 8 is left out: too much unrolled" in told
    assert len(json.loads(out.read_text())["cases"]) == 1


@pytest.mark.parametrize(
    ("main", "arguments", "sentence"),
    [
        (epoch.main, ["--K", "0"], "argument --K: 0 is no whole number of at least 1"),
        (epoch.main, ["--batch", "ten"], "argument --batch: ten is no whole number of at least 1"),
        (
            epoch.main,
            ["--programs", "ours", "--data", "random", "--steps", "4"],
            "an epoch of 4 steps of 100 images does not fit the 300 images there are",
        ),
        (growth.main, ["--steps", "2"], "give --steps of at least 21"),
        (plots.main, [], "there is nothing to draw; give --speed, --growth or both"),
        (plots.main, ["--speed", "no/such.json"], "such.json is missing"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(main, arguments, sentence, capsys, quiet, tmp_path):
    where = ["--out", str(tmp_path)] if main is plots.main else []
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, *where])
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert "Traceback" not in told


def test_without_torch_ours_is_timed_alone(monkeypatch, capsys, quiet):
    monkeypatch.setattr(flags, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        epoch.main(["--programs", "tuned"])
    assert "PyTorch is not installed; it comes with" in capsys.readouterr().err
