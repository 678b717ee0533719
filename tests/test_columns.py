"""Columns: what is refused, the places of their values, and their way through JSON."""

import json

import pytest

from cpvae_jax import Column, Config, UserError
from cpvae_jax import columns as kinds

MIXED = (
    Column("mass", "real"),
    Column("island", "categorical", ("A", "B", "C")),
    Column("sex", "binary", ("f", "m")),
    Column("grade", "ordinal", (1, 2, 3, 4)),
    Column("eggs", "count"),
)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("a", "years"), "kind of column 'a' is 'years'; choose one of real, positive, count"),
        (("a", "binary"), "'a' is binary and has no levels"),
        (("a", "categorical", ()), "'a' is categorical and has no levels"),
        (("a", "real", (1, 2)), "'a' holds numbers, which have no levels"),
        (("a", "binary", (1, 2, 3)), "'a' is binary but has 3 levels; make it categorical"),
        (("a", "ordinal", ("x", "y", "x")), "'a' has a level twice"),
    ],
)
def test_a_column_that_cannot_be_is_refused(arguments, sentence):
    with pytest.raises(UserError, match=sentence):
        Column(*arguments)


def test_every_value_has_its_place():
    assert [list(places) for places in kinds.places(MIXED)] == [[0], [1, 2, 3], [4], [5], [6]]
    assert (kinds.width(MIXED), kinds.size(MIXED)) == (7, 12)
    assert not kinds.plain(MIXED)
    assert kinds.plain(MIXED[:1])


def test_counts_are_whole_and_lists_of_levels_become_tuples():
    assert Column("eggs", "count").whole
    assert not Column("mass", "real").whole
    column = Column("grade", "ordinal", [1, 2])
    assert column.levels == (1, 2)
    assert hash(column) == hash(Column("grade", "ordinal", (1, 2)))


def test_columns_survive_a_configuration_in_json():
    config = Config(shape=(12,), likelihood="mixed", columns=MIXED)
    back = Config.from_dict(json.loads(json.dumps(config.to_dict())))
    assert back == config
    assert back.columns == MIXED


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "columns is empty"),
        ([MIXED[0], MIXED[0]], "two columns have the name 'mass'"),
        (3, "columns is 3; give records"),
        ([{"name": "a", "colour": "red"}], "give records such as Column"),
    ],
)
def test_a_table_that_cannot_be_is_refused(given, sentence):
    with pytest.raises(UserError, match=sentence):
        kinds.from_any(given)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"a": "years"}, "kind of column 'a' is 'years'; choose one of real"),
        (3, "columns is 3; give kinds by name"),
        (["a", "b"], "give kinds by name"),
    ],
)
def test_kinds_by_name_are_checked(given, sentence):
    with pytest.raises(UserError, match=sentence):
        kinds.changed(given)


def test_kinds_by_name_may_be_pairs_records_or_nothing():
    assert kinds.changed(None) == {}
    assert kinds.changed([("a", "real")]) == {"a": "real"}
    assert kinds.changed({"sex": MIXED[2]}) == {"sex": MIXED[2]}


def test_the_shape_of_an_example_follows_from_the_columns():
    with pytest.raises(UserError, match=r"shape is \(5,\), but rows of these 5 columns .*\(12,\)"):
        Config(shape=(5,), likelihood="mixed", columns=MIXED)
    with pytest.raises(UserError, match=r"rows of these 5 columns have the shape \(5,\)"):
        Config(shape=(12,), likelihood="gaussian", columns=MIXED)
    with pytest.raises(UserError, match="'mixed' needs the columns of a table"):
        Config(shape=(12,), likelihood="mixed")
