"""`cpvae fit`, `predict`, `impute` and `sample` on a CSV file, from the file to the files that they write."""

import json
import shutil

import jax
import numpy as np
import pandas
import pytest

import cpvae_jax
from cpvae_jax.commands import main
from cpvae_jax.data import coding, frames, readers
from cpvae_jax.evaluation import imputation, rows
from cpvae_jax.keys import purpose
from cpvae_jax.storage.run_folder import CONFIG, SCORES
from tests.running import message
from tests.tables import frame

READING = ["--label-column", "species", "--id-column", "id", "--drop-columns", "note"]
TINY = ["--K", 3, "--latent", 2, "--hidden", 8, "--recipe", "short", "--epochs", 3, "--quiet"]
KEY = jax.random.key(0)
NUM = 200


def cpvae(*arguments):
    return main.main([*map(str, arguments)])


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "mine.csv"
    frame(NUM).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(mine, tmp_path_factory):
    """The folder of a finished run, with `grade` as an ordinal column."""
    out = tmp_path_factory.mktemp("runs") / "run"
    arguments = [*READING, "--column", "grade=ordinal", *TINY, "--seed", 1, "--out", out]
    assert cpvae("fit", mine, *arguments) == 0
    return out


@pytest.fixture(scope="module")
def params(run):
    return cpvae_jax.load(run)


@pytest.fixture(scope="module")
def coded(mine, params):
    """All rows of the file as the model reads them."""
    return coding.encode(params.config.columns, readers.read(mine))


@pytest.mark.slow
def test_a_run_knows_its_columns_and_scores_the_labels(run, params):
    kinds = {column.name: column.kind for column in params.config.columns}
    assert kinds == {"mass": "real", "eggs": "count", "island": "categorical", "grade": "ordinal"}
    assert params.config.likelihood == "mixed"
    found = json.loads((run / CONFIG).read_text())
    assert (found["id_column"], found["label_column"]) == ("id", "species")
    scores = json.loads((run / SCORES).read_text())
    (best,) = scores["seeds"]
    assert np.isfinite(best["unusual_below"])
    assert "nmi" in json.dumps(best).lower()


@pytest.mark.parametrize("ending", ["csv", "parquet", "tsv", "feather"])
def test_categories_of_all_rows_in_the_order_of_the_file(
    mine, run, params, coded, tmp_path, capsys, ending
):
    out = tmp_path / f"labels.{ending}"
    assert cpvae("predict", run, mine, "--out", out) == 0
    found = readers.read(out).to_pandas()
    assert found["row"].tolist() == pandas.read_csv(mine)["id"].tolist()
    probs = found[[f"probability_{k}" for k in range(3)]].to_numpy()
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(probs, cpvae_jax.predict(params, coded), atol=1e-5)
    assert found["category"].tolist() == probs.argmax(axis=1).tolist()
    bound = rows.bounds(params, purpose(KEY, "test bound"), coded)
    np.testing.assert_allclose(found["bound"], bound, rtol=1e-4, atol=1e-4)
    scores = json.loads((run / SCORES).read_text())
    low = scores["seeds"][0]["unusual_below"]
    assert found["unusual"].tolist() == (bound < low).tolist()
    words = f"wrote the categories of {NUM} rows to {out}; {(bound < low).sum()} of them are unlike"
    assert words in capsys.readouterr().out


def test_batches_change_nothing_and_new_rows_have_no_label(mine, run, tmp_path, monkeypatch):
    new = pandas.read_csv(mine).drop(columns=["species", "note"]).iloc[::-1]
    new.to_parquet(tmp_path / "new.parquet", index=False)
    monkeypatch.setattr(readers, "BATCH", 60)
    assert cpvae("predict", run, tmp_path / "new.parquet", "--out", tmp_path / "a.csv") == 0
    assert cpvae("predict", run, mine, "--out", tmp_path / "b.csv") == 0
    one, two = (pandas.read_csv(tmp_path / name) for name in ("a.csv", "b.csv"))
    pandas.testing.assert_frame_equal(one.iloc[::-1].reset_index(drop=True), two)


def test_a_row_unlike_all_others_is_unusual(mine, run, tmp_path):
    new = pandas.read_csv(mine).iloc[:3]
    new["mass"] = [200.0, 6.0, 6.0]
    new["eggs"] = [300, 4, 4]
    new.to_csv(tmp_path / "new.csv", index=False)
    assert cpvae("predict", run, tmp_path / "new.csv", "--out", tmp_path / "out.csv") == 0
    found = pandas.read_csv(tmp_path / "out.csv")
    assert found["unusual"][0]
    assert found["bound"][0] < found["bound"][1:].min()


def test_another_id_column_and_none(mine, run, params, tmp_path):
    out = tmp_path / "out.csv"
    assert cpvae("predict", run, mine, "--id-column", "grade", "--out", out) == 0
    assert pandas.read_csv(out)["row"].tolist() == pandas.read_csv(mine)["grade"].tolist()
    cpvae_jax.save(tmp_path / "model", params)  # a saved model knows no settings and no scores
    assert cpvae("predict", tmp_path / "model", mine, "--out", out) == 0
    found = pandas.read_csv(out)
    assert found["row"].tolist() == list(range(NUM))
    assert "unusual" not in found


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_gaps_are_filled_and_all_else_stays(mine, run, params, coded, tmp_path, capsys, ending):
    given, out = pandas.read_csv(mine), tmp_path / f"filled.{ending}"
    assert cpvae("impute", run, mine, "--out", out) == 0
    found = readers.read(out).to_pandas()
    assert found.columns.tolist() == given.columns.tolist()
    gaps = given.isna()
    assert not found.isna().any().any()
    pandas.testing.assert_frame_equal(found.where(~gaps), given.where(~gaps), check_dtype=False)
    assert (
        f"{NUM} rows to {out}, with {gaps.to_numpy().sum()} gaps filled" in capsys.readouterr().out
    )
    filled = imputation.impute(params, purpose(KEY, "imputation"), coded)
    expected = coding.decode(params.config.columns, filled)
    np.testing.assert_allclose(found["mass"], expected["mass"], rtol=1e-5)
    assert found["island"].tolist() == expected["island"].tolist()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_samples_of_a_table_are_rows_of_it(mine, run, params, tmp_path, ending):
    out = tmp_path / f"new.{ending}"
    assert cpvae("sample", run, "--category", 1, "--num", 50, "--out", out) == 0
    found = readers.read(out).to_pandas()
    assert found.shape == (50, 4)
    assert set(found["island"]) <= {"A", "B", "C"}
    assert set(found["grade"]) <= {1, 2, 3, 4}
    assert found["eggs"].min() >= 0
    assert found["eggs"].dtype == np.int64
    x = cpvae_jax.sample(params, purpose(KEY, "samples"), category=1, num=50, draw=True)
    expected = coding.decode(params.config.columns, np.asarray(x))
    np.testing.assert_allclose(found["mass"], expected["mass"], rtol=1e-6)
    coding.encode(params.config.columns, frames.table_of(found, "the samples"))


def test_samples_as_numbers_are_coded_rows(run, params, tmp_path):
    assert cpvae("sample", run, "--num", 5, "--out", tmp_path / "new.npz") == 0
    assert np.load(tmp_path / "new.npz")["x"].shape == (5, *params.config.shape)


REFUSED = {
    "a column less": ({"drop": "mass"}, "has no column 'mass', which the model was trained on"),
    "a new level": ({"island": "D"}, "holds 'D', which the model has not seen in training"),
    "text for numbers": ({"mass": "heavy"}, "holds 'heavy', but the model was trained on numbers"),
    "infinity": ({"mass": np.inf}, "holds infinity in row 1"),
    "a negative count": ({"eggs": -3}, "holds -3 in column 'eggs', which is count"),
    "a level out of range": ({"grade": 9}, "holds 9, which the model has not seen"),
}


@pytest.mark.parametrize("command", ["predict", "impute"])
@pytest.mark.parametrize("name", REFUSED)
def test_rows_that_do_not_suit_the_model_are_refused(mine, run, tmp_path, capsys, command, name):
    change, words = REFUSED[name]
    new = pandas.read_csv(mine).astype(object)
    for column, value in change.items():
        if column == "drop":
            new = new.drop(columns=value)
        else:
            new.loc[1, column] = value
    new.to_csv(tmp_path / "new.csv", index=False)
    assert cpvae(command, run, tmp_path / "new.csv", "--out", tmp_path / "out.csv") == 2
    assert words in message(capsys)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("command", ["predict", "impute"])
def test_places_that_cannot_be_are_refused(mine, run, tmp_path, capsys, command):
    assert cpvae(command, run, mine, "--out", tmp_path / "out.xlsx") == 2
    assert "its name must end in .csv" in message(capsys)
    assert cpvae(command, run, tmp_path / "gone.csv", "--out", tmp_path / "out.csv") == 2
    assert "does not exist" in message(capsys)
    assert cpvae(command, tmp_path, mine, "--out", tmp_path / "out.csv") == 2
    assert "holds no saved model" in message(capsys)
    np.save(tmp_path / "x.npy", np.zeros((3, 2)))
    assert cpvae(command, run, tmp_path / "x.npy", "--out", tmp_path / "out.csv") == 2
    assert "table" in message(capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label-column", "kind"], "has no column 'kind'"),
        (["--column", "weight=real"], "has no column 'weight', whose kind is given"),
        (["--column", "island=real"], "holds levels such as 'A', so it cannot be real"),
        (
            ["--column", "mass=positive"],
            "in column 'mass', which is positive and takes numbers above 0",
        ),
        (["--likelihood", "gaussian"], "'island' of"),
        (["--likelihood", "bernoulli"], "'island' of"),
        (["--resize", "32"], "has no option resize"),
    ],
)
def test_readings_that_cannot_be_are_refused(mine, tmp_path, capsys, arguments, words):
    given = {READING[i]: READING[i + 1] for i in (0, 2, 4)}
    given |= {arguments[0]: arguments[1]}
    flags = [word for pair in given.items() for word in pair]
    assert cpvae("fit", mine, *flags, *TINY, "--out", tmp_path / "run") == 2
    assert words in message(capsys)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("text", ["grade", "=ordinal", "grade=years", "grade="])
def test_a_column_without_a_kind_is_refused(mine, capsys, text):
    with pytest.raises(SystemExit) as found:
        cpvae("fit", mine, "--column", text)
    assert found.value.code == 2
    assert f"{text} is no column with a kind; give NAME=KIND" in capsys.readouterr().err


def test_a_finished_run_is_not_begun_with_other_columns(mine, run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    arguments = [*READING, *TINY, "--seed", 1, "--out", tmp_path / "run", "--resume"]
    assert cpvae("fit", mine, *arguments) == 2
    assert "holds a run with other settings (different: columns, data, model)" in message(capsys)


def test_without_the_id_column_of_the_run_rows_get_numbers(mine, run, tmp_path, capsys):
    new = pandas.read_csv(mine).drop(columns="id")
    new.to_csv(tmp_path / "new.csv", index=False)
    out = tmp_path / "out.csv"
    assert cpvae("predict", run, tmp_path / "new.csv", "--out", out) == 0
    assert pandas.read_csv(out)["row"].tolist() == list(range(len(new)))
    asked = ["predict", run, tmp_path / "new.csv", "--out", out, "--id-column", "id"]
    assert cpvae(*asked) == 2
    assert "has no column 'id'" in message(capsys)
