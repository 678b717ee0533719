"""Averages of the weights: their formula, the steps that count, what is kept, and runs that go on."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cpvae_jax import Config, Rows, Training, UserError, devices, fit, load
from cpvae_jax.storage import run_folder
from cpvae_jax.training import averaging, program, step, validation
from tests.training.states import copy, only, without_aggregate

CONFIG = Config(shape=(3,), K=2, latent=1, hidden=(4,), binarise="none")
TRAINING = Training(
    learning_rate=1e-2, batch_size=8, warmup=1, epochs=3, temperature_epochs=1, averaging=0.7
)
KEYS = jax.random.split(jax.random.key(5))


def fitted(data, valid, *, key=KEYS, training=TRAINING, **options):
    return fit(key, CONFIG, data, valid, recipe=training, callbacks=[], **options)


def mean_of(weights, decay):
    """The average by its definition in float64, with factors that sum to 1."""
    factors = decay ** np.arange(len(weights))[::-1]
    factors /= factors.sum()
    return jax.tree.map(lambda *all: np.tensordot(factors, np.float64(all), 1), *weights)


# The formula


@pytest.mark.parametrize("decay", [1e-3, 0.5, 0.9, 0.9999])
@pytest.mark.parametrize("optimiser", [optax.adam(0.1), optax.sgd(0.5, momentum=0.9)])
def test_the_average_is_that_of_all_weights_after_a_step(decay, optimiser):
    """The first weights have no part in it, however few steps there are."""
    rng = np.random.default_rng(0)
    weights = {"a": jnp.float32(rng.normal(size=3)), "b": [jnp.float32(100.0)]}
    ours, plain = averaging.averaged(optimiser, decay), optimiser
    state, alone = ours.init(weights), plain.init(weights)
    chex.assert_trees_all_equal(state.average, weights)
    seen = []
    for number in range(12):
        slopes = jax.tree.map(lambda w: jnp.float32(rng.normal(size=w.shape)), weights)
        updates, state = ours.update(slopes, state, weights)
        expected, alone = plain.update(slopes, alone, weights)
        chex.assert_trees_all_equal((updates, state.inner), (expected, alone))
        weights = optax.apply_updates(weights, updates)
        seen.append(weights)
        assert int(state.steps) == number + 1
        chex.assert_trees_all_close(
            state.average, jax.tree.map(np.float32, mean_of(seen, decay)), rtol=1e-5, atol=1e-5
        )
        if number == 0:
            chex.assert_trees_all_close(state.average, weights, rtol=1e-6)


def test_the_average_of_many_equal_weights_is_they():
    """A million steps at a decay near 1: neither the correction nor rounding moves it."""
    ours = averaging.averaged(optax.sgd(0.0), 0.9999)
    weights = jnp.float32(np.random.default_rng(0).normal(size=8))
    state = ours.init(weights)._replace(steps=jnp.int32(10**6))
    for _ in range(3):
        _, state = ours.update(jnp.zeros(8), state, weights)
    np.testing.assert_allclose(state.average, weights, rtol=1e-6)


def test_weights_without_an_average_are_themselves(params):
    assert averaging.of(params, optax.adam(1.0).init(params.weights)) is params


# Training


@pytest.fixture(scope="module")
def epochs(data, valid):
    """The states of two seeds after 0 to 4 epochs of one step each, and the metrics."""
    training = Training(**{**vars(TRAINING), "batch_size": 20})
    trainer = program.program(training, 1)
    states, metrics = [program.begin(trainer, KEYS, CONFIG, data)], []
    for _ in range(4):
        state, found = program.advance(trainer, copy(states[-1]), data, valid)
        states.append(state)
        metrics.append(found)
    return states, metrics


def test_training_averages_the_weights_of_each_seed(epochs):
    states, _ = epochs
    for number in range(1, 5):
        for seed in range(2):
            weights = [only(state.params, seed).weights for state in states[1 : number + 1]]
            expected = jax.tree.map(np.float32, mean_of(weights, TRAINING.averaging))
            found = only(states[number].opt_state.average, seed)
            chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-6)


def test_the_optimiser_moves_the_weights_as_it_does_without_an_average(epochs, data):
    training = Training(**{**vars(TRAINING), "batch_size": 20, "averaging": 0.0})
    trainer = program.program(training, 1)
    state = program.begin(trainer, KEYS, CONFIG, data)
    state, _ = trainer.run(state, data)
    chex.assert_trees_all_close(state.params, epochs[0][1].params, rtol=1e-5, atol=1e-6)
    assert not isinstance(state.opt_state, averaging.Averaged)


def test_the_averaged_weights_are_validated_and_kept(epochs, valid, assert_same_bits):
    states, metrics = epochs
    score = jax.jit(lambda *given: validation.validate(*given, mesh=None))
    for seed in range(2):
        bounds = []
        for state, found in zip(states[1:], metrics, strict=True):
            own = only(state, seed)
            averaged = own.params.with_weights(own.opt_state.average)
            key = step.streams(own.key).valid
            bounds.append(float(found["valid_bound"][seed]))
            assert bounds[-1] == pytest.approx(
                float(score(averaged, key, valid)[0]["bound"]), abs=1e-5
            )
            raw = float(score(own.params, key, valid)[0]["bound"])
            if state is not states[1]:
                assert abs(bounds[-1] - raw) > 1e-4  # else the test tells nothing
        best = states[1 + int(np.argmax(bounds))]
        kept = only(states[-1].best, seed)
        expected = only(best.params, seed).with_weights(only(best.opt_state.average, seed))
        assert_same_bits(without_aggregate(kept), without_aggregate(expected))


def test_constants_of_the_data_are_not_averaged():
    real = np.random.default_rng(0).normal(5, 3, (20, 3)).astype(np.float32)
    config = Config((3,), 2, 1, (4,), likelihood="gaussian")
    result = fit(KEYS[0], config, real, real, recipe=TRAINING, callbacks=[])
    stats = only(result.state.params).stats
    chex.assert_trees_all_equal(result.params.stats["likelihood"], stats["likelihood"])


@pytest.mark.parametrize("branch", [True, False])
def test_a_skipped_step_does_not_move_the_average(branch, data, assert_same_bits):
    """One bad step of two: the average is that of the good one alone."""
    trainer = program.program(TRAINING, 2, plan=devices.Plan(branch=branch))
    begun = program.begin(trainer, KEYS[:1], CONFIG, data)
    bad, tally = trainer.run(copy(begun), jnp.full_like(data, jnp.nan))
    assert tally["skipped"].tolist() == [2]
    assert_same_bits(bad.opt_state, begun.opt_state)
    order = np.asarray(jax.random.permutation(step.epoch_keys(only(begun))[0], len(data)))
    half, tally = trainer.run(copy(begun), data.at[order[0]].set(jnp.nan))
    assert tally["skipped"].tolist() == [1]
    assert half.opt_state.steps.tolist() == [1]
    chex.assert_trees_all_close(half.opt_state.average, half.params.weights, rtol=1e-6)


def test_any_optimiser_is_averaged(data, valid):
    """With the weights at hand, as weight decay needs them."""
    result = fitted(data, valid, optimiser=optax.adamw(1e-2, weight_decay=0.1))
    assert isinstance(result.state.opt_state, averaging.Averaged)
    gap = jax.tree.map(
        lambda a, b: np.abs(a - b).max(),
        result.state.opt_state.average,
        result.state.params.weights,
    )
    assert min(jax.tree.leaves(gap)) > 0


def test_a_start_of_the_categories_keeps_no_average(data, valid):
    """The candidates hand over their weights; the average begins with the training after them."""
    training = Training(
        **{**vars(TRAINING), "start": "kmeans", "start_epochs": 2, "batch_size": 20, "epochs": 1}
    )
    state = fitted(data, valid, training=training).state
    assert state.opt_state.steps.tolist() == [1, 1]
    chex.assert_trees_all_close(state.opt_state.average, state.params.weights, rtol=1e-6)


# Runs that go on


@pytest.mark.parametrize(
    ("streamed", "optimiser"), [(False, None), (True, optax.sgd(1e-2))], ids=["memory", "streamed"]
)
def test_a_resumed_run_has_the_bits_of_one_without_a_break(
    streamed, optimiser, data, valid, tmp_path, assert_same_bits
):
    train = Rows([np.asarray(data)]) if streamed else data
    straight = fitted(train, valid, optimiser=optimiser)
    short, folder = Training(**{**vars(TRAINING), "epochs": 1}), tmp_path / "run"
    fitted(train, valid, training=short, optimiser=optimiser, folder=folder)
    resumed = fitted(train, valid, optimiser=optimiser, folder=folder, resume=True)
    assert_same_bits(resumed.state, straight.state)
    assert_same_bits(resumed.seeds, straight.seeds)
    best = program.best_seed(resumed.state)
    assert_same_bits(
        without_aggregate(load(folder)), without_aggregate(only(resumed.state.best, best))
    )


def test_a_run_of_an_earlier_version_is_continued_without_an_average(data, valid, tmp_path):
    folder, plain = tmp_path / "run", Training(**{**vars(TRAINING), "averaging": 0.0})
    fitted(data, valid, training=plain, folder=folder)
    settings = json.loads((folder / run_folder.CONFIG).read_text())
    for name in ("averaging", "free_bits"):
        assert settings["training"].pop(name) == 0
    (folder / run_folder.CONFIG).write_text(json.dumps(settings))
    assert fitted(data, valid, training=plain, folder=folder, resume=True).history == []
    with pytest.raises(UserError, match=r"other settings \(different: training\)"):
        fitted(data, valid, folder=folder, resume=True)
