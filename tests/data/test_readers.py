"""Files of tables: every format gives the same rows, and what cannot be read is refused in one sentence."""

import bz2
import gzip
import sys

import anndata
import numpy as np
import openpyxl
import pandas
import pyarrow as pa
import pytest
from pyarrow import csv, feather, parquet

from cpvae_jax.data import readers
from cpvae_jax.errors import UserError

ROWS = {"mass": [3.5, None, 4.25], "eggs": [1, 2, None], "sex": ["f", None, "m"]}
COMMA = "mass,eggs,sex\n3.5,1,f\n,2,?\n4.25,NA,m\n"
SEMICOLON = "mass;eggs;sex\n3,5;1;f\n;2;?\n4,25;NA;m\n"


@pytest.fixture
def written(tmp_path):
    """A function that writes a file and gives its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", COMMA),
        ("a.CSV", COMMA.replace("\n", "\r\n")),
        ("a.csv", COMMA.rstrip("\n")),
        ("a.csv", "\ufeff" + COMMA),
        ("a.csv", SEMICOLON),
        ("a.csv", SEMICOLON.replace(",", ".")),
        ("a.csv", COMMA.replace(",", "|")),
        ("a.csv", COMMA.replace(",", "\t")),
        ("a.tsv", COMMA.replace(",", "\t")),
        ("a.txt", COMMA.replace(",", "\t")),
        ("a.txt", COMMA),
        ("a.csv.gz", gzip.compress(COMMA.encode(), mtime=0)),
        ("a.tsv.bz2", bz2.compress(COMMA.replace(",", "\t").encode())),
    ],
)
def test_text_with_any_separator_mark_and_compression(written, name, content):
    path = written(name, content)
    assert readers.is_table(path)
    assert readers.read(path).to_pydict() == ROWS
    assert pa.concat_tables(readers.batches(path)).to_pydict() == ROWS


@pytest.mark.parametrize("suffix", readers.GAPS)
def test_every_usual_mark_of_a_gap_is_one(written, suffix):
    found = readers.read(written("a.csv", f"a,b\n1,x\n{suffix},y\n3,{suffix}\n")).to_pydict()
    assert found == {"a": [1, None, 3], "b": ["x", "y", None]}


def test_quotes_hold_separators_and_line_breaks(written):
    path = written("a.csv", 'a,b\n"x, y",1\n"z\nw",2\n')
    assert readers.read(path).to_pydict() == {"a": ["x, y", "z\nw"], "b": [1, 2]}


@pytest.mark.parametrize("ending", ["parquet", "pq", "feather", "arrow", "ipc", "xlsx"])
def test_binary_formats_hold_the_same_rows(tmp_path, ending):
    path, table = tmp_path / f"a.{ending}", pa.table(ROWS)
    if path.suffix in readers.PARQUET:
        parquet.write_table(table, path)
    elif path.suffix in readers.FEATHER:
        feather.write_feather(table, str(path))
    else:
        table.to_pandas().to_excel(path, index=False)
    assert readers.read(path).to_pydict() == ROWS


def test_a_matrix_of_anndata_is_a_table(tmp_path):
    x = np.array([[0.5, 2.0], [1.5, 0.0]], np.float32)
    obs = pandas.DataFrame(index=["cell 1", "cell 2"])
    var = pandas.DataFrame(index=["a", "b"])
    anndata.AnnData(x, obs=obs, var=var).write_h5ad(tmp_path / "a.h5ad")
    assert readers.read(tmp_path / "a.h5ad").to_pydict() == {"a": [0.5, 1.5], "b": [2, 0]}


def many(rows=40_000):
    rng = np.random.default_rng(0)
    text = [None if v == 0 else f"level {v}" for v in rng.integers(0, 5, rows)]
    return pa.table({"x": rng.normal(size=rows), "n": rng.integers(0, 99, rows), "t": text})


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "feather"])
def test_batches_are_the_whole_in_order(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(readers, "BATCH", 7000)
    monkeypatch.setattr(readers, "BLOCK", 2**20)
    path, table = tmp_path / f"a.{ending}", many()
    if ending == "parquet":
        parquet.write_table(table, path)
    elif ending == "feather":
        feather.write_feather(table, str(path), chunksize=7000)
    else:
        with pa.output_stream(path, compression="detect") as file:
            csv.write_csv(table, file)
    parts = list(readers.batches(path))
    assert len(parts) > 1
    assert pa.concat_tables(parts) == readers.read(path)
    assert readers.read(path).to_pydict() == table.to_pydict()


LINE = "1,2,x\n"
FIRST = "a,b,c\n" + 200_000 * LINE
"""More than one block of 1 MiB."""


@pytest.mark.parametrize(
    ("first", "last", "dtype"),
    [("1", "1.5", "double"), ("1", "x", "string"), ("true", "x", "string"), ("", "2.5", "double")],
)
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_the_type_of_a_column_suits_all_of_its_blocks(
    written, monkeypatch, first, last, dtype, ending
):
    monkeypatch.setattr(readers, "BLOCK", 2**20)
    lines = 200_000 * f"{first},2222\n"
    content = f"a,b\n{lines}{last},3\n".encode()
    path = written(f"a.{ending}", gzip.compress(content, 1) if ending == "csv.gz" else content)
    parts = list(readers.batches(path))
    assert len(parts) > 1
    assert {str(part.schema.field("a").type) for part in parts} == {dtype}
    assert str(parts[-1]["a"][-1].as_py()) == last
    assert readers.read(path).column("a") == pa.concat_tables(parts).column("a")


def test_a_late_line_that_is_no_utf8_is_named(written, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK", 2**20)
    path = written("a.csv", FIRST.encode() + b"1,2,caf\xe9\n")
    for read in (readers.read, lambda path: list(readers.batches(path))):
        with pytest.raises(UserError, match=r"a\.csv is not written in UTF-8"):
            read(path)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "", "is empty; give a table with a line of names and one line per row"),
        ("a.csv", "\n\n", "is empty"),
        ("a.parquet", "", "is empty"),
        ("a.csv", "1,2\n3,4\n", r"first line of .*a\.csv holds numbers \(1, 2\); write the names"),
        ("a.csv", "a,b,a\n1,2,3\n", "two columns with the name 'a'; rename one"),
        ("a.csv", "a,b\n1,2\n3,4,5\n", "cannot be read .*Expected 2 columns, got 3: 3,4,5"),
        ("a.csv", "a,b\n1,2\n3\n", "cannot be read .*Expected 2 columns, got 1: 3"),
        ("a.csv", "a,b\né,1\n".encode("latin-1"), r"not written in UTF-8 \(column 'a'\); save it"),
        ("a.csv", "é,b\n1,2\n".encode("latin-1"), "is not written in UTF-8"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), "is written in UTF-16; save it as UTF-8"),
        ("a.csv.gz", "a,b\n1,2\n", "cannot be read"),
        ("a.parquet", "PAR1 and no more", "cannot be read"),
        ("a.feather", "a,b\n1,2\n", "cannot be read"),
        ("a.xlsx", "a,b\n1,2\n", "cannot be read"),
        ("a.h5ad", "a,b\n1,2\n", "cannot be read"),
        ("a.doc", "a,b\n1,2\n", r"is no table that can be read; its name must end in \.csv"),
    ],
)
def test_files_that_cannot_be_read_are_refused_in_one_sentence(written, name, content, sentence):
    path = written(name, content)
    for read in (readers.read, lambda path: list(readers.batches(path))):
        with pytest.raises(UserError, match=sentence) as found:
            read(path)
        assert "\n" not in str(found.value)
        assert name in str(found.value)


def test_a_missing_file_is_named(tmp_path):
    for ending in ("csv", "parquet", "feather", "xlsx"):
        with pytest.raises(UserError, match=rf"gone\.{ending} does not exist"):
            readers.read(tmp_path / f"gone.{ending}")


def test_a_file_that_may_not_be_read_is_named(written, monkeypatch):
    def refuse(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(csv, "read_csv", refuse)  # root may read everything
    with pytest.raises(UserError, match=r"a\.csv cannot be read \(permission denied\)"):
        readers.read(written("a.csv", COMMA))


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("a.xlsx", "openpyxl", "excel"), ("a.h5ad", "anndata", "anndata")],
)
def test_a_missing_package_is_named_with_its_install_command(
    written, monkeypatch, name, package, extra
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        UserError,
        match=rf"{name} is read by the package {package}, which is missing; .*pip install 'cpvae-jax\[{extra}\]'",
    ):
        readers.read(written(name, "anything"))


@pytest.fixture
def sheet(tmp_path):
    """A function that writes lines of cells to an Excel file."""

    def write(*lines):
        book = openpyxl.Workbook()
        for line in lines:
            book.active.append(line)
        book.save(tmp_path / "a.xlsx")
        return tmp_path / "a.xlsx"

    return write


def test_cells_of_a_sheet(sheet):
    path = sheet(["a", "b", "c"], [1, "x", True], [], [None, 2, False], [2.5, "?", None])
    found = readers.read(path).to_pydict()
    assert found == {"a": [1, None, 2.5], "b": ["x", "2", None], "c": [True, False, None]}


def test_sheets_that_are_no_table_are_refused(sheet):
    with pytest.raises(UserError, match="is empty; give a sheet with a line of names"):
        readers.read(sheet())
    with pytest.raises(UserError, match="two columns with the name 'a'"):
        readers.read(sheet(["a", "a"], [1, 2]))
    assert readers.read(sheet(["a", "b"])).num_rows == 0
