"""Rows of tables as numbers and back."""

import datetime

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest

from cpvae_jax import columns as kinds
from cpvae_jax.columns import Column
from cpvae_jax.data import coding, frames, inference
from cpvae_jax.errors import UserError

COLUMNS = (
    Column("mass", "real"),
    Column("price", "positive"),
    Column("eggs", "count"),
    Column("sex", "binary", ("f", "m")),
    Column("island", "categorical", ("A", "B", "C")),
    Column("grade", "ordinal", (1, 2, 3)),
)
ROWS = {
    "mass": [3.5, None, -4.0],
    "price": [0.5, 2.0, None],
    "eggs": [0, 3, None],
    "sex": ["m", None, "f"],
    "island": ["C", "A", None],
    "grade": [3, None, 1],
}
CODED = [
    [3.5, 0.5, 0, 1, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0],
    [0, 2, 3, 0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 1],
    [-4, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0],
]


def test_coded_rows_hold_one_number_per_level_and_say_what_is_missing():
    assert coding.encode(COLUMNS, pa.table(ROWS)).tolist() == CODED


@pytest.mark.parametrize("library", [pandas.DataFrame, polars.DataFrame, pa.table])
def test_the_order_of_columns_and_others_beside_them_do_not_matter(library):
    names = ["grade", "mass", "island", "eggs", "sex", "price"]
    given = library({**{name: ROWS[name] for name in names}, "other": ["?", "?", "?"]})
    found = coding.rows_of(COLUMNS, given, "X", coded=True)
    assert found.tolist() == CODED


def test_decoding_is_the_inverse_of_encoding():
    found = coding.decode(COLUMNS, np.array(CODED))
    assert {
        name: [None if v is None or v != v else v for v in values.tolist()]
        for name, values in found.items()
    } == ROWS


def test_rows_of_any_table_survive_the_way_there_and_back():
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "x": rng.normal(size=200) * 1e5,
            "n": rng.poisson(3, 200),
            "big": rng.integers(10**9, 10**9 + 1000, 200),
            "t": rng.choice(["u", "v", "w"], 200),
            "b": rng.random(200) < 0.3,
        }
    )
    table = frames.table_of(frame, "X")
    columns = inference.infer(table)
    assert [c.kind for c in columns] == ["real", "count", "real", "categorical", "binary"]
    back = coding.decode(columns, coding.encode(columns, table))
    pandas.testing.assert_frame_equal(pandas.DataFrame(back), frame, check_dtype=False)
    assert {str(back[name].dtype) for name in ("n", "big")} == {"int64"}


def test_values_that_no_level_has_become_the_nearest():
    x = np.array([[0.4, 0.2, 2.6, 0.7, 0.2, 0.5, 0.3, 1.4, *[0] * 6]])
    found = coding.decode(COLUMNS, x)
    expected = {"mass": 0.4, "price": 0.2, "eggs": 3, "sex": "m", "island": "B", "grade": 2}
    assert {name: values.item() for name, values in found.items()} == expected
    x[0, [3, 7]] = [7.0, -3.0]
    found = coding.decode(COLUMNS, x)
    assert (found["sex"].item(), found["grade"].item()) == ("m", 1)


def test_rows_that_are_not_coded_have_one_number_per_column():
    columns = (Column("a", "real"), Column("b", "real", whole=True))
    table = pa.table({"b": [1, 2], "a": [0.5, 1.5]})
    x = coding.encode(columns, table, coded=False)
    assert x.tolist() == [[0.5, 1], [1.5, 2]]
    back = coding.decode(columns, x + 0.2, coded=False)
    np.testing.assert_allclose(back["a"], [0.7, 1.7])
    assert back["b"].tolist() == [1, 2]
    with pytest.raises(
        UserError, match=r"'b' of the table has missing values, but .*--likelihood m"
    ):
        coding.encode(
            columns, pa.table({"a": [0.5], "b": pa.array([None], pa.int64())}), coded=False
        )


@pytest.mark.parametrize(
    "values",
    [
        ["3", "1", None],
        [3.0, 1.0, float("nan")],
        pa.array([3, 1, None], pa.int8()),
        pa.array(["3", "1", None]).dictionary_encode(),
        pa.chunked_array([[3], [1, None]]),
    ],
)
def test_levels_of_another_type_are_the_same_levels(values):
    found = coding.encode(COLUMNS[5:], pa.table({"grade": values}))
    assert found.tolist() == [[2, 0], [0, 0], [0, 1]]


def test_numbers_that_are_written_as_text_are_numbers():
    for values in (["3.5", None, "-4"], pa.array(["3.5", None, "-4"]).dictionary_encode()):
        found = coding.encode(COLUMNS[:1], pa.table({"mass": values}))
        assert found.tolist() == [[3.5, 0], [0, 1], [-4, 0]]


def test_categories_that_no_row_uses_are_left_out():
    column = pandas.Categorical(["B", None, "A"], categories=["Z", "B", "A", "Y"])
    found = coding.rows_of(COLUMNS[4:5], pandas.DataFrame({"island": column}), "X", coded=True)
    assert found.tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]


@pytest.mark.parametrize("name", [column.name for column in COLUMNS])
def test_a_column_of_gaps_alone_is_missing_everywhere(name):
    table = pa.table({**ROWS, name: pa.array([None] * 3)})
    found = coding.encode(COLUMNS, table)
    place = [column.name for column in COLUMNS].index(name)
    assert found[:, kinds.width(COLUMNS) + place].tolist() == [1, 1, 1]
    assert not found[:, kinds.places(COLUMNS)[place]].any()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"mass": None}, r"X has no column 'mass', which the model was trained on; it has 'price'"),
        ({"mass": ["1", "x", "3"]}, "'mass' of X holds 'x', but the model was trained on numbers"),
        ({"mass": [1.0, np.inf, 2.0]}, r"'mass' of X holds infinity in row 1 \(counting from 0\)"),
        ({"mass": [datetime.date(2020, 1, 1)] * 3}, "'mass' of X holds .*trained on numbers there"),
        ({"island": ["A", "D", None]}, "'island' of X holds 'D', which the model has not seen"),
        ({"sex": ["f", "m", "x"]}, "holds 'x', .* it knows 'f', 'm'. Mend it, or leave it empty"),
        ({"grade": [1, 2, 4]}, "'grade' of X holds 4, which the model has not seen"),
        ({"grade": [1.0, 2.5, 3.0]}, "holds 2.5, which the model has not seen"),
    ],
)
def test_rows_that_do_not_suit_the_model_are_refused(change, sentence):
    table = {k: v for k, v in {**ROWS, **change}.items() if v is not None}
    with pytest.raises(UserError, match=sentence) as found:
        coding.encode(COLUMNS, pa.table(table), "X")
    assert "\n" not in str(found.value)


def test_of_many_levels_a_few_are_shown():
    column = Column("a", "categorical", tuple(f"l{i}" for i in range(50)))
    with pytest.raises(UserError, match=r"it knows 'l0', .*'l9' and 40 more"):
        coding.encode((column,), pa.table({"a": ["new"]}))
