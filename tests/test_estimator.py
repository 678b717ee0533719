"""`CPVAE`: the estimator on every container, and its conventions."""

import pickle

import anndata
import jax
import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cpvae_jax
from cpvae_jax import Column, UserError
from cpvae_jax.estimator import CPVAE
from cpvae_jax.evaluation import rows
from cpvae_jax.keys import purpose
from tests.tables import frame

TRAINING = {
    "epochs": 40,
    "batch_size": 16,
    "start": "kmeans",
    "start_epochs": 40,
    "warmup": 5,
    "regularisers": (("anchor", 20.0),),
}
"""Enough to fit three groups from the partition of k-means."""

BRIEF = {"epochs": 2, "warmup": 1}
GROUP = np.random.default_rng(0).integers(0, 3, 150)
X = np.random.default_rng(1).normal(size=(150, 4)) + 6 * GROUP[:, None] * [1, 0, -1, 100]
"""Three groups in columns of different units."""

MIXED = frame(150)[["mass", "eggs", "island", "grade"]]


def tiny(K=3, **options):
    given = {
        "latent": 2,
        "hidden": (8,),
        "recipe": "short",
        "training": TRAINING,
        "random_state": 0,
    }
    return CPVAE(K, **{**given, **options})


@pytest.fixture(scope="module")
def model():
    return tiny().fit(X)


@pytest.fixture(scope="module")
def of_table():
    return tiny().fit(MIXED)


def test_what_a_fit_leaves(model):
    assert adjusted_rand_score(model.labels_, GROUP) > 0.9
    np.testing.assert_array_equal(model.labels_, model.predict(X))
    np.testing.assert_array_equal(model.labels_, tiny().fit_predict(X))
    probs = model.predict_proba(X)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(probs.argmax(axis=1), model.labels_)
    np.testing.assert_allclose(probs, cpvae_jax.predict(model.params_, X), atol=1e-6)
    assert (model.n_features_in_, model.n_iter_, model.columns_) == (4, 40, None)
    history = pandas.DataFrame(model.history_)
    assert history["epoch"].tolist() == list(range(1, 41))
    assert model.lower_bound_ == pytest.approx(history["valid_bound"].max(), rel=1e-5)


def test_the_score_is_the_mean_of_the_bounds_of_rows(model):
    bounds = model.score_samples(X)
    key = purpose(jax.random.key(0), "test bound")
    np.testing.assert_allclose(bounds, rows.bounds(model.params_, key, X))
    assert model.score(X) == pytest.approx(bounds.mean(), rel=1e-6)
    assert model.score(X[:, [2, 1, 0, 3]]) < model.score(X)
    assert model.score_samples(X[:1]) == pytest.approx(bounds[:1])


def test_the_same_seed_gives_the_same_model(model):
    again = clone(model).fit(X)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    state = tiny(random_state=np.random.RandomState(0)).fit(X)
    np.testing.assert_array_equal(state.predict_proba(X), model.predict_proba(X))
    other = tiny(random_state=1).fit(X)
    assert np.any(other.predict_proba(X) != model.predict_proba(X))
    one, two = model.sample(5)[0], again.sample(5)[0]
    np.testing.assert_array_equal(one, two)


def test_a_clone_has_the_settings_and_nothing_else(model):
    given = clone(model)
    assert given.get_params() == model.get_params()
    assert not hasattr(given, "params_")
    with pytest.raises(NotFittedError):
        given.predict(X)
    assert given.set_params(n_categories=7).n_categories == 7


def test_a_pickled_model_says_the_same(of_table):
    again = pickle.loads(pickle.dumps(of_table))
    np.testing.assert_array_equal(again.predict_proba(MIXED), of_table.predict_proba(MIXED))
    pandas.testing.assert_frame_equal(again.sample(5)[0], of_table.sample(5)[0])
    assert again.columns_ == of_table.columns_


def test_it_is_a_step_of_a_pipeline_and_of_a_search(model):
    both = make_pipeline(StandardScaler(), tiny()).fit(X)
    assert adjusted_rand_score(both.predict(X), GROUP) > 0.9
    assert both.transform(X).shape == (150, 2)
    search = GridSearchCV(tiny(training=BRIEF), {"n_categories": [1, 3]}, cv=2)
    search.fit(X)
    assert np.all(np.isfinite(search.cv_results_["mean_test_score"]))
    assert search.predict(X).max() < search.best_params_["n_categories"]


def test_codes_come_back_near_the_rows_that_they_are_of(model):
    z = model.transform(X)
    assert (z.shape, z.dtype) == ((150, 2), np.float32)
    encoded = cpvae_jax.encode(model.params_, X)
    expected = np.asarray(encoded.mean)[np.arange(150), model.labels_]
    np.testing.assert_allclose(z, expected, atol=1e-5)
    back = model.inverse_transform(z)
    assert back.shape == X.shape
    assert np.mean((back - X) ** 2 / X.var(axis=0)) < 0.5


def test_codes_are_a_data_frame_if_asked_for():
    given = pandas.DataFrame(X, columns=list("abcd"), index=[f"row {i}" for i in range(150)])
    model = tiny(training=BRIEF).set_output(transform="pandas")
    codes = model.fit(given).transform(given)
    assert codes.columns.tolist() == ["cpvae0", "cpvae1"] == model.get_feature_names_out().tolist()
    assert codes.index.tolist() == given.index.tolist()


def test_names_of_columns_are_kept_and_checked(of_table):
    assert of_table.feature_names_in_.tolist() == MIXED.columns.tolist()
    with pytest.raises(ValueError, match="feature names"):
        of_table.predict(MIXED.drop(columns="mass"))
    with pytest.raises(ValueError, match="feature names"):
        of_table.predict(MIXED[MIXED.columns[::-1]])
    with pytest.raises(ValueError, match="feature names"):
        of_table.predict(MIXED.rename(columns={"mass": "weight"}))


def test_a_table_is_read_column_by_column(of_table):
    assert [(column.name, column.kind) for column in of_table.columns_] == [
        ("mass", "real"),
        ("eggs", "count"),
        ("island", "categorical"),
        ("grade", "count"),
    ]
    other = tiny(columns={"grade": "ordinal"}, training=BRIEF).fit(MIXED)
    assert other.columns_[3] == Column("grade", "ordinal", (1, 2, 3, 4))
    alike = adjusted_rand_score(of_table.labels_, frame(150)["species"])
    assert alike > 0.6


LIBRARIES = {
    "pandas": lambda: MIXED,
    "polars": lambda: polars.from_pandas(MIXED),
    "arrow": lambda: pa.Table.from_pandas(MIXED, preserve_index=False),
}
FRAMES = {"pandas": pandas.DataFrame, "polars": polars.DataFrame, "arrow": pa.Table}


@pytest.mark.parametrize("library", LIBRARIES)
def test_frames_of_every_library_give_one_model_and_get_their_kind_back(of_table, library):
    given = LIBRARIES[library]()
    model = tiny().fit(given)
    np.testing.assert_array_equal(model.labels_, of_table.labels_)
    np.testing.assert_allclose(model.predict_proba(given), of_table.predict_proba(MIXED), atol=1e-5)
    drawn, category = model.sample(20, category=2)
    assert isinstance(drawn, FRAMES[library])
    assert category.tolist() == [2] * 20
    expected = of_table.sample(20, category=2)[0]
    for found in (drawn, model.impute(given)):
        assert isinstance(found, FRAMES[library])
        plain = found if library == "pandas" else found.to_pandas()
        assert plain.columns.tolist() == MIXED.columns.tolist()
        assert not plain.isna().any().any()
        assert set(plain["island"]) <= {"A", "B", "C"}
        assert plain["eggs"].dtype == np.int64
    plain = drawn if library == "pandas" else drawn.to_pandas()
    np.testing.assert_allclose(plain["mass"], expected["mass"], rtol=1e-5)


def test_gaps_of_a_table_are_filled_and_all_else_stays(of_table):
    found = of_table.impute(MIXED)
    there = MIXED.notna()
    pandas.testing.assert_frame_equal(found.where(there), MIXED.where(there), check_dtype=False)
    assert not found.isna().any().any()
    groups = frame(150)["species"]
    gone = ~there["mass"]
    middle = MIXED.groupby(groups)["mass"].mean()
    truth = np.array([middle[one] for one in groups[gone]])
    error = np.mean((found["mass"][gone] - truth) ** 2)
    assert error < 0.5 * np.mean((MIXED["mass"].mean() - truth) ** 2)


def test_gaps_of_an_array_are_filled_in_an_array():
    x = np.array(X)
    x[::5, 1], x[::7, 3] = np.nan, np.nan
    model = tiny().fit(x)
    assert [column.name for column in model.columns_] == ["x0", "x1", "x2", "x3"]
    assert np.all(np.isfinite(model.score_samples(x)))
    found = model.impute(x)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found[~np.isnan(x)], x[~np.isnan(x)])
    assert np.all(np.isfinite(found))
    drawn, _ = model.sample(3)
    assert (type(drawn), drawn.shape, drawn.dtype) == (np.ndarray, (3, 4), np.float64)
    with pytest.raises(
        UserError, match="without gaps; fill them, or train with likelihood='mixed'"
    ):
        tiny(training=BRIEF).fit(X).predict(x)


def test_matrices_with_many_zeros_are_read_as_they_are():
    x = np.random.default_rng(0).poisson(0.3, (120, 6)).astype(float)
    brief = tiny(training=BRIEF)
    dense = clone(brief).fit(x).predict_proba(x)
    for sparse in (scipy.sparse.csr_matrix(x), scipy.sparse.csc_array(x)):
        np.testing.assert_allclose(clone(brief).fit(sparse).predict_proba(sparse), dense, atol=1e-6)
    cells = anndata.AnnData(scipy.sparse.csr_matrix(x))
    model = clone(brief).fit(cells)
    assert model.predict(cells).shape == (120,)
    assert [column.name for column in model.columns_] == [str(i) for i in range(6)]


def test_images_are_read_with_all_their_axes():
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    model = tiny(2, training={"epochs": 2, "warmup": 1}).fit(x)
    assert model.params_.config.shape == (8, 8)
    assert model.predict(x).shape == (60,)
    drawn, category = model.sample(4, category=[0, 1, 1, 0])
    assert (drawn.shape, category.tolist()) == ((4, 8, 8), [0, 1, 1, 0])
    assert model.inverse_transform(model.transform(x[:3])).shape == (3, 8, 8)


def test_categories_are_drawn_as_often_as_the_data_use_them(model):
    shares = np.bincount(model.sample(3000)[1], minlength=3) / 3000
    expected = np.asarray(model.params_.shares)
    assert np.all(np.abs(shares - expected) < 6 * np.sqrt(expected * (1 - expected) / 3000))
    drawn, category = model.sample(200)
    assert adjusted_rand_score(model.predict(drawn), category) > 0.5
