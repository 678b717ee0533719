"""Whatever holds named columns becomes the same Arrow table."""

import anndata
import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest
import scipy.sparse

from cpvae_jax.data import frames
from cpvae_jax.errors import UserError

VALUES = {"mass": [3.5, None, 4.0], "eggs": [1, 2, 0], "sex": ["f", "m", None]}


@pytest.mark.parametrize(
    "given",
    [
        pandas.DataFrame(VALUES),
        pandas.DataFrame(VALUES, index=["x", "y", "z"]),
        pandas.DataFrame(VALUES).convert_dtypes(),
        polars.DataFrame(VALUES),
        polars.DataFrame(VALUES).lazy(),
        pa.table(VALUES),
        pa.RecordBatch.from_pydict(VALUES),
    ],
    ids=["pandas", "with an index", "nullable", "polars", "lazy", "arrow", "a batch"],
)
def test_a_frame_of_any_library_is_the_same_table(given):
    assert frames.is_frame(given)
    assert frames.table_of(given, "X").to_pydict() == VALUES


@pytest.mark.parametrize("given", [np.zeros((2, 2)), [[1, 2]], ((1,),), "mine.csv", None, 3])
def test_what_has_no_named_columns_is_no_frame(given):
    assert not frames.is_frame(given)


@pytest.mark.parametrize("convert", [np.asarray, scipy.sparse.csr_matrix])
def test_the_variables_of_anndata_are_columns(convert):
    x = np.array([[0.0, 1.0], [2.0, 0.0], [0.0, 3.0]], np.float32)
    given = anndata.AnnData(convert(x))
    given.var_names = ["gene a", "gene b"]
    assert frames.is_frame(given)
    table = frames.table_of(given, "X")
    assert table.to_pydict() == {"gene a": [0, 2, 0], "gene b": [1, 0, 3]}


def test_numbers_without_names_are_numbered_and_nan_is_missing():
    table = frames.of_array(np.array([[1.0, np.nan], [2.0, 3.0]]))
    assert table.to_pydict() == {"x0": [1, 2], "x1": [None, 3]}
    assert frames.of_array(np.zeros((1, 2)), ["a", "b"]).column_names == ["a", "b"]


def test_names_that_are_numbers_become_text():
    assert frames.table_of(pandas.DataFrame(np.zeros((2, 2))), "X").column_names == ["0", "1"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (pandas.DataFrame({"a": [1, "b"]}), "X has a column that mixes types .*column a"),
        (pandas.DataFrame({"a": [{}, 2]}), "X has a column that mixes types or holds objects"),
        (pandas.DataFrame([[1, 2]], columns=["a", "a"]), "two columns with the name 'a'; rename"),
        (pandas.DataFrame([[1, 2]], columns=["1", 1]), "two columns with the name '1'"),
        (pandas.DataFrame(), "X has no columns"),
        (pa.table([[1], [2]], names=["a", "a"]), "two columns with the name 'a'"),
    ],
)
def test_frames_that_are_no_table_are_refused(given, sentence):
    with pytest.raises(UserError, match=sentence) as found:
        frames.table_of(given, "X")
    assert "\n" not in str(found.value)


def test_a_frame_of_an_unknown_library_is_refused():
    class Frame:
        columns = dtypes = ("a",)

    with pytest.raises(UserError, match="X is of type Frame, which cannot be read; give a data"):
        frames.table_of(Frame(), "X")
