"""Data sets from files of tables: what is data and what is not, in memory and on disk."""

import os

import numpy as np
import pandas
import pytest

from cpvae_jax import Column, Rows
from cpvae_jax import columns as kinds
from cpvae_jax.data import check, coding, load, readers, tables
from cpvae_jax.errors import UserError
from tests.tables import frame

NAMES = {"label_column": "species", "id_column": "id", "drop_columns": ("note",)}


@pytest.fixture
def mine(tmp_path):
    """A file with 200 rows, and a function that loads it."""
    path = tmp_path / "mine.csv"
    frame().to_csv(path, index=False)

    def of(path=path, **options):
        return load(path, cache_dir=tmp_path / "cache", **{**NAMES, **options})

    return path, of


def whole(data):
    """The rows of all parts, as tuples in order."""
    return sorted(
        map(tuple, np.concatenate([data.train[np.arange(len(data.train))], data.valid, data.test]))
    )


def test_a_file_is_split_and_every_column_has_its_role(mine):
    _, of = mine
    data = of()
    check(data)
    assert [len(part) for part in data.parts.values()] == [160, 20, 20]
    assert (data.name, data.kind, data.class_names) == ("mine", "table", ("x", "y", "z"))
    assert [(c.name, c.kind) for c in data.columns] == [
        ("mass", "real"),
        ("eggs", "count"),
        ("island", "categorical"),
        ("grade", "count"),
    ]
    assert data.shape == (kinds.size(data.columns),)
    for words in ("200 rows of 4 columns", "20 drawn at random are for validation", "island"):
        assert words in data.source


def test_rows_and_labels_stay_together(mine):
    path, of = mine
    data, table = of(), readers.read(path)
    rows = map(tuple, coding.encode(data.columns, table))
    species = dict(zip(rows, table["species"].to_pylist(), strict=True))
    for part in ("train", "valid", "test"):
        x, labels = getattr(data, part), getattr(data, f"{part}_labels")
        mass = x[:, kinds.width(data.columns)] < 0.5  # a real number, so that rows are unique
        found = [data.class_names[label] for label in labels[mass]]
        assert found == [species[tuple(row)] for row in x[mass]]
        assert len(found) > 10


def test_all_rows_are_there_once(mine):
    path, of = mine
    data = of()
    table = readers.read(path)
    x = coding.encode(data.columns, table)
    assert whole(data) == sorted(map(tuple, x))


def test_kinds_can_be_given(mine):
    _, of = mine
    data = of(columns=(("grade", "ordinal"), ("eggs", "real")))
    assert [c.kind for c in data.columns] == ["real", "real", "categorical", "ordinal"]
    assert data.columns[3].levels == (1, 2, 3, 4)
    own = Column("island", "categorical", ("A", "B", "C", "D"))
    assert of(columns={"island": own}).columns[2] == own


def test_numbers_without_gaps_are_not_coded(tmp_path):
    path = tmp_path / "plain.csv"
    x = np.random.default_rng(0).normal(size=(50, 3))
    pandas.DataFrame(x, columns=["a", "b", "c"]).to_csv(path, index=False)
    data = load(path)
    assert (data.kind, data.shape, data.train_labels) == ("real", (3,), None)
    np.testing.assert_allclose(whole(data), sorted(map(tuple, x)), rtol=1e-12)
    coded = load(path, coded=True)
    assert (coded.kind, coded.shape) == ("table", (6,))


def test_rows_that_may_not_be_coded_must_be_numbers(mine, tmp_path):
    _, of = mine
    with pytest.raises(
        UserError, match=r"'island' of .*has 3 levels, which only the likelihood 'mixed'"
    ):
        of(coded=False)
    with pytest.raises(
        UserError, match=r"'mass' of .* has missing values, but the model was trained"
    ):
        of(coded=False, drop_columns=("note", "island"))


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize("label_column", ["species", "grade", None])
def test_a_table_on_disk_has_the_same_rows_and_labels(tmp_path, monkeypatch, ending, label_column):
    path = tmp_path / f"mine.{ending}"
    many = frame(3000)
    many.to_parquet(path) if ending == "parquet" else many.to_csv(path, index=False)
    options = {**NAMES, "label_column": label_column, "cache_dir": tmp_path / "cache"}
    memory = load(path, **options)
    monkeypatch.setattr(tables, "IN_MEMORY", 1000)
    monkeypatch.setattr(readers, "BATCH", 700)
    disk = load(path, **options)
    check(disk)
    assert isinstance(disk.train, Rows)
    assert (disk.columns, disk.kind, disk.class_names) == (
        memory.columns,
        memory.kind,
        memory.class_names,
    )
    for part in ("train", "valid", "test"):
        one, two = getattr(memory, part), getattr(disk, part)
        np.testing.assert_array_equal(two[np.arange(len(two))], one)
        one, two = getattr(memory, f"{part}_labels"), getattr(disk, f"{part}_labels")
        np.testing.assert_array_equal(one, two) if label_column else None
    assert "Training rows are read from disk" in disk.source


def test_held_out_parts_of_a_table_on_disk_are_bounded(mine, monkeypatch):
    _, of = mine
    monkeypatch.setattr(tables, "IN_MEMORY", 1000)
    monkeypatch.setattr(tables, "MOST_HELD", 7)
    assert [len(part) for part in of().parts.values()] == [186, 7, 7]


def test_the_cache_is_reused_until_the_file_or_its_reading_changes(mine, monkeypatch, tmp_path):
    path, of = mine
    monkeypatch.setattr(tables, "IN_MEMORY", 1000)
    written, write = [], tables._write
    monkeypatch.setattr(tables, "_write", lambda *args: (written.append(1), write(*args)))
    before = whole(of())
    assert whole(of()) == before
    assert len(written) == 1
    of(columns=(("grade", "ordinal"),))
    of(label_column=None, drop_columns=("note", "species"))
    assert len(written) == 3
    frame(seed=1).to_csv(path, index=False)
    os.utime(path, ns=(1, 1))
    after = of()
    assert len(written) == 4
    assert whole(after) != before
    x = coding.encode(after.columns, readers.read(path))
    assert whole(after) == sorted(map(tuple, x))


def test_a_cache_that_cannot_be_written_is_named_and_leaves_nothing(mine, monkeypatch, tmp_path):
    _, of = mine
    monkeypatch.setattr(tables, "IN_MEMORY", 1000)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "open_memmap", full)
    with pytest.raises(
        UserError, match=r"cannot be written \(No space left on device\); give a folder"
    ):
        of()
    assert not list((tmp_path / "cache" / "tables").iterdir())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"label_column": "kind"}, r"mine\.csv has no column 'kind'; it has 'id', 'mass'"),
        ({"id_column": "name"}, "has no column 'name'"),
        ({"drop_columns": ("a", "note")}, "has no column 'a'"),
        ({"columns": {"weight": "real"}}, "has no column 'weight', whose kind is given"),
        ({"columns": {"mass": "years"}}, "kind of column 'mass' is 'years'; choose one of"),
        ({"columns": {"mass": "ordinal"}}, r"'mass' of .*mine\.csv has more than 200 different"),
        ({"columns": {"island": "count"}}, "'island' of .* holds levels such as 'A'"),
        ({"drop_columns": ("note", "mass", "eggs", "island", "grade")}, "no column of data beside"),
        (
            {"id_column": None},
            r"'id' of .*more than 200 .*name it as the id of the rows \(--id-column id\)",
        ),
        ({"resize": 32}, "has no option resize"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, options, sentence):
    path = tmp_path / "mine.csv"
    frame(300).to_csv(path, index=False)
    with pytest.raises(UserError, match=sentence) as found:
        load(path, **{**NAMES, **options})
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a,b\n", r"mine\.csv has no rows; give at least one"),
        (
            "a,b\n1,\n2,\n3,\n",
            r"'b' of .*mine\.csv has no value at all; drop it \(--drop-columns b",
        ),
        ("a,b\n1,2\n3,4\n", "has 2 examples, too few to split"),
        ("a,b\n1,x\n3,inf\n4,5\n", "mixes numbers and text: it holds 'x' in row 0"),
        ("a,b\n1,inf\n3.5,2\n4,5\n", r"'b' of .* holds infinity in row 0 \(counting from 0\)"),
        ("a,b\n1,2020-01-01\n3,2020-01-02\n4,2020-01-03\n", "'b' .* has the type date32"),
    ],
)
def test_files_that_cannot_be_learned_from_are_refused(tmp_path, content, sentence):
    (tmp_path / "mine.csv").write_text(content)
    with pytest.raises(UserError, match=sentence) as found:
        load(tmp_path / "mine.csv")
    assert "\n" not in str(found.value)


def test_rows_without_a_label_are_unlabelled(tmp_path, monkeypatch):
    given = frame(200)
    given.loc[::3, "species"] = None
    given.to_csv(tmp_path / "mine.csv", index=False)
    share = given["species"].isna().mean()
    for limit in (tables.IN_MEMORY, 1000):
        monkeypatch.setattr(tables, "IN_MEMORY", limit)
        data = load(tmp_path / "mine.csv", cache_dir=tmp_path / "cache", **NAMES)
        labels = np.concatenate([data.train_labels, data.valid_labels, data.test_labels])
        np.testing.assert_allclose(np.mean(labels == -1), share)
        assert data.class_names == ("x", "y", "z")
