"""Every command in the documentation is read by its own parser; those that can run here do run.

Commands run as printed, in a temporary folder and in the order of the page, except that `SHORTER`
is added to those that train: two epochs of a narrow network, and few candidates for its start.
"""

import argparse
import importlib
import tomllib
from types import SimpleNamespace

import pytest

from cpvae_jax.commands import extend, fit, settings
from cpvae_jax.commands import main as cpvae
from cpvae_jax.registry import CALLBACKS
from experiments import run, sweep, table1
from experiments.data import SOURCES
from tests.docs.pages import PAGES, ROOT, inline, name, shell

SHORTER = ["--epochs", "2", "--hidden", "16", "--latent", "4", "--quiet"]
SHORTER += ["--starts", "2", "--start-epochs", "2"]
ELSEWHERE = {
    "mnist": "needs a download",
    "omniglot": "needs a download",
    "synthetic": "tests/experiments/test_run.py trains on it",
    "--seeds": "tests/experiments/test_run.py trains several seeds",
    "--coordinator": "tests/experiments/test_processes.py starts two processes",
    "--callback": "tests/training/test_trackers.py trains with the trackers",
    "--extend": "tests/examples trains and samples with each file by command",
}
"""Words of commands that do not run here, and why."""

OTHERS = (
    ["python3", "-m", "venv", ".venv"],
    [".", ".venv/bin/activate"],
    ["mkdocs", "serve"],
    ["pytest"],
    ["pytest", "-m", "slow"],
)
"""Commands of other programs, which are only compared."""

FIT = ["cpvae", "fit"]
OF_A_RUN = [["cpvae", command] for command in ("export", "impute", "predict", "report", "sample")]
WRITING = [["cpvae", command] for command in ("impute", "predict", "sample")]
RUN, TABLE = ["python", "-m", "experiments.run"], ["python", "-m", "experiments.table1"]
DEFAULT = RUN
"""The run that pages other than the tutorial take as given."""


def program(words):
    """A command without `taskset -c 0` before it."""
    return words[3:] if words[0] == "taskset" else words


class ParsedError(Exception):
    """A program has read its command line."""


@pytest.fixture
def only_parsing(monkeypatch):
    """Programs end as soon as their parser has accepted the command line."""
    parse_args = argparse.ArgumentParser.parse_args

    def stop(parser, *arguments, **options):
        found = parse_args(parser, *arguments, **options)
        if parser.prog == "cpvae":  # reads the name of the subcommand only
            return found
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)


def main_of(words):
    """The `main` of a command, and the arguments for it."""
    if words[0] == "cpvae":
        return cpvae.main, words[1:]
    assert words[:2] == ["python", "-m"], f"the tests do not know the program {words[0]}"
    return importlib.import_module(words[2]).main, words[3:]


def check_parses(words):
    """Raises if the command's own parser refuses it."""
    if words[:2] == ["pip", "install"]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert words[2] == "-e"
        assert set(words[3].removeprefix(".").strip("[]").split(",")) <= {
            "",
            *extras["optional-dependencies"],
        }
    elif words not in OTHERS:
        main, arguments = main_of(words)
        with pytest.raises(ParsedError):
            main(arguments)


def test_an_unknown_flag_would_be_noticed(only_parsing, capsys):
    for words in ([*RUN, "--epoch", "3"], [*FIT, "a.npz", "--k", "3"], [*TABLE, "--only"]):
        with pytest.raises(SystemExit):
            check_parses(words)
    with pytest.raises(AssertionError):
        check_parses(["pip", "install", "-e", ".[tests]"])
    assert "unrecognized arguments: --epoch" in capsys.readouterr().err


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_commands_of_a_page_are_accepted_by_their_parsers(page, only_parsing):
    for words in map(program, shell(page)):
        check_parses(words)
    for words in map(program, inline(page)):
        only_named = len(words) == 3 and words[0] == "python"
        if only_named or words in (FIT, *OF_A_RUN):
            assert callable(main_of(words)[0])
        else:
            check_parses(words)


@pytest.fixture
def parts_of_files():
    """Files given by `--extend` run afresh, and leave nothing behind."""
    from cpvae_jax import registry

    tables = [part for part in vars(registry).values() if isinstance(part, registry.Registry)]
    before = [set(table.names()) for table in tables]
    extend._done.clear()
    yield
    for table, known in zip(tables, before, strict=True):
        for part in set(table.names()) - known:
            table.forget(part)
    extend._done.clear()


@pytest.mark.parametrize("page", [page for page in PAGES if shell(page)], ids=name)
def test_the_names_in_the_commands_of_a_page_exist(page, own_data, monkeypatch, parts_of_files):
    """Data sets, models, recipes, callbacks, and cells of the table."""
    monkeypatch.chdir(own_data)
    for words in map(program, shell(page)):
        if words[:3] == TABLE and "--only" in words:
            patterns = words[words.index("--only") + 1 :]
            assert sweep.chosen(table1.cells(), [w for w in patterns if "mnist" in w])
        if words[:3] == RUN:
            options = {"source": run.Named, "data_options": run.Mixture}
            check_names(fit.parse(words[3:], **options))
        elif words[:2] == FIT:
            check_names(fit.parse(words[2:]))


def check_names(job):
    """Raises if a job names something that does not exist."""
    extend.run(job.extend.extend)
    assert job.dataset in SOURCES or (ROOT / job.dataset).exists() or own(job.dataset)
    data = SimpleNamespace(
        kind="grey", shape=(28, 28), train=range(1000), training={}, columns=None
    )
    settings.training(job, settings.model_config(job, data), data)
    assert all(callback in CALLBACKS for callback in job.options.callback)


def own(path):
    """Whether a path is one of the user's own files that the pages speak of."""
    folder = ("images", "arrays", "photographs")
    return path in ("mine.csv", "mine.npz", *(f"folder/of/{name}" for name in folder))


def runs_here(words):
    """Whether a command needs nothing that is not here, and takes only seconds."""
    if words[:2] in (FIT, *OF_A_RUN) or words[:3] == RUN:
        return not set(ELSEWHERE) & set(words)
    return words[:3] == TABLE and "--print" in words


@pytest.fixture(scope="module")
def done():
    """Commands that ran in the folder already; some stand on two pages."""
    return []


def execute(words, done):
    """Runs a command once, shortened if it trains."""
    if words in done:
        return
    main, arguments = main_of(words)
    trains = words[:2] == FIT or words[:3] == RUN
    assert main([*arguments, *SHORTER] if trains else arguments) == 0, words
    done.append(words)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if shell(page)], ids=name)
def test_the_commands_of_a_page_run(page, own_data, done, monkeypatch, parts_of_files):
    monkeypatch.chdir(own_data)
    commands = [words for words in map(program, shell(page)) if runs_here(words)]
    of_run = [[*command, "runs/digits-K10-seed0"] for command in OF_A_RUN]
    given = any(words[:3] in of_run for words in commands)
    for words in [DEFAULT, *commands] if given else commands:
        execute(words, done)
        if words[:2] in WRITING:
            out = words[words.index("--out") + 1] if "--out" in words else "samples.png"
            assert (own_data / out).stat().st_size > 0


def test_many_commands_of_the_pages_run_here():
    """So that the test above cannot pass by running nothing."""
    found = [program(words) for page in PAGES for words in shell(page)]
    assert sum(map(runs_here, found)) >= 12
