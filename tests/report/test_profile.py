"""The profile of a category: which columns tell it from the rest, and by how much."""

import numpy as np
import pytest

from cpvae_jax.columns import Column
from cpvae_jax.config import Config
from cpvae_jax.report import profile

CATEGORIES = np.repeat([0, 1], 200)


def columns():
    rng = np.random.default_rng(0)
    return {
        "noise": rng.normal(size=400),
        "shifted": rng.normal(size=400) + 3 * CATEGORIES,
        "colour": np.where(CATEGORIES == 1, "red", np.where(rng.random(400) < 0.5, "red", "blue")),
        "missing": np.where(CATEGORIES == 1, None, "here"),
        "constant": np.full(400, 0.1),
    }


def test_the_most_telling_columns_come_first():
    x = columns()
    of_1 = profile.of_categories(x, CATEGORIES, 3, most=5)[1]
    assert [record["column"] for record in of_1[:3]] == ["missing", "shifted", "colour"]
    found = {record["column"]: record for record in of_1}
    whole = x["shifted"]
    expected = (whole[200:].mean() - whole.mean()) / whole.std()
    assert found["shifted"]["difference"] == pytest.approx(expected)
    assert found["constant"]["difference"] == 0
    share = np.mean(x["colour"] == "red")
    assert found["colour"]["here"] == "red, 100%"
    assert found["colour"]["all"] == f"{100 * share:.0f}%"
    assert found["colour"]["difference"] == pytest.approx(np.sqrt((1 - share) / share))
    assert found["missing"]["here"] == "(missing), 100%"


def test_two_levels_are_compared_as_their_indicator_would_be():
    x = columns()
    indicator = {"colour": (x["colour"] == "red").astype(float)}
    (as_number,) = profile.of_categories(indicator, CATEGORIES, 2, most=1)[1]
    (as_levels,) = profile.of_categories({"colour": x["colour"]}, CATEGORIES, 2, most=1)[1]
    assert as_levels["difference"] == pytest.approx(as_number["difference"])


def test_empty_categories_and_missing_numbers():
    x = {"a": np.array([1.0, np.nan, np.nan]), "b": np.full(3, np.nan)}
    found = profile.of_categories(x, np.array([0, 0, 1]), 3, most=9)
    assert found[0][0] == {"column": "a", "here": "1", "all": "1", "difference": 0.0}
    assert found[1] == found[2] == []


def test_chance_in_few_rows_does_not_come_first():
    """A single row is far from the mean in every column; one of 200 by half as much says more."""
    rng = np.random.default_rng(1)
    categories = np.repeat([0, 1], [200, 2])
    x = {f"n{i}": rng.normal(size=202) for i in range(50)}
    x["real"] = rng.normal(size=202) + 8 * categories
    assert profile.of_categories(x, categories, 2, most=1)[1][0]["column"] == "real"


def test_plain_rows_have_numbered_columns():
    found = profile.table(Config(shape=(2,), likelihood="gaussian"), np.array([[1.0, 2], [3, 4]]))
    assert list(found) == ["column 0", "column 1"]
    assert found["column 1"].tolist() == [2, 4]


def test_columns_of_the_user_s_keep_their_names_and_levels_that_are_numbers():
    columns = (Column("age", "real"), Column("grade", "ordinal", (1, 2)))
    config = Config(shape=(4,), likelihood="mixed", columns=columns)
    coded = np.array([[1.0, 0, 0, 0], [0, 1, 1, 0]])  # the second age is missing
    found = profile.table(config, coded)
    assert np.isnan(found["age"][1])
    assert list(found) == ["age", "grade"]
    (of_grade,) = profile.of_categories({"grade": found["grade"]}, np.array([0, 1]), 2, most=1)[1]
    assert of_grade["here"] == "2, 100%"
