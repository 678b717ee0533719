from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import cpvae_jax
from cpvae_jax import Config, Training, UserError, devices, epoch, fit, train
from cpvae_jax.keys import to_numbers


@pytest.fixture(scope="module")
def one(runs):
    return runs[1]


@jax.jit
def only(tree, seed=0):
    """What a seed has of a tree."""
    return jax.tree.map(lambda a: a[seed], tree)


copy = jax.jit(partial(jax.tree.map, jnp.copy))


# An epoch


@pytest.mark.parametrize("R", [1, 3])
def test_several_epochs_compile_once(R, runs):
    assert runs[R].compilations == (1, 1)


@pytest.mark.parametrize("R", [1, 3])
def test_states_and_metrics_have_an_axis_of_seeds(R, runs):
    run = runs[R]
    chex.assert_tree_shape_prefix([run.states[-1], run.metrics], (R,))
    chex.assert_trees_all_equal_shapes_and_dtypes(*run.states)
    terms = ("bound", "reconstruction", "kl_c", "kl_z")
    assert set(run.metrics[0]) == {
        *(f"{part}_{name}" for part in ("train", "valid") for name in terms),
        *("epoch", "beta", "temperature", "best_epoch", "stopped"),
        *("skipped", "skipped_reconstruction", "skipped_kl_c", "skipped_kl_z"),
    }
    for metrics in run.metrics:
        for part in ("train", "valid"):
            value = {name: metrics[f"{part}_{name}"] for name in terms}
            total = value["reconstruction"] - value["kl_c"] - value["kl_z"]
            np.testing.assert_allclose(value["bound"], total, rtol=1e-4, atol=1e-5)


def test_one_epoch_moves_every_array_and_the_priors_mean_and_variance(one):
    before, after = (only(state.params) for state in one.states[:2])
    for block in ("encoder", "prior", "decoder"):
        for name, a, b in zip(
            jax.tree.leaves_with_path(getattr(before, block)),
            jax.tree.leaves(getattr(before, block)),
            jax.tree.leaves(getattr(after, block)),
            strict=True,
        ):
            assert np.any(a != b), name
    for name in ("mean", "log_var"):
        np.testing.assert_array_equal(before.prior[name], 0)
        assert np.all(np.abs(after.prior[name]) > 1e-4)


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
    validate = jax.jit(jax.vmap(partial(epoch.validate, mesh=None), in_axes=(None, 0, None)))
    assert_mean(validate(params, keys, valid)[0]["bound"], reference(params).bound(valid).mean())


def test_metrics_tell_the_schedules(one):
    got = {name: [m[name][0] for m in one.metrics] for name in ("epoch", "beta", "temperature")}
    assert got["epoch"] == [1, 2, 3, 4]
    np.testing.assert_allclose(got["beta"], [0.5, 1, 1, 1])
    np.testing.assert_allclose(got["temperature"], [0.5**0.5, 0.5, 0.5, 0.5], rtol=1e-6)


def test_the_loss_is_the_negative_bound_with_weighted_divergences(params, pixels):
    loss = jax.jit(partial(epoch.loss, estimator="relaxed"))
    for beta in (0.0, 0.3, 1.0):
        value, terms = loss(params, jax.random.key(0), pixels, beta, 1.0)
        mean = jax.tree.map(np.mean, terms)
        expected = -(mean.reconstruction - beta * (mean.kl_c + mean.kl_z))
        np.testing.assert_allclose(value, expected, rtol=1e-5)


# Seeds


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(one, runs, assert_same_bits):
    again = one.states[0]
    for number in range(2):
        again, metrics = one.epoch(again)
        assert_same_bits(again, one.states[number + 1])
        assert_same_bits(metrics, one.metrics[number])
    states = runs[3].states
    for number in (0, 1):
        a, b = (states[number].params.decoder["output"]["kernel"][seed] for seed in (0, 1))
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


# Stopping, and keeping the best


def test_the_best_is_that_of_the_best_epoch(runs, assert_same_bits):
    run = runs[3]
    bounds = np.array([m["valid_bound"] for m in run.metrics])
    state = run.states[-1]
    np.testing.assert_array_equal(state.best_epoch, bounds.argmax(axis=0) + 1)
    np.testing.assert_array_equal(state.best_bound, bounds.max(axis=0))
    for seed, number in enumerate(state.best_epoch):
        best = only(state.best, seed).replace(aggregate=None)
        assert_same_bits(best, only(run.states[int(number)].params, seed).replace(aggregate=None))
    assert train.best_seed(state) == bounds.max(axis=0).argmax()
    assert_same_bits(train.best_params(state), only(state.best, train.best_seed(state)))
    assert_same_bits(train.best_params(state, 2), only(state.best, 2))


def with_seed(state, seed, **values):
    """A state with the fields of one seed set."""
    return state.replace(
        **{name: getattr(state, name).at[seed].set(value) for name, value in values.items()}
    )


def test_a_seed_stops_after_its_patience_and_its_best_is_kept(runs, assert_same_bits):
    """Seed 1 is told of a bound that it cannot reach: two epochs of warm-up, then two to wait."""
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


def test_epochs_end_when_every_seed_has_stopped_or_the_last_is_done(one):
    start = with_seed(one.states[0], 0, best_bound=jnp.inf)
    rounds = list(train.epochs(one.program, copy(start), one.data, one.valid))
    assert len(rounds) == one.training.warmup + one.training.patience
    few = Training(epochs=2)
    assert train.finished(one.states[2], few)
    assert not train.finished(one.states[1], few)
    assert not list(
        train.epochs(one.program._replace(training=few), one.states[2], one.data, one.valid)
    )


def test_a_step_without_finite_numbers_is_skipped_and_counted(one, data, assert_same_bits):
    """Of the two steps of an epoch only the one with the spoilt example is."""
    state = one.states[2]
    spoilt, metrics = one.epoch(state, data.at[0].set(jnp.nan))
    straight, _ = one.epoch(state)
    in_step = int(np.flatnonzero(np.asarray(order_of(state, len(data))) == 0)[0]) < 16
    assert metrics["skipped"].tolist() == [int(in_step)]
    assert in_step  # else the key of `runs` leaves example 0 out, and this test tests nothing
    assert metrics["skipped_reconstruction"].tolist() == [1]
    assert np.isfinite(metrics["train_bound"]).all()
    chex.assert_tree_all_finite(only(spoilt.params))
    assert spoilt.opt_state.count[0] == straight.opt_state.count[0] - 1


def order_of(state, num):
    """The order in which an epoch after `state` takes its examples."""
    return jax.random.permutation(epoch.epoch_keys(only(state))[0], num)


def test_five_skipped_steps_in_a_row_end_a_seed_as_it_was(one, data, assert_same_bits):
    state = one.states[2]
    later, spoilt = state, jnp.full_like(data, jnp.nan)
    for skips in (2, 4, 5):  # two steps an epoch
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


@pytest.mark.parametrize("where", ["first", "last"])
def test_a_gradient_that_is_not_finite_is_seen_by_its_small_arrays(where):
    """Of the paper's network, whose kernels are large: one that is not finite has a bias that is not."""
    params = jax.eval_shape(
        lambda key: cpvae_jax.initialise(key, Config(shape=(28, 28))), jax.random.key(0)
    )
    sound = jax.tree.map(lambda a: jnp.ones(a.shape, a.dtype), params)
    assert bool(epoch.finite(sound))
    kernels = [leaf for leaf in jax.tree.leaves(sound) if leaf.size > epoch.LARGE]
    assert {kernel.shape for kernel in kernels} == {(784, 600), (300, 600), (300, 784)}
    trunk = sound.encoder["trunk"] if where == "first" else sound.decoder["trunk"]
    trunk[0]["bias"] = trunk[0]["bias"].at[7].set(jnp.nan)
    assert not bool(epoch.finite(sound))


def test_a_good_step_forgets_the_skipped_ones_before_it(one, data):
    state, _ = one.epoch(one.states[2], jnp.full_like(data, jnp.nan))
    assert int(state.skips[0]) == 2
    state, _ = one.epoch(state)
    assert int(state.skips[0]) == 0
    assert not bool(state.stopped[0])


@pytest.mark.parametrize("plan", [devices.Plan(unroll=3), devices.Plan(branch=False)], ids=str)
def test_how_steps_are_compiled_changes_no_number(one, data, plan):
    """Of good steps, and of bad ones, which leave everything as it was."""
    program = train.program(one.config, one.training, plan=plan)
    state = one.states[1]
    found, expected = (each.run(copy(state), data) for each in (program, one.program))
    chex.assert_trees_all_close(to_numbers(found), to_numbers(expected), rtol=1e-5, atol=1e-6)
    bad, tally = program.run(copy(state), jnp.full_like(data, jnp.nan))
    assert tally["skipped"][0] == 2
    chex.assert_trees_all_equal((bad.params, bad.opt_state), (state.params, state.opt_state))


@pytest.mark.parametrize("together", [True, False])
def test_seeds_together_or_in_turn_get_what_each_gets_alone(one, runs, data, together):
    plan = devices.Plan(together=together)
    program = train.program(one.config, one.training, plan=plan)
    state = runs[3].states[1]
    found = program.run(copy(state), data)
    for seed in range(3):
        alone = jax.tree.map(lambda a: a[None], only(state, seed))
        expected = one.program.run(copy(alone), data)
        mine = only(found, seed), only(expected)
        chex.assert_trees_all_close(*map(to_numbers, mine), rtol=1e-5, atol=1e-6)


def test_a_learning_rate_without_measure_spares_the_best(one):
    """Whatever the parameters become, the best are finite, and the best they ever were."""
    program = train.program(one.config, Training(learning_rate=1e6, batch_size=8, warmup=0))
    state, bounds = copy(one.states[0]), [-np.inf]
    for _ in range(5):
        state, metrics = train.advance(program, state, one.data, one.valid)
        bounds.append(metrics["valid_bound"][0])
    assert np.abs(state.params.prior["mean"]).max() > 1e5
    chex.assert_tree_all_finite(state.best)
    assert state.best_bound[0] == np.nanmax(bounds) == bounds[int(state.best_epoch[0])]


# Schedules and settings


def test_the_warm_up_rises_from_0_to_1():
    epochs = jnp.array([0.0, 25.0, 100.0, 300.0])
    np.testing.assert_allclose(epoch.beta_at(Training(warmup=100), epochs), [0, 0.25, 1, 1])
    np.testing.assert_allclose(epoch.beta_at(Training(warmup=0), epochs), 1)


def test_the_temperature_falls_exponentially_to_its_end():
    epochs = jnp.array([0.0, 50.0, 100.0, 300.0])
    falling = Training(temperature=2.0, temperature_end=0.5, temperature_epochs=100)
    np.testing.assert_allclose(epoch.temperature_at(falling, epochs), [2, 1, 0.5, 0.5], rtol=1e-6)
    at_once = Training(temperature=2.0, temperature_end=0.5, temperature_epochs=0)
    np.testing.assert_allclose(epoch.temperature_at(at_once, epochs), 0.5, rtol=1e-6)


def test_the_defaults_are_the_papers():
    training, config = Training(), Config(shape=(28, 28))
    assert (training.learning_rate, training.batch_size, training.warmup) == (5e-4, 100, 100)
    assert training.estimator == "relaxed"
    assert (config.latent, config.hidden, config.K) == (40, (300, 300), 10)


def test_the_optimiser_is_adam():
    params = {"a": jnp.array([1.0, -2.0])}
    ours, adam = epoch.optimiser(), optax.adam(1e-2)
    ours, adam = (o.update(params, o.init(params))[0]["a"] for o in (ours, adam))
    np.testing.assert_allclose(-1e-2 * ours, adam, rtol=1e-6)


def test_the_step_size_falls_by_half_a_cosine_or_stays():
    epochs = jnp.array([0.0, 25.0, 50.0, 100.0, 200.0])
    falling = epoch.learning_rate_at(Training(learning_rate=2.0, decay_epochs=100), epochs)
    np.testing.assert_allclose(falling, [2, 1 + 0.5**0.5, 1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(epoch.learning_rate_at(Training(learning_rate=2.0), epochs), 2)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature_end": float("nan")}, "temperature_end is nan"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 20.0}, "batch_size is 20.0; it must be a whole number"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; it must be a positive number"),
        ({"epochs": 0}, "epochs is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"warmup": -1}, "warmup is -1"),
        ({"decay_epochs": -1}, "decay_epochs is -1"),
        ({"temperature_epochs": -1}, "temperature_epochs is -1"),
        ({"estimator": "hard"}, "'hard'; choose one of relaxed, straight-through, exact"),
    ],
)
def test_a_setting_out_of_range_is_told(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        Training(**settings)


# All of it


@pytest.fixture(scope="module")
def single(data, valid):
    """K = 1, two seeds, fitted by the public function; and what its callback was told."""
    told = []
    config = Config(shape=(3,), K=1, latent=1, hidden=(4,), binarise="none")
    training = Training(learning_rate=1e-2, batch_size=4, warmup=0, epochs=20, estimator="exact")
    result = fit(
        jax.random.split(jax.random.key(0)),
        config,
        data,
        valid,
        training=training,
        callback=lambda *at: told.append(at),
    )
    return result, told


def test_a_fit_that_diverges_warns_and_returns_the_best_before(data, valid):
    config = Config(shape=(3,), K=1, latent=1, hidden=(4,), binarise="none")
    training = Training(learning_rate=1e30, batch_size=4, warmup=0, epochs=20, estimator="exact")
    with pytest.warns(RuntimeWarning, match="training diverged: 5 steps in a row of epoch 2"):
        result = fit(jax.random.key(0), config, data, valid, training=training)
    chex.assert_tree_all_finite(result.params)
    chex.assert_tree_all_finite(result.state.params)
    assert len(result.history) == 2


def test_one_category_moves_its_prior_away_from_the_standard_normal(single):
    prior = single[0].state.params.prior
    chex.assert_shape([prior["mean"], prior["log_var"]], (2, 1, 1))
    assert np.all(np.abs(prior["mean"]) > 0.01)
    assert np.all(np.abs(prior["log_var"]) > 0.01)


def test_fit_returns_the_best_of_its_seeds_and_tells_every_epoch(single, assert_same_bits):
    result, told = single
    assert len(result.history) == len(told) == 20
    assert result.history[-1] is told[-1][1]
    chex.assert_tree_shape_prefix(result.history, (2,))
    bounds = np.array([m["valid_bound"] for m in result.history])
    np.testing.assert_allclose(result.state.best_bound, bounds.max(axis=0))
    winner = bounds.max(axis=0).argmax()
    assert_same_bits(
        result.params.replace(aggregate=None),
        only(result.state.best, winner).replace(aggregate=None),
    )
    losses = [m["train_bound"].mean() for m in result.history]
    assert np.mean(losses[-3:]) > np.mean(losses[:3])


def test_the_aggregate_of_the_finished_model_is_over_the_training_data(one, data, reference):
    params = train.finish(one.states[-1], data)
    probs = reference(params).posterior(np.asarray(data))[0]
    np.testing.assert_allclose(params.aggregate, probs.mean(axis=0), rtol=1e-5)


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
def test_fit_refuses_data_that_the_model_cannot_take(which, change, sentence, one, data, valid):
    parts = [data, valid]
    parts[which] = change(parts[which])
    with pytest.raises(UserError, match=sentence):
        fit(jax.random.key(0), one.config, *parts, training=Training())


def test_every_epoch_takes_every_example_once_in_a_fresh_order(monkeypatch):
    """Steps that carry nothing but the examples they saw, by a model that writes them down."""
    seen = []
    config = Config(shape=(1,), K=1, latent=1, hidden=(1,), likelihood="gaussian")

    def loss(params, key, x, beta, temperature, estimator):
        jax.debug.callback(lambda x: seen.append(np.sort(np.asarray(x[:, 0]))), x)
        terms = epoch.Terms(*(jnp.zeros(len(x)) for _ in range(3)))
        return 0.0 * jnp.sum(params.prior["mean"]), terms

    monkeypatch.setattr(epoch, "loss", loss)
    program = train.program(config, Training(batch_size=4))
    state = program.init(jax.random.split(jax.random.key(0), 1))
    plan = devices.Plan()
    run = jax.jit(partial(epoch.run, training=Training(batch_size=4), mesh=None, plan=plan))
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
