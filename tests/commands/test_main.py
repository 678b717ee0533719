"""The command `cpvae`: its subcommands, its help, and how errors end it."""

import json
import subprocess
import sys

import pytest

from cpvae_jax.commands import fit, main
from cpvae_jax.commands.job import Devices, Folders, Job, Options
from cpvae_jax.errors import UserError
from experiments import run


def test_the_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for name, command in main.COMMANDS.items():
        assert f"{name:<8} {command.summary}" in text


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_has_its_own_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main.main([name, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: cpvae {name} ")


def test_an_unknown_command_is_refused(capsys):
    for arguments in ([], ["train"]):
        with pytest.raises(SystemExit) as stop:
            main.main(arguments)
        assert stop.value.code == 2
        assert "COMMAND" in capsys.readouterr().err


def test_the_help_does_not_import_jax():
    program = (
        "import sys\nfrom cpvae_jax.commands import main\nfrom experiments import run\n"
        "for command in (lambda: main.main(['fit', '--help']), lambda: main.main(['sample', '-h']),"
        " lambda: main.main(['export', '-h']),"
        " lambda: run.main(['--help'])):\n"
        "    try: command()\n    except SystemExit: pass\n"
        "assert not {'jax', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL)


def test_an_error_is_one_line_and_an_interrupt_has_its_code(capsys):
    def fail():
        raise UserError("K is 0.")

    def interrupt():
        raise KeyboardInterrupt

    assert main.exit_code(lambda: None) == 0
    assert main.exit_code(lambda: 143) == 143
    assert main.exit_code(fail) == 2
    assert capsys.readouterr().err == "error: K is 0.\n"
    assert main.exit_code(interrupt) == 130


JOB = Job(
    "mnist",
    model={"model": "hvp", "K": 7, "hidden": (20, 30), "likelihood": "gaussian"},
    training={"learning_rate": 1e-3, "regularisers": (("balance", 2.0),)},
    recipe="short",
    folders=Folders(data_dir=None),
    devices=Devices(devices=2),
    options=Options(seed=3, seeds=2, quiet=True, log_likelihood=10, callback=("tensorboard",)),
    data_options={"means": (0.0, 1.0), "num": 5},
)


def test_a_job_is_written_as_the_flags_that_make_it():
    arguments = ["--dataset", JOB.dataset, *fit.written(JOB, data_options=run.Mixture)]
    found = fit.parse(arguments, source=run.Named, data_options=run.Mixture)
    assert found == JOB
    assert json.dumps(arguments)  # plain words
    assert {"--recipe", "short", "--model", "hvp", "--regulariser", "balance=2.0"} <= {*arguments}


def test_flags_become_a_job():
    job = fit.parse(["mine.npz", "--K", "3", "--likelihood", "auto", "--levels", "2"])
    assert job == Job("mine.npz", model={"K": 3, "levels": 2})
    assert fit.parse(["mine.npz"]) == Job("mine.npz")
