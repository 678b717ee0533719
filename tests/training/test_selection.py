"""`select` on small data."""

import signal

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Training, UserError
from cpvae_jax.evaluation.overlap import Merge
from cpvae_jax.keys import purpose
from cpvae_jax.training import examples, selection
from cpvae_jax.training.callbacks import Callback
from cpvae_jax.training.recipe import Recipe
from cpvae_jax.training.selection import DRAWS, select

CONFIG = Config(shape=(2,), latent=2, hidden=(16,), likelihood="gaussian")
BRIEF = Training(epochs=2, warmup=1, temperature_epochs=1)
QUIET: list = []


@pytest.fixture(scope="module")
def two():
    """Two clusters, 8 standard deviations apart."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 2)) + 8 * rng.integers(2, size=(600, 1))
    return x.astype(np.float32)


def test_two_clusters_are_found(two):
    recipe = Training(
        epochs=15,
        decay_epochs=15,
        warmup=5,
        temperature_epochs=5,
        learning_rate=1e-2,
        batch_size=60,
        start="kmeans",
        view="noise",
        regularisers=(("consistency", 20.0), ("balance", 8.0), ("certainty", 2.0)),
    )
    found = select(jax.random.key(0), CONFIG, two, K=[2, 3], recipe=recipe, callbacks=QUIET)
    assert found.categories == 2, found.table
    probs = np.asarray(cpvae_jax.predict(found.params, two))
    assert probs.shape == (600, 2)
    upper = two.sum(axis=1) > 8
    agree = np.mean(probs.argmax(axis=1) == upper)
    assert max(agree, 1 - agree) > 0.98


@pytest.fixture(scope="module")
def brief(two, tmp_path_factory):
    folder = tmp_path_factory.mktemp("selection") / "all"
    return folder, select(
        jax.random.key(3), CONFIG, two, K=[1, 3], recipe=BRIEF, folder=folder, callbacks=QUIET
    )


def test_all_models_see_the_same_examples_and_the_table_compares_their_bounds(two, brief):
    """From the same call of `fit` and of `bound_terms` by hand."""
    _, found = brief
    keys = jax.random.key(3)
    train, valid, *_ = examples.checked(CONFIG, two)
    bounds = []
    for K in (1, 3):
        config = cpvae_jax.Config(**{**CONFIG.to_dict(), "K": K})
        fit = cpvae_jax.fit(keys, config, train, valid, recipe=BRIEF, callbacks=QUIET)
        np.testing.assert_array_equal(fit.params.aggregate, found.fits[K].params.aggregate)
        key = purpose(keys, "selection")
        bounds.append(
            cpvae_jax.bound_terms(fit.params, key, valid, samples=-(-DRAWS // len(valid)))["bound"]
        )
    gap = bounds[1] - bounds[0]
    worse = found.table[0 if gap.mean() > 0 else 1]
    np.testing.assert_allclose(worse["behind"], abs(gap.mean()), rtol=1e-5)
    error = gap.std(ddof=1) / len(valid) ** 0.5
    np.testing.assert_allclose(worse["behind_error"], error, rtol=1e-5)
    assert [row["K"] for row in found.table] == [1, 3]
    assert found.K in (1, 3)


def test_a_finished_selection_is_read_and_not_trained_again(two, brief):
    folder, before = brief
    seen = []
    again = select(
        jax.random.key(3),
        CONFIG,
        two,
        K=[1, 3],
        recipe=BRIEF,
        folder=folder,
        resume=True,
        callbacks=[lambda run: seen.append(run.epoch)],
    )
    assert seen == []
    assert again.table == before.table
    assert again.merges == before.merges
    assert cpvae_jax.load(folder / "K003").config.K == 3


class InterruptAt(Callback):
    """Sends the signal of Ctrl-C in the first epoch of one K."""

    def __init__(self, K):
        self.K = K

    def epoch(self, run):
        if run.config.K == self.K:
            signal.raise_signal(signal.SIGINT)


def test_an_interrupted_selection_is_resumed(two, brief, tmp_path):
    _, whole = brief
    arguments = (jax.random.key(3), CONFIG, two)
    options = {"K": [1, 3], "recipe": BRIEF, "folder": tmp_path / "part"}
    with pytest.warns(RuntimeWarning, match="stopped after epoch 1"):
        part = select(*arguments, **options, callbacks=[InterruptAt(1)])
    assert part.stopped == "SIGINT"
    assert list(part.fits) == [1]
    trained = []
    found = select(
        *arguments,
        **options,
        resume=True,
        callbacks=[lambda run: trained.append((run.config.K, run.epoch))],
    )
    assert trained == [(1, 2), (3, 1), (3, 2)]
    assert (found.stopped, found.K, found.table) == (None, whole.K, whole.table)


def test_a_recipe_may_depend_on_the_number_and_starts_on_seeds(two):
    asked = []

    def training(config, examples):
        asked.append((config.K, examples))
        return BRIEF

    keys = jax.random.split(jax.random.key(0), 2)
    found = select(
        keys, CONFIG, two, K=range(2, 3), recipe=Recipe(training, "brief"), callbacks=QUIET
    )
    assert asked == [(2, 540)]
    assert len(found.fits[2].seeds) == 2


def test_auto_tries_numbers_that_the_rows_allow(two):
    found = select(jax.random.key(0), CONFIG, two[:80], recipe=BRIEF, callbacks=QUIET)
    assert [row["K"] for row in found.table] == [2, 3]  # 72 training rows, 20 per category


def test_overlapping_categories_are_merged_and_can_be_kept(two, brief, monkeypatch):
    mixed = np.array([[0.7, 0.3, 0.0], [0.3, 0.7, 0.0], [0.0, 0.0, 1.0]])
    monkeypatch.setattr(selection.overlap, "mixed_up", lambda params, key: mixed)
    arguments = (jax.random.key(3), CONFIG, two)
    options = {"K": 3, "recipe": BRIEF, "callbacks": QUIET}
    found = select(*arguments, **options)
    assert (found.K, found.categories) == (3, 2)
    assert found.params.config.groups == (0, 0, 1)
    assert found.merges == [Merge((0,), (1,), 0.3)]
    assert repr(found) == "Selection(K=3, 2 categories, of K = 3)"
    assert select(*arguments, **options, merge=False).categories == 3
    assert select(*arguments, **options, merge=0.31).categories == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": "all"}, "^K is 'all'; give the numbers of categories"),
        ({"K": [2, 601]}, "^K is 601, but there are 540 training examples"),
        (
            {"config": Config(shape=(2,), K=1, prior="vae")},
            "the prior 'vae' has a single component",
        ),
        ({"merge": -0.1}, "^merge is -0.1; it must be a positive number"),
        ({"resume": True}, "resume needs the folder of the selection"),
        ({"key": 7}, "^key is 7; give a random key"),
        ({"config": Config(shape=(3,))}, r"train has the shape \(600, 2\)"),
    ],
)
def test_mistakes_are_named_before_any_training(two, change, message):
    given = {"key": jax.random.key(0), "config": CONFIG, "train": two, **change}
    with pytest.raises(UserError, match=message):
        select(**given)
