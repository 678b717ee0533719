"""The commands: results files that are continued, tables, and messages for invalid input."""

import json
import subprocess
import sys

import pytest

from benchmarks import (
    against,
    command,
    epoch,
    results,
    scaling,
    seeds,
    start,
    throughput,
    turns,
)
from benchmarks.problem import Case
from cpvae_jax import UserError

RATIO = {"median": 2.0, "low": 1.5, "high": 3.0}


def record(programs):
    """What `by_turns` returns, for programs that need not run."""
    return {
        "notes": ["a note"],
        "busy_cores": 0.9,
        "over": dict.fromkeys(programs, RATIO),
        "seconds": {name: [4.0, 2.0, 3.0] for name in programs},
        "value": {name: [8, 7] for name in programs},
    }


@pytest.fixture
def asked(monkeypatch, quiet):
    """The programs that a command would run."""
    found = []

    def by_turns(programs, repeats, title):
        found.append(programs)
        return record(programs)

    for module in (epoch, seeds, scaling, throughput):
        monkeypatch.setattr(module, "by_turns", by_turns)
    return found


def test_a_stopped_measurement_continues(asked, tmp_path, capsys):
    out = tmp_path / "new" / "epoch.json"
    command = ["--steps", "2", "--batch", "3", "--out", str(out)]
    epoch.main([*command, "--K", "10"])
    epoch.main([*command, "--K", "10", "500"])
    assert len(asked) == 2
    assert [one["case"]["K"] for one in json.loads(out.read_text())["cases"]] == [10, 500]
    table = capsys.readouterr().out
    assert "model cp, K 500, batch 3" in table
    assert "3.0000 s (2.0000–4.0000)  ratio 2.00 (1.50–3.00)  value 7" in table
    assert "note: a note" in table
    assert "note: other programs kept cores busy" in table

    with pytest.raises(SystemExit):
        epoch.main([*command, "--repeats", "2"])
    assert "repeats (5 there, 2 now); give another --out" in capsys.readouterr().err


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.json"
    for text in ("[]", "{}", "nothing", '{"setting": {}, "machine": {}, "cases": [1]}'):
        path.write_text(text)
        with pytest.raises(UserError, match="is not a file of this measurement"):
            results.Results(path, {})
        assert path.read_text() == text


def test_a_place_without_a_file_is_refused_before_measuring(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot make the folder"):
        results.Results(tmp_path / "file" / "epoch.json", {})


def test_the_programs_of_each_command(asked, monkeypatch):
    epoch.main(["--K", "10", "--steps", "1"])
    assert [*asked[-1]] == ["cpvae_jax", "floor", *epoch.TORCH]
    assert asked[-1]["torch, compiled, our algebra"].arguments["model_type"] == "MultipliedOut"

    monkeypatch.setattr(seeds.machine, "cores", lambda: [0, 3])
    seeds.main(["--seeds", "4", "--steps", "1"])
    assert [*asked[-1]] == ["1 seed", "4 seeds", "2 seeds, one per core"]

    throughput.main(["--tasks", "samples", "--images", "1"])
    assert asked[-1]["torch, eager"].arguments["category"] == 9

    scaling.main(["--batch", "100", "--steps", "1"])
    assert asked[-1]["the same batch"].arguments["case"] == Case("cp", 10, 100)
    assert asked[-1]["a batch each"].arguments["case"] == Case("cp", 10, 200)


def test_seconds_to_the_first_epoch(monkeypatch, quiet, capsys, tmp_path):
    """With a training that writes its marks at once."""
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, time\n"
        "if '--help' not in sys.argv:\n"
        "    assert sys.argv[sys.argv.index('--callback') + 1] == 'marks'\n"
        "    print('mark training', time.time())\n"
        "    print('mark epoch', time.time() + 100, flush=True)\n"
        "    time.sleep(60)\n"
    )
    monkeypatch.setattr(start, "RUN", [sys.executable, str(script)])
    start.main(["--repeats", "1"])
    found = dict(
        line.split(" s ")[0].rsplit(None, 1) for line in capsys.readouterr().out.splitlines()[1:]
    )
    assert 0 < float(found["  first start, training"]) < 30
    assert 100 < float(found["  second start, epoch"]) < 130


def test_a_training_that_ends_too_early_is_an_error(monkeypatch):
    monkeypatch.setattr(start, "RUN", [sys.executable, "-c", ""])
    with pytest.raises(turns.ProgramError, match="ended before its first epoch"):
        start._train([])


@pytest.mark.parametrize(
    ("main", "arguments", "message"),
    [
        (epoch.main, ["--K", "0"], "argument --K: 0 is not a whole number of at least 1"),
        (epoch.main, ["--batch", "ten"], "argument --batch: ten is not a whole number"),
        (epoch.main, ["--against", "/"], "/ is not a checkout of this repository"),
        (epoch.main, ["--model", "vp"], "--model is vp; PyTorch and the floor have cp only"),
        (scaling.main, ["--processes", "1000"], "--processes is 1000; each of 2 or more needs"),
    ],
)
def test_invalid_input_ends_with_a_message(main, arguments, message, capsys, quiet):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


def test_a_device_that_is_not_there_is_refused_before_measuring(asked, monkeypatch, capsys):
    for name in ("JAX_PLATFORMS", "XLA_PYTHON_CLIENT_PREALLOCATE"):
        monkeypatch.setenv(name, "")  # to be restored after the command has set it
    failed = subprocess.CompletedProcess([], returncode=1)
    monkeypatch.setattr(command.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(SystemExit) as stop:
        epoch.main(["--device", "gpu"])
    assert stop.value.code == 2
    assert "error: --device is gpu, but JAX finds no such device here" in capsys.readouterr().err
    assert asked == []


def test_without_git_the_commits_are_unknown(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert against.commits(turns.ROOT) == {"this": "", "other": ""}
