"""The settings of `CPVAE`: seeds, a warm start, weights, priors, and what is refused."""

import jax
import numpy as np
import pandas
import pytest
from sklearn.base import clone

import cpvae_jax
from cpvae_jax import Training, UserError
from cpvae_jax.estimator import CPVAE

BRIEF = {"epochs": 2, "warmup": 1}
GROUP = np.random.default_rng(0).integers(0, 3, 120)
X = np.random.default_rng(1).normal(size=(120, 3)) + 6 * GROUP[:, None]


def tiny(K=3, **options):
    given = {"latent": 2, "hidden": (8,), "recipe": "short", "training": BRIEF, "random_state": 0}
    return CPVAE(K, **{**given, **options})


def test_of_several_seeds_the_best_is_kept():
    model = tiny(n_init=3).fit(X)
    history = pandas.DataFrame(model.history_)
    assert sorted(history["seed"].unique()) == [0, 1, 2]
    best = history.groupby("seed")["valid_bound"].max()
    assert model.lower_bound_ == pytest.approx(best.max(), rel=1e-5)


def test_a_warm_start_goes_on_from_the_earlier_model():
    still = {"epochs": 1, "warmup": 1, "learning_rate": 1e-12}
    model = tiny(warm_start=True).fit(X)
    before = jax.tree.map(np.asarray, model.params_.weights)
    model.set_params(training=still, random_state=1).fit(X)
    after = model.params_.weights
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), before, after)
    fresh = clone(model).set_params(warm_start=False).fit(X).params_.weights
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(fresh), strict=True)
    assert any(np.abs(a - b).max() > 0.01 for a, b in pairs)
    model.set_params(n_categories=2).fit(X)  # another model starts afresh
    assert model.predict_proba(X).shape == (120, 2)


def test_rows_without_weight_have_no_say():
    each = np.where(GROUP == 0, 0.0, 1.0)
    start = {**BRIEF, "epochs": 6, "start": "kmeans", "start_epochs": 40, "regularisers": ()}
    model = tiny(2, training=start).fit(X, sample_weight=each)
    kept = GROUP > 0
    labels = model.predict(X[kept])
    agreement = np.mean(labels == (GROUP[kept] == 2))
    assert max(agreement, 1 - agreement) > 0.9
    with pytest.raises(UserError, match="train has 120 examples; give one weight for each"):
        tiny().fit(X, sample_weight=[1.0])


@pytest.mark.parametrize("prior", ["vae", "mg", "vp", "full"])
def test_every_prior_can_be_chosen(prior):
    model = tiny(prior=prior).fit(X)
    K = 1 if prior == "vae" else 3
    assert model.predict_proba(X).shape == (120, K)
    drawn, category = model.sample(4)
    assert (drawn.shape, category.shape) == ((4, 3), (4,))
    assert model.inverse_transform(model.transform(X)).shape == X.shape
    if prior == "vae":
        assert category.tolist() == [0] * 4
        with pytest.raises(UserError, match="has no categories"):
            model.sample(2, category=0)


def test_a_merged_model_answers_for_its_categories():
    model = tiny(3).fit(X)
    model.params_ = cpvae_jax.merge(model.params_, [[0, 2], [1]])
    probs = model.predict_proba(X)
    assert probs.shape == (120, 2)
    np.testing.assert_allclose(probs.sum(axis=1), 1, atol=1e-5)
    drawn, category = model.sample(50)
    assert drawn.shape == (50, 3)
    assert set(category) <= {0, 1}
    assert model.inverse_transform(model.transform(X)).shape == X.shape


def test_a_recipe_may_be_spelled_out():
    training = Training(epochs=3, warmup=1, temperature_epochs=1, batch_size=20)
    assert tiny(recipe=training, training=None).fit(X).n_iter_ == 3
    assert tiny(recipe=training, training={"epochs": 1}).fit(X).n_iter_ == 1


def test_any_setting_of_training_passes_through():
    def fitted(**settings):
        return tiny(training={**BRIEF, **settings}).fit(X)

    plain, averaged = fitted(), fitted(averaging=0.9, free_bits=1.0)
    prior = [model.params_.weights["prior"]["mean"] for model in (plain, averaged)]
    assert np.any(prior[0] != prior[1])
    assert "train_importance_bound" in fitted(objective="iwae").history_[-1]


def test_further_fields_and_callbacks():
    epochs = []
    model = tiny(config={"levels": 2}, callbacks=[lambda run: epochs.append(run.epoch)]).fit(X)
    assert model.params_.config.levels == 2
    assert epochs == [1, 2]


def test_verbose_prints_the_columns_of_a_table(capsys):
    table = pandas.DataFrame({"a": X[:, 0], "sex": np.where(GROUP > 0, "f", "m")})
    tiny(verbose=1).fit(table)
    assert "sex     binary        0  f, m" in capsys.readouterr().out
    tiny().fit(table)
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"prior": "cvae"}, "prior is 'cvae'; choose one of"),
        ({"recipe": "quick"}, "recipe is 'quick'"),
        ({"likelihood": "poisson"}, "likelihood is 'poisson'"),
        ({"K": 0}, "n_categories is 0; it must be at least 1"),
        (
            {"training": {"epoch": 3}},
            "training has 'epoch', which is no setting; did you mean 'epochs'",
        ),
        ({"training": 3}, r"training is 3; give settings by name, such as {'epochs': 20}"),
        (
            {"config": {"level": 2}},
            "config has 'level', which is no setting; did you mean 'levels'",
        ),
        ({"config": {"shape": (4,)}}, "config has 'shape', which is no setting; choose among K, "),
        ({"callbacks": print}, "callbacks is <built-in function print>; give a list of them"),
        ({"callbacks": ["bar"]}, "a callback is 'bar'; give a function of the run"),
        ({"n_init": 0}, "n_init is 0; it must be at least 1"),
        ({"n_init": "3"}, "n_init is '3'; it must be a whole number"),
        ({"columns": {"x9": "count"}}, "X has no column 'x9', whose kind is given; it has 'x0'"),
        ({"columns": {"x0": "count"}}, "in column 'x0', which is count and takes numbers from 0"),
        ({"columns": {"x0": "years"}}, "kind of column 'x0' is 'years'"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, sentence):
    with pytest.raises(UserError, match=sentence) as found:
        tiny(**options).fit(X)
    assert "\n" not in str(found.value)


TABLE = pandas.DataFrame({"a": X[:, 0], "b": np.where(GROUP > 0, "u", "v")})


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (TABLE.assign(c=None), r"'c' of X has no value at all"),
        (TABLE.assign(c=[1, "x"] * 60), "X has a column that mixes types"),
        (TABLE.assign(c=np.inf), "'c' of X holds infinity in row 0"),
        (TABLE.assign(c=[f"t{i}" for i in range(120)]).iloc[:0], "X has 0 samples; at least 2"),
        (TABLE.set_axis(["a", "a"], axis=1), "two columns with the name 'a'"),
        (TABLE.assign(c=pandas.Timestamp("2020-01-01")), "neither a number nor a category"),
    ],
)
def test_tables_that_cannot_be_learned_from_are_refused(given, sentence):
    with pytest.raises((UserError, ValueError), match=sentence) as found:
        tiny().fit(given)
    assert "\n" not in str(found.value)


def test_a_new_category_is_refused():
    model = tiny().fit(TABLE)
    with pytest.raises(UserError, match="'b' of X holds 'w', which the model has not seen"):
        model.predict(TABLE.assign(b="w"))
    with pytest.raises(UserError, match="'a' of X holds 'x'"):
        model.predict(TABLE.assign(a="x"))
    missing = TABLE.assign(b=None)
    assert model.predict(missing).shape == (120,)


def test_imputing_needs_a_table():
    with pytest.raises(UserError, match="'gaussian' knows no missing values"):
        tiny().fit(X).impute(X)
