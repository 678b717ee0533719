"""`fit`: data, recipes, optimisers, starts, run folders, and what it returns."""

import json
import logging
import signal
import threading
import warnings
from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import cpvae_jax
from cpvae_jax import Config, Training, UserError, fit, priors
from cpvae_jax.data import dataset
from cpvae_jax.models import start
from cpvae_jax.registry import PRIORS, RECIPES
from cpvae_jax.storage import run_folder
from cpvae_jax.training import recipe, step
from cpvae_jax.training.fit import finish
from tests.training.states import only, without_aggregate

CONFIG = Config(shape=(3,), K=2, latent=1, hidden=(4,), binarise="none")
TRAINING = Training(learning_rate=1e-2, batch_size=8, warmup=1, epochs=3)
REAL = Config(shape=(3,), K=2, latent=1, hidden=(4,), likelihood="gaussian")


def fitted(data, valid=None, key=0, seeds=None, config=CONFIG, **options):
    """A short training without a progress bar."""
    keys = jax.random.key(key) if seeds is None else jax.random.split(jax.random.key(key), seeds)
    options = {"recipe": TRAINING, "callbacks": [], **options}
    return fit(keys, config, data, valid, **options)


@pytest.fixture(scope="module")
def result(data, valid):
    """One seed, trained without anything special."""
    return fitted(data, valid)


@pytest.fixture(scope="module")
def single(data, valid):
    """K = 1 and two seeds; and the metrics that a callback saw."""
    seen = []
    config = Config(shape=(3,), K=1, latent=1, hidden=(4,), binarise="none")
    training = Training(learning_rate=1e-2, batch_size=4, warmup=0, epochs=20, estimator="exact")
    result = fit(
        jax.random.split(jax.random.key(0)),
        config,
        data,
        valid,
        recipe=training,
        callbacks=[lambda run: seen.append(dict(run.metrics))],
    )
    return result, seen


# What it returns


def test_one_category_moves_its_prior_away_from_the_standard_normal(single):
    prior = single[0].state.params.weights["prior"]
    chex.assert_shape([prior["mean"], prior["log_var"]], (2, 1, 1))
    assert np.all(np.abs(prior["mean"]) > 0.01)
    assert np.all(np.abs(prior["log_var"]) > 0.01)


def test_fit_returns_the_best_of_its_seeds_and_the_history_of_all(single, assert_same_bits):
    result, seen = single
    assert len(seen) == 20
    chex.assert_tree_shape_prefix(seen, (2,))
    assert [(row["epoch"], row["seed"]) for row in result.history] == [
        (epoch, seed) for epoch in range(1, 21) for seed in (0, 1)
    ]
    for row in result.history:
        metrics = seen[row["epoch"] - 1]
        assert row.keys() == {*metrics, "seed", "seconds"}
        for name, values in metrics.items():
            assert row[name] == values[row["seed"]], name
    bounds = np.array([m["valid_bound"] for m in seen])
    np.testing.assert_allclose(result.state.best_bound, bounds.max(axis=0))
    winner = bounds.max(axis=0).argmax()
    assert_same_bits(
        without_aggregate(result.params), without_aggregate(only(result.state.best, winner))
    )
    assert len(result.seeds) == 2
    for seed in (0, 1):
        assert_same_bits(
            without_aggregate(result.seeds[seed]), without_aggregate(only(result.state.best, seed))
        )
    assert_same_bits(result.seeds[winner], result.params)
    assert result.stopped is None
    rises = [m["train_bound"].mean() for m in seen]
    assert np.mean(rises[-3:]) > np.mean(rises[:3])


def test_the_history_is_a_plain_table(single):
    """One row per epoch and seed, and only numbers that JSON can hold."""
    history = single[0].history
    assert all(type(value) in (int, float, bool) for row in history for value in row.values())
    assert all(row.keys() == history[0].keys() for row in history)
    assert json.loads(json.dumps(history)) == history
    try:
        import pandas
    except ImportError:
        return
    table = pandas.DataFrame(history)
    assert len(table) == 40
    assert not any(dtype.kind == "O" for dtype in table.dtypes)


def test_the_description_of_a_result_is_one_short_line(single, result):
    for found, epochs in ((single[0], 20), (result, 3)):
        text = repr(found)
        assert text.startswith("Fit(Params(cp, K=")
        assert f"{epochs} epochs, best validation bound {found.state.best_bound.max():.2f}" in text
        assert "\n" not in text
        assert len(text) < 150


def test_the_aggregate_of_the_finished_model_is_over_the_training_data(
    result, runs, data, reference
):
    for params in (result.params, finish(runs[1].states[-1], data)):
        probs = reference(params).posterior(np.asarray(data))[0]
        np.testing.assert_allclose(params.aggregate, probs.mean(axis=0), rtol=1e-5)


def test_a_fit_that_diverges_warns_and_returns_the_best_before(data, valid):
    config = Config(shape=(3,), K=1, latent=1, hidden=(4,), binarise="none")
    training = Training(learning_rate=1e30, batch_size=4, warmup=0, epochs=20, estimator="exact")
    with pytest.warns(
        RuntimeWarning, match="training diverged: 5 steps in a row in epoch 2"
    ) as caught:
        result = fitted(data, valid, config=config, recipe=training)
    assert caught[0].filename == __file__
    chex.assert_tree_all_finite(result.params)
    chex.assert_tree_all_finite(result.state.params)
    assert len(result.history) == 2


# Data


@pytest.mark.parametrize(
    ("which", "change", "sentence"),
    [
        (0, lambda x: x[:, :2], r"train has the shape \(20, 2\)"),
        (0, lambda x: x[:0], "train is empty"),
        (0, lambda x: x.at[3].set(jnp.nan), "train holds 3 numbers that are NaN"),
        (1, lambda x: x - 1, "valid ranges from -1 to 0"),
        (1, lambda x: x[:0], "valid is empty"),
    ],
)
def test_fit_refuses_data_that_the_model_cannot_take(which, change, sentence, data, valid):
    parts = [data, valid]
    parts[which] = change(parts[which])
    with pytest.raises(UserError, match=sentence):
        fitted(*parts)


def test_without_validation_data_a_tenth_is_held_out(data, assert_same_bits):
    many = jnp.concatenate([data, data[::-1]])
    kept, held, rest = dataset.split(40, valid=4, test=0, of="train")
    assert (len(kept), len(held), len(rest)) == (36, 4, 0)
    alone = fitted(many)
    given = fitted(many[kept], many[held])
    assert_same_bits(alone.state, given.state)
    assert_same_bits(alone.params, given.params)


# Recipes and optimisers


def test_a_recipe_sees_the_model_and_the_size_of_the_data(data, valid):
    seen = []

    def training(config, examples):
        seen.append((config, examples))
        return replace(TRAINING, epochs=1)

    own = recipe.Recipe(training, "one epoch")
    assert len(fitted(data, valid, recipe=own).history) == 1
    recipe.register("single-epoch", own)
    try:
        assert len(fitted(data, valid, recipe="single-epoch").history) == 1
    finally:
        RECIPES.forget("single-epoch")
    assert seen == [(CONFIG, 20)] * 2
    with pytest.raises(UserError, match="recipe is 'single-epoch'; choose one of paper, short"):
        fitted(data, valid, recipe="single-epoch")


@pytest.mark.parametrize(("prior", "name"), [("cp", "modes"), ("vp", "paper")])
def test_the_default_recipe_follows_the_modes_if_categories_are_inferred(data, valid, prior, name):
    config = replace(CONFIG, prior=prior)

    def stop(run):
        assert run.training == recipe.resolve(name, config, len(data))
        run.stop("seen")

    result = fit(jax.random.key(0), config, data, valid, callbacks=[stop])
    assert result.stopped == "seen"


@pytest.mark.parametrize(
    "optimiser",
    [
        optax.adamw(1e-2, weight_decay=0.5),
        optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1, momentum=0.9)),
    ],
    ids=["adamw", "clipped sgd"],
)
def test_any_optimiser_trains_and_leaves_the_constants_of_the_data(
    optimiser, data, valid, assert_same_bits
):
    x, y = (np.asarray(a) * [1, 5, 25] + 3 for a in (data, valid))
    result = fitted(x, y, config=REAL, optimiser=optimiser)
    begin = start.init(step.streams(jax.random.key(0)).init, REAL, x)
    assert np.all(np.asarray(begin.stats["likelihood"]["scale"]) != 1)
    assert_same_bits(only(result.state.params.stats), begin.stats)
    assert_same_bits(result.params.stats["likelihood"], begin.stats["likelihood"])
    for a, b in zip(
        jax.tree.leaves(only(result.state.params.weights)),
        jax.tree.leaves(begin.weights),
        strict=True,
    ):
        assert np.any(a != b)


def test_a_weight_decay_alone_shrinks_every_weight_alike(data, valid, assert_same_bits):
    shrink = optax.chain(optax.add_decayed_weights(0.1), optax.scale(-1.0))
    decay = optax.chain(optax.scale(0.0), shrink)
    result = fitted(data, valid, optimiser=decay, recipe=replace(TRAINING, epochs=1))
    begin = start.init(step.streams(jax.random.key(0)).init, CONFIG, data)
    state = only(result.state)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, 0.9**2 * b, rtol=1e-6),
        state.params.weights,
        begin.weights,
    )
    assert_same_bits(state.params.stats, begin.stats)


# Where it starts


def test_init_is_where_training_starts(result, data, valid, assert_same_bits):
    before = jax.tree.map(np.asarray, result.params)
    found = fitted(data, valid, key=5, seeds=2, init=result.params, optimiser=optax.sgd(0.0))
    for seed in range(2):
        assert_same_bits(only(found.state.params, seed), before)
    assert_same_bits(result.params, before)  # still readable
    longer = fitted(data, valid, key=5, init=result.params)
    start_bound = found.history[0]["valid_bound"]
    assert longer.history[-1]["valid_bound"] > start_bound - 0.1
    with pytest.raises(
        UserError, match=r"init is a model with the configuration.*give init.config"
    ):
        fitted(data, valid, config=replace(CONFIG, K=3), init=result.params)


def test_a_prior_may_start_from_the_data_and_the_encoder(data, valid, assert_same_bits):
    """Eagerly, with numpy, once per seed."""
    calls = []

    def init(key, config, start):
        assert not isinstance(key, jax.core.Tracer)
        chosen = np.asarray(start.data)[np.random.default_rng(0).integers(0, 20, config.K)]
        mean, log_var = (np.array(a) for a in start.encode(start.inputs(chosen)))
        calls.append(mean)
        return {"mean": jnp.asarray(mean + 1), "log_var": jnp.asarray(log_var)}

    priors.register("data-dependent", priors.of(CONFIG)._replace(init=init))
    try:
        config = replace(CONFIG, prior="data-dependent")
        found = fitted(data, valid, config=config, seeds=2, optimiser=optax.sgd(0.0))
        prior = found.state.params.weights["prior"]
        assert len(calls) == 2
        assert np.any(calls[0] != calls[1])
        np.testing.assert_array_equal(prior["mean"], np.stack(calls) + 1)
        trained = fitted(data, valid, config=config, seeds=2)
        assert np.all(np.isfinite([row["valid_bound"] for row in trained.history]))
    finally:
        PRIORS.forget("data-dependent")


# Run folders


@pytest.mark.parametrize("seeds", [None, 2])
def test_a_resumed_training_gives_the_same_bits_as_one_without_a_break(
    seeds, data, valid, assert_same_bits, tmp_path
):
    training = replace(TRAINING, epochs=5, decay_epochs=5)
    straight = fitted(data, valid, seeds=seeds, recipe=training, folder=tmp_path / "straight")
    broken = str(tmp_path / "broken")
    first = fitted(data, valid, seeds=seeds, recipe=replace(training, epochs=2), folder=broken)
    second = fitted(data, valid, seeds=seeds, recipe=training, folder=broken, resume=True)
    assert_same_bits(second.state, straight.state)
    assert_same_bits(second.params, straight.params)
    assert_same_bits(second.seeds, straight.seeds)

    def untimed(rows):
        return [{**row, "seconds": 0} for row in rows]

    assert untimed(first.history + second.history) == untimed(straight.history)
    logs = [
        untimed(run_folder.RunFolder(path).lines(run_folder.LOG))
        for path in (tmp_path / "broken", tmp_path / "straight")
    ]
    assert logs[0] == logs[1]
    assert [line["epoch"] for line in logs[0]] == [1, 2, 3, 4, 5]
    assert_same_bits(cpvae_jax.load(broken), straight.params)
    # A run that is complete has nothing more to do.
    third = fitted(data, valid, seeds=seeds, recipe=training, folder=broken, resume=True)
    assert third.history == []
    assert_same_bits(third.state, straight.state)
    assert_same_bits(third.seeds, straight.seeds)


def test_a_folder_gives_the_numbers_of_a_training_without_one(
    result, data, valid, assert_same_bits, tmp_path
):
    found = fitted(data, valid, folder=tmp_path / "run")
    assert_same_bits(found.state, result.state)
    assert_same_bits(cpvae_jax.load(tmp_path / "run"), result.params)
    with pytest.raises(UserError, match="already holds this run"):
        fitted(data, valid, folder=tmp_path / "run")
    with pytest.raises(UserError, match=r"other settings \(different: keys\)"):
        fitted(data, valid, key=1, folder=tmp_path / "run", resume=True)
    other = replace(TRAINING, learning_rate=0.1)
    with pytest.raises(UserError, match=r"other settings \(different: training\)"):
        fitted(data, valid, recipe=other, folder=tmp_path / "run", resume=True)
    with pytest.raises(UserError, match="holds no run to resume"):
        fitted(data, valid, folder=tmp_path / "nowhere", resume=True)
    with pytest.raises(UserError, match="resume needs the folder"):
        fitted(data, valid, resume=True)


# The process that it runs in


def test_fit_works_outside_the_main_thread(result, data, valid, assert_same_bits):
    found = []
    thread = threading.Thread(target=lambda: found.append(fitted(data, valid)))
    thread.start()
    thread.join()
    assert_same_bits(found[0].state, result.state)


def surroundings():
    """What a library must not change in its process."""
    loggers = [logging.getLogger(name) for name in (None, "absl", "jax", "orbax")]
    return {
        "loggers": [(log.level, log.disabled, tuple(log.filters)) for log in loggers],
        "disabled": logging.root.manager.disable,
        "warnings": list(warnings.filters),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "jax": dict(jax.config.values),
        "numpy": np.geterr(),
    }


def test_no_call_changes_the_process(data, valid, tmp_path):
    before = surroundings()
    during = []
    result = fitted(
        data,
        valid,
        folder=tmp_path / "run",
        callbacks=[lambda run: during.append(logging.getLogger("absl").level)],
    )
    cpvae_jax.save(tmp_path / "model", result.params)
    loaded = cpvae_jax.load(tmp_path / "model")
    cpvae_jax.sample(loaded, jax.random.key(0), category=1, num=2)
    cpvae_jax.encode(loaded, valid)
    cpvae_jax.bound_terms(loaded, jax.random.key(0), valid)
    with pytest.raises(UserError):
        cpvae_jax.load(tmp_path)
    fitted(data, valid, folder=tmp_path / "run", resume=True)
    assert surroundings() == before
    assert during == [before["loggers"][1][0]] * 3  # also while a run folder is open
