"""Epochs of several seeds as compiled programs."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cpvae_jax import Config, Training, devices, objectives
from cpvae_jax.keys import to_numbers
from cpvae_jax.models import start
from cpvae_jax.registry import OBJECTIVES
from cpvae_jax.training import program, step
from tests.training.states import copy, only, with_seed


@pytest.fixture(scope="module")
def one(runs):
    return runs[1]


@pytest.mark.parametrize("R", [1, 3])
def test_several_epochs_compile_once(R, runs):
    assert max(runs[R].compilations) <= 1  # 0 if another test has trained alike


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(one, runs, assert_same_bits):
    again = one.states[0]
    for number in range(2):
        again, metrics = one.epoch(again)
        assert_same_bits(again, one.states[number + 1])
        assert_same_bits(metrics, one.metrics[number])
    states = runs[3].states
    for number in (0, 1):
        kernel = states[number].params.weights["decoder"]["output"]["kernel"]
        a, b = (kernel[seed] for seed in (0, 1))
        assert np.all(a != b)


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_trained_beside_others_is_that_seed_alone(seed, one, runs):
    """To 1e-4 after two epochs: sums in another order, which Adam's first steps enlarge."""
    beside = runs[3].states
    alone = only(beside[0], jnp.array([seed]))
    for _ in range(2):
        alone, metrics = one.epoch(alone)
    chex.assert_trees_all_close(
        only(alone.params), only(beside[2].params, seed), rtol=1e-4, atol=1e-4
    )
    together = runs[3].metrics[1]
    for name, value in metrics.items():
        np.testing.assert_allclose(value[0], together[name][seed], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("together", [True, False])
def test_seeds_together_or_in_turn_get_what_each_gets_alone(one, runs, data, together):
    plan = devices.Plan(together=together)
    trainer = program.program(one.training, one.steps, plan=plan)
    state = runs[3].states[1]
    found = trainer.run(copy(state), data)
    for seed in range(3):
        alone = jax.tree.map(lambda a: a[None], only(state, seed))
        expected = one.program.run(copy(alone), data)
        mine = only(found, seed), only(expected)
        chex.assert_trees_all_close(*map(to_numbers, mine), rtol=1e-5, atol=1e-6)


def test_equal_trainings_share_a_program_until_a_part_of_theirs_is_replaced():
    made = program.program(Training(batch_size=7), 2)
    assert program.program(Training(batch_size=7), 2) is made
    for other in ((Training(batch_size=8), 2), (Training(batch_size=7), 3)):
        assert program.program(*other) is not made
    assert program.program(Training(batch_size=7), 2, optimiser=optax.sgd(0.1)) is not made

    def again(training):
        return OBJECTIVES["bound"](training)

    def another(training):
        return OBJECTIVES["bound"](training)

    programs = []
    try:
        for part in (again, again, another):
            objectives.register("again", part)
            programs.append(program.program(Training(objective="again"), 2))
            OBJECTIVES.forget("again")
    finally:
        OBJECTIVES.forget("again")
    assert programs[0] is programs[1]
    assert programs[0] is not programs[2]


def test_training_is_finished_when_every_seed_has_stopped_or_the_last_epoch_is_done(one, runs):
    state = with_seed(one.states[0], 0, best_bound=jnp.inf)
    rounds = 0
    while not program.finished(state, one.training):
        state, _ = one.epoch(state)
        rounds += 1
    assert rounds == one.training.warmup + one.training.patience
    few = Training(epochs=2)
    assert program.finished(one.states[2], few)
    assert not program.finished(one.states[1], few)
    three = runs[3].states[0]
    assert not program.finished(three.replace(stopped=jnp.array([True, False, True])), few)
    assert program.finished(three.replace(stopped=jnp.full(3, True)), few)


def test_a_huge_learning_rate_does_not_harm_the_best(one):
    """Whatever the parameters become, the best are finite, and the best that there ever were."""
    trainer = program.program(Training(learning_rate=1e6, batch_size=8, warmup=0), one.steps)
    state, bounds = copy(one.states[0]), [-np.inf]
    for _ in range(5):
        state, metrics = program.advance(trainer, state, one.data, one.valid)
        bounds.append(metrics["valid_bound"][0])
    assert np.abs(state.params.weights["prior"]["mean"]).max() > 1e5
    chex.assert_tree_all_finite(state.best)
    assert state.best_bound[0] == np.nanmax(bounds) == bounds[int(state.best_epoch[0])]


@pytest.mark.parametrize("model", ["cp", "vp"])
def test_each_seed_starts_as_it_does_alone(model, data, assert_same_bits):
    config = Config.of_model(model, shape=(3,), K=2, latent=1, hidden=(4,), binarise="none")
    keys = jax.random.split(jax.random.key(3), 2)
    begun = program.begin(program.program(Training(), 2), keys, config, data)
    for seed, key in enumerate(keys):
        fresh = start.init(step.streams(key).init, config, data)
        assert_same_bits(only(begun.params, seed), fresh)
        assert_same_bits(only(begun.best, seed), fresh)


def test_every_seed_starts_from_given_parameters(one, params, assert_same_bits):
    keys = jax.random.split(jax.random.key(3), 2)
    begun = program.begin(one.program, keys, params.config, given=params)
    for seed in range(2):
        assert_same_bits(only(begun.params, seed), params)
    state, _ = program.advance(one.program, begun, one.data, one.valid)
    chex.assert_tree_all_finite((params.weights, state.params.weights))  # not used up


def test_the_description_of_a_state_is_one_short_line(runs):
    for run in runs.values():
        text = repr(run.states[-1])
        assert text.startswith("TrainState(")
        assert "\n" not in text
        assert len(text) < 120
        assert "K=2" in text
