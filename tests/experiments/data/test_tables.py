"""Tables: which rows are trained on and scored, and files that are not what they should be."""

import numpy as np
import pytest
from sklearn import datasets

from cpvae_jax import Config, checks
from cpvae_jax.errors import UserError
from experiments.data import SOURCES, load, tables
from tests.experiments.data.conftest import existing

FACTS = {
    "pendigits": (10_992, 16, 10),
    "optdigits": (5_620, 64, 10),
    "satimage": (6_435, 36, 6),
    "letter": (20_000, 16, 26),
    "penguins": (342, 4, 3),
}
"""Rows, columns and classes."""


def valid_table(name, rows, columns, classes):
    """A table, checked for what all have in common."""
    data = load(name, **({} if not tables.TABLES[name].home else places()))
    checks.dataset(Config(shape=data.shape, likelihood="gaussian"), data)
    assert data.test.shape == (rows, columns)
    assert (len(data.valid), len(data.train)) == (rows // 10, rows - rows // 10)
    apart = np.concatenate([data.train, data.valid])
    order, other = (np.lexsort(x.T) for x in (apart, data.test))
    np.testing.assert_array_equal(apart[order], data.test[other])
    assert np.unique(data.test_labels).tolist() == list(range(classes))
    assert len(data.class_names) == classes
    assert f"{rows:,} rows of {columns} columns" in data.source
    assert "All rows are scored" in data.source
    return data


def places():
    return {"manual_dir": existing("data/tables", "folder of real tables")}


@pytest.mark.parametrize(
    ("name", "rows", "columns", "classes"),
    [("iris", 150, 4, 3), ("wine", 178, 13, 3), ("breast_cancer", 569, 30, 2)],
)
def test_the_tables_of_scikit_learn(name, rows, columns, classes):
    data = valid_table(name, rows, columns, classes)
    wanted = getattr(datasets, f"load_{name}")()
    np.testing.assert_array_equal(data.test, wanted.data)
    np.testing.assert_array_equal(data.test_labels, wanted.target)
    assert data.class_names == tuple(wanted.target_names)


@pytest.mark.parametrize("name", FACTS)
def test_the_real_files(name):
    data = valid_table(name, *FACTS[name])
    if name == "penguins":
        assert data.class_names == ("Adelie", "Chinstrap", "Gentoo")
        assert np.bincount(data.test_labels).tolist() == [151, 68, 123]
        assert "2 rows with a gap were left out" in data.source


def test_every_table_is_registered():
    assert set(tables.TABLES) < set(SOURCES.names())


def written(tmp_path, text, name="pendigits"):
    (tmp_path / f"{name}.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return load(name, manual_dir=tmp_path)


def test_a_file_as_spreadsheets_write_it(tmp_path):
    """A byte order mark, quotes, spaces, empty lines, Windows' ends of lines, a gap."""
    rows = "".join(f'{n}, "{n / 2}",{"ba"[n % 2]}\r\n' for n in range(20))
    data = written(tmp_path, f'\ufeff"first", "second",class\r\n{rows}\r\nNA,1,a\r\n')
    assert data.test[3].tolist() == [3, 1.5]
    assert data.class_names == ("a", "b")
    assert data.test_labels[:2].tolist() == [1, 0]
    assert "1 row with a gap was left out" in data.source


def test_other_columns_of_penguins_are_left_out(tmp_path):
    names = ("sex", *tables.TABLES["penguins"].columns[::-1], "species", "year")
    rows = "".join(f"NA,{n},{n + 1},{n + 2},{n + 3},x,2007\n" for n in range(10))
    data = written(tmp_path, f"{','.join(names)}\n{rows}", "penguins")
    assert data.test[0].tolist() == [3, 2, 1, 0]
    assert "left out" not in data.source


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", r"no column 'class', but 'a', 'b'"),
        ("a,class\n1,2\n1\n", r"1 cells in row 2, but 2"),
        ("a,class\nlow,2\n", r"'low' in the column 'a'"),
        ("a,class\ninf,2\n1,3\n", r"not finite|infinit"),
        ("a,class\nNA,2\n", "no row without a gap"),
        ("class\n2\n2\n", "no column of numbers"),
        ("a,class\n", r"has 1 line.*archive\.ics\.uci\.edu"),
        ("", r"has 0 lines"),
        (b"a,class\n\xff\xfe,2\n", "cannot be read as CSV"),
        ("a,class\n1,2\n", "too few to split"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        written(tmp_path, text)


def test_a_missing_file_is_named_with_the_place_to_get_it(tmp_path):
    for name, table in tables.TABLES.items():
        if table.home:
            with pytest.raises(UserError) as error:
                load(name, manual_dir=tmp_path)
            for words in (str(tmp_path / f"{name}.csv"), table.home, "--manual-dir", table.label):
                assert words in str(error.value)
    with pytest.raises(UserError, match=r"downloads/manual/letter\.csv"):
        load("letter", data_dir=tmp_path)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "letter.csv").mkdir()
    with pytest.raises(UserError, match=r"letter\.csv cannot be read"):
        load("letter", manual_dir=tmp_path)
