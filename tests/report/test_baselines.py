"""k-means and a Gaussian mixture beside the scores of a model."""

from dataclasses import replace

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Training
from cpvae_jax.data import Dataset, Rows
from cpvae_jax.evaluation.estimates import bound_terms
from cpvae_jax.report import agreement, baselines

SHIFT, SCALE = np.array([1e4, -3.0]), np.array([20.0, 1e-3])


def drawn(num, seed):
    """Two groups in columns of very different units, their groups, and the true log-density."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 2, num)
    centre = 6.0 * group[:, None] - 3
    u = centre + rng.normal(size=(num, 2))
    each = [-0.5 * np.sum((u - c) ** 2, axis=1) - np.log(2 * np.pi) for c in (-3, 3)]
    log_prob = np.logaddexp(*each) - np.log(2) - np.log(SCALE).sum()
    return SHIFT + SCALE * u, group, log_prob


def made(**changes):
    (train, of_train, _), (test, of_test, _) = drawn(3000, 0), drawn(1000, 1)
    data = Dataset("made", train, test, test, of_train, None, of_test, "real", "made")
    return replace(data, **changes)


def model(data, K=2, **how):
    how = {"likelihood": "gaussian", "latent": 2, "hidden": (4,), **how}
    config = cpvae_jax.Config(shape=data.shape, K=K, **how)
    return cpvae_jax.initialise(jax.random.key(0), config, data.train)


@pytest.fixture(scope="module")
def found():
    data = made()
    return baselines.of_data(model(data), data)


def test_both_are_scored_as_the_model_is(found):
    assert list(found) == ["kmeans", "mixture"]
    _, group, _ = drawn(1000, 1)
    for one in found.values():
        assert one.scores["accuracy_hungarian"] == np.mean(one.correct) > 0.99
        assert one.scores["majority_from"] == "training"
        assert one.scores["majority_examples"] == one.scores["rows"] == 3000
        assert {"accuracy_majority", "nmi", "ari", "columns", "restarts", "seconds"} < set(
            one.scores
        )
        assert len(one.correct) == len(group)


def test_the_density_of_the_mixture_is_that_of_the_users_unit(found):
    """As is the bound of a Gaussian likelihood, which it stands beside."""
    _, _, truth = drawn(1000, 1)
    density = found["mixture"].scores["log_density"]
    assert density["mean"] == pytest.approx(np.mean(truth), abs=0.02)
    assert density["standard_error"] == pytest.approx(np.std(truth) / np.sqrt(1000), rel=0.05)
    assert "log_density" not in found["kmeans"].scores


def test_the_density_changes_with_the_unit_as_the_bound_does():
    data = made()
    other = replace(
        data, **{part: 1000 * getattr(data, part) for part in ("train", "valid", "test")}
    )
    bounds, densities = [], []
    for one in (data, other):
        params = model(one)
        bounds.append(bound_terms(params, jax.random.key(1), one.test)["bound"].mean())
        densities.append(baselines.of_data(params, one)["mixture"].scores["log_density"]["mean"])
    assert bounds[1] - bounds[0] == pytest.approx(-2 * np.log(1000), abs=1e-3)
    assert densities[1] - densities[0] == pytest.approx(-2 * np.log(1000), abs=1e-3)


def test_without_labels_there_is_only_the_density():
    data = made(train_labels=None, test_labels=None)
    found = baselines.of_data(model(data), data)
    assert list(found) == ["mixture"]
    assert {"log_density", "rows", "columns", "restarts", "seconds"} == set(found["mixture"].scores)
    beside = baselines.beside(found, np.zeros(0, bool))
    assert "ahead" not in beside["mixture"]
    assert baselines.summary(beside).startswith("on the same rows: log-density of the Gaussian")


def test_grey_levels_have_no_density_and_may_have_no_label(grey):
    few = {"train": grey.train[:100], "train_labels": grey.train_labels[:100]}
    data = replace(grey, **few)
    params = model(data, likelihood="bernoulli")
    found = baselines.of_data(params, data)
    assert all("log_density" not in one.scores for one in found.values())
    assert found["kmeans"].scores["columns"] == 64
    assert found["mixture"].scores["columns"] == 50
    assert baselines.of_data(params, replace(data, test_labels=None)) == {}
    unlabelled = replace(data, test_labels=np.full(len(data.test), -1))
    beside = baselines.beside(baselines.of_data(params, unlabelled), np.zeros(0, bool))
    assert beside["kmeans"]["unlabelled"] == len(data.test)
    assert baselines.summary(beside) == ""


def test_a_model_with_one_category_has_no_baseline():
    data = made()
    assert baselines.of_data(model(data, K=1), data) == {}
    assert baselines.of_data(model(data, K=1, prior="vae"), data) == {}


def test_rows_on_the_disk_give_the_same(found):
    data = made()
    rows = replace(data, train=Rows([data.train[:1000], data.train[1000:]]))
    again = baselines.of_data(model(data), rows)
    for name, one in found.items():
        scores = {**one.scores, "seconds": again[name].scores["seconds"]}
        assert again[name].scores == scores


def test_large_data_are_sampled(monkeypatch):
    data = made()
    monkeypatch.setattr(baselines, "MOST_ROWS", {"kmeans": 500, "mixture": 200})
    found = baselines.of_data(model(data), data)
    assert [one.scores["rows"] for one in found.values()] == [500, 200]
    assert all(one.scores["accuracy_hungarian"] > 0.99 for one in found.values())
    monkeypatch.setattr(baselines, "MOST_NUMBERS", 60)
    assert baselines.of_data(model(data), data)["kmeans"].scores["rows"] == 30


def test_fewer_rows_than_categories_are_told():
    data = made(train=made().train[:4], train_labels=made().train_labels[:4])
    found = baselines.of_data(model(data, K=6), data)
    assert found["kmeans"].scores == {"left_out": "4 training rows are fewer than K = 6"}
    assert baselines.summary(baselines.beside(found, np.ones(1000, bool))) == ""


@pytest.mark.parametrize("train", [np.zeros((50, 2)), np.repeat([[0.0, 1.0], [1.0, 0.0]], 25, 0)])
def test_rows_with_few_distinct_values_warn_of_nothing(train):
    """Warnings are errors here, and scikit-learn has some about these rows."""
    data = made(
        train=train, train_labels=np.zeros(50, int), test=train, test_labels=np.zeros(50, int)
    )
    found = baselines.of_data(model(data, K=5), data)
    assert all("accuracy_hungarian" in one.scores for one in found.values())


def test_a_difference_is_paired():
    ours = np.array([True] * 60 + [False] * 40)
    theirs = np.array([True] * 70 + [False] * 30)
    one = agreement.Agreement({"accuracy_hungarian": 0.7}, theirs)
    found = baselines.beside({"kmeans": one}, ours)["kmeans"]
    assert found["ahead"]["mean"] == pytest.approx(0.1)
    # Of 100 differences, ten are 1: far less than the error of two independent accuracies, 0.07.
    assert found["ahead"]["standard_error"] == pytest.approx(np.sqrt(0.1 * 0.9 / 99))
    scores = {"clustering": {"accuracy_hungarian": 0.6}, "baselines": {"kmeans": found}}
    (sentence,) = baselines.doubts(scores)
    assert "k-means agrees better" in sentence
    assert "0.700 against 0.600" in sentence
    assert "--start kmeans" in sentence


@pytest.mark.parametrize(
    ("ahead", "error"), [(0.01, 0.006), (-0.2, 0.01), (0.0, 0.0), (0.5, np.nan)]
)
def test_a_difference_within_two_errors_is_no_doubt(ahead, error):
    one = {"accuracy_hungarian": 0.7, "ahead": {"mean": ahead, "standard_error": error}}
    scores = {"clustering": {"accuracy_hungarian": 0.69}, "baselines": {"mixture": one}}
    assert baselines.doubts(scores) == []
    assert baselines.doubts({}) == []


@pytest.mark.parametrize(
    ("training", "advice"),
    [
        (Training(), "--recipe modes, more --epochs, several --seeds or start from its partition"),
        (
            Training(regularisers=(("balance", 4.0),), start="regularisers"),
            "Try more --epochs, several --seeds or start from its partition with --start kmeans.",
        ),
        (
            Training(regularisers=(("balance", 4.0),), start="kmeans"),
            "Try more --epochs or several --seeds.",
        ),
    ],
)
def test_nothing_is_advised_that_was_done_already(training, advice):
    one = {"accuracy_hungarian": 0.9, "ahead": {"mean": 0.2, "standard_error": 0.01}}
    scores = {"clustering": {"accuracy_hungarian": 0.6}, "baselines": {"kmeans": one}}
    (sentence,) = baselines.doubts(scores, training)
    assert advice in sentence


def test_the_better_of_two_baselines_is_named():
    ahead = {"mean": 0.2, "standard_error": 0.01}
    of = {
        n: {"accuracy_hungarian": a, "ahead": ahead} for n, a in (("kmeans", 0.8), ("mixture", 0.9))
    }
    found = baselines.doubts({"clustering": {"accuracy_hungarian": 0.6}, "baselines": of})
    assert len(found) == 1
    assert "--start mixture" in found[0]
    assert baselines.summary(of) == (
        "on the same rows: k-means 0.800, Gaussian mixture 0.900 (Hungarian)"
    )
