"""An epoch: its steps, the check for finite numbers, validation, and early stopping."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cpvae_jax import Config, Training, devices
from cpvae_jax.keys import to_numbers
from cpvae_jax.models import start
from cpvae_jax.training import program, step, validation
from cpvae_jax.training.whole import Whole
from tests.training.states import copy, only, with_seed, without_aggregate


@pytest.fixture(scope="module")
def one(runs):
    return runs[1]


# An epoch


@pytest.mark.parametrize("R", [1, 3])
def test_states_and_metrics_have_an_axis_of_seeds(R, runs):
    run = runs[R]
    chex.assert_tree_shape_prefix([run.states[-1], run.metrics], (R,))
    chex.assert_trees_all_equal_shapes_and_dtypes(*run.states)
    terms = ("bound", "reconstruction", "kl_c", "kl_z")
    assert set(run.metrics[0]) == {
        *(f"{part}_{name}" for part in ("train", "valid") for name in terms),
        *("train_loss", "epoch", "beta", "temperature", "best_epoch", "stopped"),
        *("skipped", "skipped_reconstruction", "skipped_kl_c", "skipped_kl_z"),
    }
    for metrics in run.metrics:
        for part in ("train", "valid"):
            value = {name: metrics[f"{part}_{name}"] for name in terms}
            total = value["reconstruction"] - value["kl_c"] - value["kl_z"]
            np.testing.assert_allclose(value["bound"], total, rtol=1e-4, atol=1e-5)


def test_one_epoch_moves_every_array_and_the_priors_mean_and_variance(one):
    before, after = (only(state.params) for state in one.states[:2])
    for block in ("encoder", "heads", "prior", "decoder"):
        for name, a, b in zip(
            jax.tree.leaves_with_path(before.weights[block]),
            jax.tree.leaves(before.weights[block]),
            jax.tree.leaves(after.weights[block]),
            strict=True,
        ):
            assert np.any(a != b), name
    for name in ("mean", "log_var"):
        np.testing.assert_array_equal(before.weights["prior"][name], 0)
        assert np.all(np.abs(after.weights["prior"][name]) > 1e-4)


def test_constants_of_the_data_are_not_trained(one, assert_same_bits):
    assert_same_bits(one.states[0].params.stats, one.states[-1].params.stats)


def test_validation_counts_every_example_once(one, reference, valid):
    """The divergences are exact and need no draw; q(c) is that of the best parameters."""
    for state, metrics in zip(one.states[1:], one.metrics, strict=True):
        numpy = reference(only(state.params))
        for name, value in zip(("kl_c", "kl_z"), numpy.divergences(valid), strict=True):
            np.testing.assert_allclose(
                metrics[f"valid_{name}"], [value.mean()], rtol=1e-4, atol=1e-6
            )
        probs = reference(only(state.best)).posterior(valid)[0]
        np.testing.assert_allclose(state.best.aggregate[0], probs.mean(axis=0), rtol=1e-5)


def test_the_validation_bound_is_the_true_one_in_the_mean(one, reference, valid, assert_mean):
    params = only(one.states[-1].params)
    keys = jax.random.split(jax.random.key(0), 2000)
    validate = jax.jit(jax.vmap(partial(validation.validate, mesh=None), in_axes=(None, 0, None)))
    assert_mean(validate(params, keys, valid)[0]["bound"], reference(params).bound(valid).mean())


def test_metrics_contain_the_schedules(one):
    got = {name: [m[name][0] for m in one.metrics] for name in ("epoch", "beta", "temperature")}
    assert got["epoch"] == [1, 2, 3, 4]
    np.testing.assert_allclose(got["beta"], [0.5, 1, 1, 1])
    np.testing.assert_allclose(got["temperature"], [0.5**0.5, 0.5, 0.5, 0.5], rtol=1e-6)


def test_every_epoch_takes_every_example_once_in_a_fresh_order():
    """Steps that only record the examples they saw, by an objective that writes them down."""
    seen = []
    config = Config(shape=(1,), K=1, latent=1, hidden=(1,), likelihood="gaussian")
    training = Training(batch_size=4)

    def objective(params, key, batch, progress):
        jax.debug.callback(lambda x: seen.append(np.sort(np.asarray(x[:, 0]))), batch.x)
        return 0.0 * jnp.sum(params.weights["prior"]["mean"]), {}

    trainer = program.program(training, 3)
    state = program.begin(trainer, jax.random.split(jax.random.key(0), 1), config)
    run = jax.jit(partial(step.run, how=trainer.how._replace(objective=objective)))
    orders = []
    for number in range(2):
        seen.clear()
        state = state.replace(epoch=jnp.full(1, number))
        jax.block_until_ready(run(only(state), jnp.arange(12.0)[:, None]))
        jax.effects_barrier()
        assert len(seen) == 3
        np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(12))
        orders.append(np.concatenate(seen))
    assert np.any(orders[0] != orders[1])


def sources(run, *given):
    """What an objective gets of its source in each step: index, data of the index, and measured."""
    seen = []
    config = Config(shape=(1,), K=1, latent=1, hidden=(1,), likelihood="gaussian")
    trainer = program.program(Training(batch_size=4), 3)
    state = program.begin(trainer, jax.random.split(jax.random.key(0), 1), config)

    def objective(params, key, batch, progress):
        source = batch.source
        own = () if source.index is None else (source.index, source.data[source.index])
        jax.debug.callback(lambda *all: seen.append(all), batch.x, source.measured, *own)
        return 0.0 * jnp.sum(params.weights["prior"]["mean"]), {}

    how = trainer.how._replace(objective=objective)
    jax.block_until_ready(jax.jit(partial(run, how=how))(only(state), *given))
    jax.effects_barrier()
    return seen


def test_a_step_knows_the_rows_of_its_examples_and_what_was_measured():
    data = 10 + jnp.arange(12.0)[:, None]
    found = sources(step.run, Whole(data, {"radius": jnp.float32(7)}))
    assert len(found) == 3
    for x, measured, index, rows in found:
        np.testing.assert_array_equal(x[:, 0], 10 + index)
        np.testing.assert_array_equal(x, rows)
        assert measured["radius"] == 7
    for _, measured, index, _ in sources(step.run, data):
        assert measured is None
        assert len(index) == 4


def test_a_step_on_streamed_data_knows_what_was_measured_alone():
    window = jnp.arange(8.0).reshape(2, 4, 1)
    found = sources(step.run_window, window, jnp.float32(7), 0, 2)
    assert [len(seen) for seen in found] == [2, 2]
    assert [float(measured) for _, measured in found] == [7, 7]


# Stopping, and keeping the best


def test_the_best_is_that_of_the_best_epoch(runs, assert_same_bits):
    run = runs[3]
    bounds = np.array([m["valid_bound"] for m in run.metrics])
    state = run.states[-1]
    np.testing.assert_array_equal(state.best_epoch, bounds.argmax(axis=0) + 1)
    np.testing.assert_array_equal(state.best_bound, bounds.max(axis=0))
    for seed, number in enumerate(state.best_epoch):
        best = without_aggregate(only(state.best, seed))
        assert_same_bits(best, without_aggregate(only(run.states[int(number)].params, seed)))
    assert program.best_seed(state) == bounds.max(axis=0).argmax()
    assert_same_bits(program.best_params(state), only(state.best, program.best_seed(state)))
    assert_same_bits(program.best_params(state, 2), only(state.best, 2))


def test_a_seed_stops_after_its_patience_and_its_best_is_kept(runs, assert_same_bits):
    """Seed 1 has a bound that it cannot beat: two epochs of warm-up, then two to wait."""
    run = runs[3]
    state = with_seed(run.states[0], 1, best_bound=jnp.inf)
    kept = only(state.best, 1)
    stopped, waits = [], []
    for _ in range(4):
        state, metrics = run.epoch(state)
        stopped.append(metrics["stopped"].tolist())
        waits.append(int(state.wait[1]))
    assert [s[1] for s in stopped] == [False, False, False, True]
    assert waits == [0, 0, 1, 2]
    assert_same_bits(only(state.best, 1), kept)
    # Any bound would now be better, but it has stopped; seed 0 has not and goes on.
    state = with_seed(state, 1, best_bound=-jnp.inf)
    state = with_seed(state, 0, best_bound=-jnp.inf, stopped=False)
    state, metrics = run.epoch(state)
    assert_same_bits(only(state.best, 1), kept)
    assert (int(state.best_epoch[1]), int(state.wait[1])) == (0, 2)
    assert bool(metrics["stopped"][1])
    assert int(state.best_epoch[0]) == 5


# Steps that are not finite


def test_a_step_without_finite_numbers_is_skipped_and_counted(one, data):
    """Only that one of the two steps of an epoch which has the damaged example."""
    state = one.states[2]
    spoilt, metrics = one.epoch(state, data.at[0].set(jnp.nan))
    straight, _ = one.epoch(state)
    in_step = int(np.flatnonzero(np.asarray(order_of(state, len(data))) == 0)[0]) < 16
    assert metrics["skipped"].tolist() == [int(in_step)]
    assert in_step  # otherwise the key of `runs` leaves example 0 out, and nothing is tested
    assert metrics["skipped_reconstruction"].tolist() == [1]
    assert np.isfinite(metrics["train_bound"]).all()
    chex.assert_tree_all_finite(only(spoilt.params))
    assert count(spoilt) == count(straight) - 1


def order_of(state, num):
    """The order in which an epoch after `state` takes its examples."""
    return jax.random.permutation(step.epoch_keys(only(state))[0], num)


def count(state):
    """Steps that Adam has taken."""
    return int(state.opt_state[0].count[0])


def test_five_skipped_steps_in_a_row_end_a_seed_as_it_was(one, data, assert_same_bits):
    state = one.states[2]
    later, spoilt = state, jnp.full_like(data, jnp.nan)
    for skips in (2, 4, 5):  # two steps per epoch
        later, metrics = one.epoch(later, spoilt)
        assert metrics["skipped"].tolist() == [2]
        assert not np.isfinite(metrics["train_bound"][0])
        assert int(later.skips[0]) == skips
    assert bool(later.stopped[0])
    assert_same_bits((later.params, later.opt_state), (state.params, state.opt_state))
    assert_same_bits(later.best, state.best)
    again, metrics = one.epoch(later)  # with sound data: it stays ended
    assert_same_bits(again.params, state.params)
    assert metrics["skipped"].tolist() == [2]
    assert bool(again.stopped[0])


def test_a_good_step_forgets_the_skipped_ones_before_it(one, data):
    state, _ = one.epoch(one.states[2], jnp.full_like(data, jnp.nan))
    assert int(state.skips[0]) == 2
    state, _ = one.epoch(state)
    assert int(state.skips[0]) == 0
    assert not bool(state.stopped[0])


LARGE = {"cp": {(784, 600), (300, 600), (300, 784)}, "vp": {(784, 600), (300, 600), (300, 784)}}
LARGE["vp"] |= {(100, 28, 28)}


@pytest.mark.parametrize("model", ["cp", "vp"])
def test_one_number_anywhere_that_is_not_finite_is_found(model):
    """In every array of the paper's network, at its start, in its middle and at its end."""
    config = Config.of_model(model, shape=(28, 28), K=100)
    template = start.template(config).weights
    leaves, structure = jax.tree.flatten(
        jax.tree.map(lambda a: np.ones(a.shape, a.dtype), template)
    )
    assert {leaf.shape for leaf in leaves if leaf.size > step.LARGE} == LARGE[model]
    finite = jax.jit(step.finite)
    assert bool(finite(jax.tree.unflatten(structure, leaves)))
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(template)]
    assert len(names) == len(leaves) > 10
    for number, name in enumerate(names):
        for place in sorted({0, leaves[number].size // 2, leaves[number].size - 1}):
            for bad in (np.nan, np.inf, -np.inf):
                spoilt = list(leaves)
                spoilt[number] = leaves[number].copy()
                spoilt[number].flat[place] = bad
                assert not bool(finite(jax.tree.unflatten(structure, spoilt))), (name, place, bad)


@pytest.mark.parametrize("shape", [(), (3,), (70_000,), (300, 300), (2, 200, 300), (70_000, 1)])
def test_arrays_of_any_shape_are_checked(shape):
    sound = np.full(shape, 1e30, np.float32)
    assert bool(step.finite({"a": sound, "b": jnp.ones(2)}))
    for bad in (np.nan, np.inf, -np.inf):
        spoilt = sound.copy()
        spoilt.flat[-1] = bad
        assert not bool(step.finite({"a": spoilt, "b": jnp.ones(2)}))
    assert bool(step.finite({}))


def test_infinities_of_both_signs_do_not_cancel():
    spoilt = np.ones((300, 300), np.float32)
    spoilt[0, :2] = np.inf, -np.inf
    assert not bool(step.finite(spoilt))


@pytest.mark.parametrize("model", ["cp", "vp"])
def test_a_gradient_that_is_not_finite_in_one_array_makes_the_step_skipped(
    model, data, monkeypatch
):
    """In each array in turn, while the loss and all other gradients are finite."""
    monkeypatch.setattr(step, "LARGE", 4)
    config = Config.of_model(model, shape=(3,), K=2, latent=1, hidden=(8,), binarise="none")
    trainer = program.program(Training(batch_size=10, epochs=9), 2)
    state = only(program.begin(trainer, jax.random.split(jax.random.key(0), 1), config, data))
    names = [
        jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(state.params.weights)
    ]

    @jax.jit
    def run(which):
        def objective(params, *rest):
            """The bound, plus a constant whose gradient by the last number of one array is inf."""
            loss, metrics = trainer.how.objective(params, *rest)
            for number, leaf in enumerate(jax.tree.leaves(params.weights)):
                zero = leaf.ravel()[-1] - jax.lax.stop_gradient(leaf.ravel()[-1])
                loss += jnp.sqrt(jnp.where(which == number, zero, 1.0))
            return loss, metrics

        return step.run(state, data, how=trainer.how._replace(objective=objective))

    moved, tally = run(-1)
    assert (int(tally["good"]), int(tally["skipped"])) == (2, 0)
    assert any("pseudo_inputs" in name for name in names) == (model == "vp")
    for number, name in enumerate(names):
        after, tally = run(number)
        assert (int(tally["good"]), int(tally["skipped"])) == (0, 2), name
        assert not any(int(n) for n in tally["faults"].values()), name
        chex.assert_trees_all_equal(
            (after.params, after.opt_state), (state.params, state.opt_state)
        )
    a, b = (s.params.weights["decoder"]["output"]["kernel"] for s in (state, moved))
    assert np.any(a != b)


# Compilation


@pytest.mark.parametrize("plan", [devices.Plan(unroll=3), devices.Plan(branch=False)], ids=str)
def test_how_steps_are_compiled_changes_no_number(one, data, plan):
    """Of good steps, and of bad ones, which leave everything as it was."""
    trainer = program.program(one.training, one.steps, plan=plan)
    state = one.states[1]
    found, expected = (each.run(copy(state), data) for each in (trainer, one.program))
    chex.assert_trees_all_close(to_numbers(found), to_numbers(expected), rtol=1e-5, atol=1e-6)
    bad, tally = trainer.run(copy(state), jnp.full_like(data, jnp.nan))
    assert tally["skipped"][0] == 2
    chex.assert_trees_all_equal((bad.params, bad.opt_state), (state.params, state.opt_state))
