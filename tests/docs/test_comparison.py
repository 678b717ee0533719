"""Every "yes" for this library in docs/comparison.md is done once, with a tiny model."""

import re

import jax
import numpy as np
import pytest
import scipy.sparse
from sklearn.base import BaseEstimator, clone

import cpvae_jax
from cpvae_jax import CPVAE, Config, Training
from cpvae_jax.commands import main as cpvae
from tests.docs.conftest import write_table
from tests.docs.pages import ROOT

pandas = pytest.importorskip("pandas")

PAGE = (ROOT / "docs/comparison.md").read_text()
TABLE = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.split("\n\n")[2].splitlines()
]
ROWS = {row[0]: row[1] for row in TABLE[2:]}
"""What the page says of this library, by row."""

TINY = {"latent": 2, "hidden": (8,), "recipe": Training(epochs=2, warmup=1), "random_state": 0}
CONFIG = Config(shape=(3,), K=2, latent=2, hidden=(8,), likelihood="gaussian")
X = np.random.default_rng(0).normal(size=(60, 3))
OPTIONS = ["--K", "2", "--epochs", "2", "--hidden", "8", "--latent", "2", "--quiet"]
OPTIONS += ["--starts", "1", "--start-epochs", "2"]
OF_TABLE = ["--id-column", "id", "--label-column", "species", "--drop-columns", "comment"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a table and a run on it, in which the tests are."""
    folder = tmp_path_factory.mktemp("comparison")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_table(folder / "mine.csv", np.random.default_rng(0), species=True)
        command("fit", "mine.csv", *OF_TABLE, *OPTIONS, "--out", "run")
        yield folder


def command(*words):
    """Runs `cpvae`."""
    assert cpvae.main(list(map(str, words))) == 0


@pytest.fixture(scope="module")
def table(place):
    return pandas.read_csv(place / "mine.csv").drop(columns=["id", "species", "comment"])


@pytest.fixture(scope="module")
def model(table):
    return CPVAE(2, **TINY).fit(table)


@pytest.fixture(scope="module")
def fitted():
    return cpvae_jax.fit(jax.random.key(0), CONFIG, X, recipe=TINY["recipe"])


def install(**_):
    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{cpvae_jax.__version__}"' in text
    assert 'name = "cpvae-jax"' in text


def accepts_input(model, table, place, **_):
    sparse, images = scipy.sparse.csr_matrix(X), X.reshape(60, 3, 1)
    for data in (X, sparse, images):
        assert len(CPVAE(2, **TINY).fit(data).labels_) == 60
    assert len(model.labels_) == len(table)
    assert (place / "run/report.html").is_file()  # by `cpvae fit`, from a file


def api(model, fitted, **_):
    assert isinstance(clone(model), BaseEstimator)
    assert cpvae_jax.sample(fitted.params, jax.random.key(1), num=2).shape == (2, 3)


def choosing_k(**_):
    found = cpvae_jax.select(jax.random.key(0), CONFIG, X, K=[1, 2], recipe=TINY["recipe"])
    assert found.K in (1, 2)
    command("fit", "mine.csv", *OF_TABLE, *OPTIONS, "--K", "2-2", "--out", "run-k")


def gaps(model, table, **_):
    assert table.isna().to_numpy().any()
    assert not model.impute(table).isna().to_numpy().any()
    command("impute", "run", "mine.csv", "--out", "filled.csv")


def mixed_columns(model, **_):
    assert {column.kind for column in model.columns_} >= {"real", "count", "binary", "categorical"}


def sampling(model, fitted, table, **_):
    rows, categories = model.sample(5, category=1)
    assert list(rows.columns) == list(table.columns)
    assert set(categories) == {1}
    assert cpvae_jax.sample(fitted.params, jax.random.key(1), category=1, num=4).shape == (4, 3)
    command("sample", "run", "--category", "1", "--num", "5", "--out", "rows.csv")


def bound_per_row(model, fitted, table, place, **_):
    assert model.score_samples(table).shape == (len(table),)
    assert cpvae_jax.bound(fitted.params, jax.random.key(1), X).bound.shape == (60,)
    command("predict", "run", "mine.csv", "--out", "labels.csv")
    assert np.isfinite(pandas.read_csv(place / "labels.csv")["bound"]).all()


def predict(model, fitted, table, place, **_):
    assert model.predict(table[:7]).shape == (7,)
    assert cpvae_jax.predict(fitted.params, X[:7]).shape == (7, 2)
    command("predict", "run", "mine.csv", "--out", "labels.csv")
    assert set(pandas.read_csv(place / "labels.csv")["category"]) <= {0, 1}


def row_weights(**_):
    weights = np.arange(60)
    assert CPVAE(2, **TINY).fit(X, sample_weight=weights).n_iter_ == 2
    recipe = TINY["recipe"]
    cpvae_jax.fit(jax.random.key(0), CONFIG, X, recipe=recipe, sample_weight=weights)


def resume(place, **_):
    command("fit", "mine.csv", *OF_TABLE, *OPTIONS, "--out", "run", "--resume")
    for again in (False, True):
        cpvae_jax.fit(
            jax.random.key(0), CONFIG, X, recipe=TINY["recipe"], folder="kept", resume=again
        )


def report(place, **_):
    assert "<html" in (place / "run/report.html").read_text()
    command("report", "run", "--out", "again.html")


def export(fitted, **_):
    for package in ("onnx", "flatbuffers"):
        pytest.importorskip(package)
    cpvae_jax.export("exported", fitted, format="stablehlo")
    command("export", "run", "--format", "onnx", "--out", "run-onnx")


def command_line(capsys, **_):
    with pytest.raises(SystemExit):
        cpvae.main(["--help"])
    shown = capsys.readouterr().out
    for one in ("export", "fit", "impute", "predict", "report", "sample"):
        assert one in shown


DONE = {
    "install": install,
    "input": accepts_input,
    "API": api,
    "choosing K": choosing_k,
    "gaps": gaps,
    "mixed columns": mixed_columns,
    "sampling by cluster": sampling,
    "bound per row": bound_per_row,
    "predict on new rows": predict,
    "row weights": row_weights,
    "resume": resume,
    "report": report,
    "export": export,
    "command line": command_line,
}


def test_the_page_has_a_row_for_each_entry():
    assert set(ROWS) == set(DONE)
    assert {len(row) for row in TABLE} == {7}


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_what_the_page_says_of_this_library_can_be_done(row, model, fitted, table, place, capsys):
    assert row in DONE, f"nothing tests the row {row!r}"
    named = re.findall(r"`([^`]+)`", ROWS[row])
    assert named, f"the row {row!r} names no command or function"
    for name in named:
        if not name.startswith(("cpvae ", "pip ")):
            home, *rest = name.split(".")
            found = getattr(cpvae_jax, home)
            assert not rest or hasattr(found, rest[0])
    wanted = {"model": model, "fitted": fitted, "table": table, "place": place, "capsys": capsys}
    DONE[row](**wanted)
