"""The kinds of columns, by their types and values."""

import datetime

import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest

from cpvae_jax.columns import Column
from cpvae_jax.data import frames, inference
from cpvae_jax.errors import UserError


def one(values, kind=None):
    """The column of some values."""
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    change = None if kind is None else {"a": kind}
    return inference.infer(pa.table({"a": array}), change)[0]


@pytest.mark.parametrize(
    ("values", "kind", "levels"),
    [
        ([True, False, None], "binary", (False, True)),
        (["x", "y", "x"], "binary", ("x", "y")),
        (["y", "x", "z", None], "categorical", ("x", "y", "z")),
        (["only", "only", None], "categorical", ("only",)),
        ([0, 1, 1], "binary", (0, 1)),
        ([2, 1, None], "binary", (1, 2)),
        ([0.0, 1.0, float("nan")], "binary", (0, 1)),
        ([0, 3, 1, 12], "count", ()),
        ([0.0, 3.0, 1.0, None], "count", ()),
        ([0.0, 3.0, 1.0, 7.0], "real", ()),  # stored as fractions, without a gap
        ([172, 190, 231], "real", ()),
        ([-1, 0, 5], "real", ()),
        ([0, 1, 2, 300_000], "real", ()),
        ([0.5, 1.5, 1.5], "real", ()),
    ],
)
def test_the_kind_of_a_column(values, kind, levels):
    found = one(values)
    assert (found.kind, found.levels) == (kind, levels)


def test_whole_numbers_are_remembered_as_whole():
    assert one([172, 190, 231]).whole
    assert not one([172.0, 190.5, 231.0]).whole


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_ordered_categories_keep_their_order(library):
    order, values = ["low", "mid", "high", "never"], ["high", "low", None, "mid"]
    if library == "pandas":
        column = pandas.Categorical(values, categories=order, ordered=True)
        frame = pandas.DataFrame({"a": column})
    else:
        frame = polars.DataFrame({"a": polars.Series(values, dtype=polars.Enum(order))})
    found = inference.infer(frames.table_of(frame, "X"))
    assert found == (Column("a", "ordinal", ("low", "mid", "high")),)


def test_categories_without_an_order_are_sorted_and_unused_ones_left_out():
    column = pandas.Categorical(["z", "y", "z", "x"], categories=["w", "z", "y", "x"])
    found = inference.infer(frames.table_of(pandas.DataFrame({"a": column}), "X"))
    assert found == (Column("a", "categorical", ("x", "y", "z")),)


def test_whole_numbers_that_share_a_range_are_pixels_and_not_counts():
    x = np.random.default_rng(0).integers(0, 17, (200, 10))
    pixels = inference.infer(frames.of_array(x))
    assert {column.kind for column in pixels} == {"real"}
    few = inference.infer(frames.of_array(x[:, :5]))
    assert {column.kind for column in few} == {"count"}
    ranges = x * 10 ** (np.arange(10) // 3)
    assert "count" in {column.kind for column in inference.infer(frames.of_array(ranges))}


@pytest.mark.parametrize(
    ("values", "kind", "levels"),
    [
        ([3, 1, 2], "ordinal", (1, 2, 3)),
        ([3, 1, 2], "categorical", (1, 2, 3)),
        ([3, 1, 1], "categorical", (1, 3)),  # two levels are binary
        ([3, 1, 2], "real", ()),
        ([3, 1, 2], "positive", ()),
        (["b", "a", "c"], "ordinal", ("a", "b", "c")),
    ],
)
def test_the_kind_that_the_user_gives_takes_precedence(values, kind, levels):
    found = one(values, kind)
    assert found.levels == levels
    assert found.kind == ("binary" if len(levels) == 2 else kind)


def test_a_whole_column_that_the_user_gives_is_kept():
    given = Column("a", "ordinal", ("low", "mid", "high"))
    assert one(["high", "low"], given) == given


def test_what_is_known_after_several_batches_is_what_is_known_of_the_whole():
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "whole": rng.integers(0, 9, 300),
            "real": pa.array(np.where(rng.random(300) < 0.1, np.nan, rng.normal(size=300))),
            "text": pa.array([None if v == 3 else f"t{v}" for v in rng.integers(0, 4, 300)]),
        }
    )
    parts = [table.slice(i, 70) for i in range(0, 300, 70)]
    one, several = inference.survey([table], "x"), inference.survey(parts, "x")
    for name in table.column_names:
        for what in ("rows", "missing", "low", "high", "whole"):
            assert getattr(one[name], what) == getattr(several[name], what), (name, what)
        np.testing.assert_allclose(one[name].std, several[name].std)
    np.testing.assert_allclose(several["real"].std, np.nanstd(table["real"].to_numpy()))
    assert several["text"].missing == table["text"].null_count
    assert inference.from_survey(one, None, "x") == inference.from_survey(several, None, "x")


def test_a_column_without_a_value_in_its_first_batch_gets_its_type_later():
    batches = [pa.table({"a": pa.array([None] * 3)}), pa.table({"a": pa.array([1.5, 2.5])})]
    found = inference.from_survey(inference.survey(batches, "x"), None, "x")
    assert found == (Column("a", "real"),)


@pytest.mark.parametrize(
    ("values", "kind", "sentence"),
    [
        ([None, None], None, r"'a' of the table has no value at all; drop it \(--drop-columns a\)"),
        ([float("nan")] * 2, None, "has no value at all"),
        (["1", "2", "x", "3"], None, "mixes numbers and text: it holds 'x' in row 0 or later"),
        ([f"t{i}" for i in range(300)], None, r"more than 200 different .*'t0'.*--id-column a"),
        ([f"t{i}" for i in range(300)], "categorical", "more than 200 different values"),
        (list(range(300)), "ordinal", "more than 200 different values"),
        (["x", "y"], "real", "holds levels such as 'x', so it cannot be real"),
        (["x", "y"], "count", "holds levels such as 'x', so it cannot be count"),
        ([1, 2, 3], "binary", "binary but has 3 levels"),
        ([datetime.date(2020, 1, 1)], None, r"has the type date32.*such as days, or drop it"),
        ([[1, 2], [3]], None, "has the type list"),
        ([b"x"], None, "has the type binary"),
    ],
)
def test_columns_that_cannot_be_used_are_refused(values, kind, sentence):
    with pytest.raises(UserError, match=sentence) as found:
        one(values, kind)
    assert "\n" not in str(found.value)


def test_a_kind_for_a_column_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="no column 'b', whose kind is given; it has 'a'"):
        inference.infer(pa.table({"a": [1, 2]}), {"b": "real"})
    with pytest.raises(UserError, match="kind of column 'a' is 'years'"):
        one([1, 2], "years")


def test_a_table_without_rows_is_refused():
    with pytest.raises(UserError, match="the table has no rows"):
        inference.infer(pa.table({"a": pa.array([], pa.int64())}))


@pytest.mark.parametrize("values", [[1e200, -1e200, None], [np.inf, 1.0, None]])
def test_numbers_beyond_float32_are_numbers_all_the_same(values):
    """The likelihood refuses them, and names the column."""
    assert one(values).kind in ("real", "binary")


def test_the_columns_are_printed_with_their_gaps():
    columns = (Column("island", "categorical", tuple("ABCDEFG")), Column("mass", "real"))
    lines = inference.described(columns, {"mass": 12}).splitlines()
    assert lines[1].split() == [
        "island",
        "categorical",
        "0",
        "A,",
        "B,",
        "C,",
        "D,",
        "E,",
        "…",
        "(7)",
    ]
    assert lines[2].split() == ["mass", "real", "12"]
