"""Training: the state, an epoch as one compiled program, and the loop over epochs.

Eq. (10), (11) and (12) of the paper are gradients of one expression: reparametrised draws of
c and z carry gradients to the encoder (11), the decoder (10) and, through the exact
divergence, to the priors (12). `jax.grad` of `loss` is all three.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax.sharding import Mesh

from cpvae_jax import checks, devices, estimate, likelihoods, stream
from cpvae_jax.config import Config, Training
from cpvae_jax.models import cpvae
from cpvae_jax.rows import Rows, sample_of
from cpvae_jax.types import Params, Terms, Tree

VALIDATION_BATCH = 500
"""Examples scored at once: large products, bounded memory."""

LARGE = 2**16
"""Numbers in an array of parameters that is large."""

SKIPS = 5
"""Steps in a row without finite numbers that end a training."""


def learning_rate_at(training: Training, epoch: jax.Array) -> jax.Array:
    """Adam's step size at a (fractional) epoch."""
    if not training.decay_epochs:
        return jnp.full_like(epoch, training.learning_rate)
    done = jnp.minimum(1.0, epoch / training.decay_epochs)
    return training.learning_rate * 0.5 * (1 + jnp.cos(jnp.pi * done))


def beta_at(training: Training, epoch: jax.Array) -> jax.Array:
    """The weight of the divergences at a (fractional) epoch."""
    return jnp.minimum(1.0, epoch / training.warmup) if training.warmup else jnp.ones_like(epoch)


def temperature_at(training: Training, epoch: jax.Array) -> jax.Array:
    """The Gumbel-Softmax temperature at a (fractional) epoch."""
    done = jnp.minimum(1.0, epoch / max(training.temperature_epochs, 1))
    done = done if training.temperature_epochs else jnp.ones_like(epoch)
    return training.temperature * (training.temperature_end / training.temperature) ** done


@struct.dataclass
class TrainState:
    """All that training carries from one epoch to the next; with it, a run resumes bit for bit."""

    params: Params
    opt_state: Any
    best: Params
    """The parameters of the best validation bound so far, with their q(c)"""
    best_bound: jax.Array
    """[], in nats"""
    best_epoch: jax.Array
    """[]"""
    epoch: jax.Array
    """[], epochs done"""
    wait: jax.Array
    """[], epochs since the best one, none counted in the warm-up"""
    stopped: jax.Array
    """[], whether early stopping, or steps without finite numbers, have ended this seed"""
    skips: jax.Array
    """[], steps skipped in a row, up to now; at `SKIPS` every further step is skipped too"""
    key: jax.Array
    """[], the seed's key, never changed: epochs and steps fold their numbers into it"""


class Program(NamedTuple):
    """A training program: `run` is compiled once and does a whole epoch for R seeds."""

    init: Callable[[jax.Array], TrainState]
    """keys [R] to the state"""
    run: Callable[[TrainState, jax.Array, jax.Array], tuple[TrainState, Tree]]
    """(state, train [N, X], valid [M, X]) to the next state and metrics, [R] each"""
    run_window: Callable[[TrainState, jax.Array, int, int], tuple[TrainState, Tree]]
    """(state, window [W, B, X], number of its first step, steps an epoch) to the next state and a
    tally: part of an epoch, of data that are read bit by bit"""
    close: Callable[[TrainState, Tree, jax.Array], tuple[TrainState, Tree]]
    """(state, sum of the tallies, valid [M, X]) to what `run` gives: the end of such an epoch"""
    mesh: Mesh | None
    """The devices that state and data lie on, see `devices`; None for one"""


class _Streams(NamedTuple):
    """Independent keys of one seed, by purpose."""

    init: jax.Array
    train: jax.Array
    valid: jax.Array


def _streams(key: jax.Array) -> _Streams:
    return _Streams(*jax.random.split(key, 3))


def optimiser() -> optax.GradientTransformation:
    """Adam, as in the paper; `Training.learning_rate_at` scales what it gives."""
    return optax.scale_by_adam()


def loss(
    params: Params,
    key: jax.Array,
    x: jax.Array,
    beta: jax.Array,
    temperature: jax.Array,
    estimator: str,
) -> tuple[jax.Array, Terms]:
    """The batch mean of −(reconstruction − β · divergences), and the terms themselves."""
    terms = cpvae.terms(params, key, x, estimator, temperature)
    objective = terms.reconstruction - beta * (terms.kl_c + terms.kl_z)
    return -jnp.mean(objective), terms


def _finite(gradient: Params) -> jax.Array:
    """Whether a gradient is finite, seen by its small arrays.

    The large kernels are left out, which would cost a twentieth of a step: each has a bias whose
    gradient sums the numbers that its own is made of.
    """
    small = [leaf for leaf in jax.tree.leaves(gradient) if leaf.size <= LARGE]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in small]))


def _train_steps(
    state: TrainState,
    key: jax.Array,
    numbers: jax.Array,
    batches: jax.Array,
    read: Callable[[jax.Array], jax.Array],
    steps: jax.Array | int,
    training: Training,
    mesh: Mesh | None,
) -> tuple[TrainState, Tree]:
    """Steps of an epoch that has `steps`, by their numbers [W]; `read` makes data of a batch.

    A step whose bound or gradient is not finite is skipped: parameters and optimiser stay as
    they were, the tally counts it, and of the bound's terms those that were to blame. The examples
    of a batch are cut along the mesh, and gradients summed over it once a step.
    """
    config = state.params.config
    observe = likelihoods.of(config).observe
    adam = optimiser()

    def step(
        carry: tuple[Params, Any, jax.Array], at: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[Params, Any, jax.Array], tuple[Tree, Tree, jax.Array]]:
        params, opt_state, skips = carry
        number, batch = at
        key_x, key_terms = jax.random.split(jax.random.fold_in(key, number))
        x = observe(config, key_x, read(devices.cut(batch, mesh, devices.DATA)))
        x = devices.cut(x, mesh, devices.DATA)
        epoch = state.epoch + (number + 1) / steps
        gradient, terms = jax.grad(loss, has_aux=True)(
            params,
            key_terms,
            x,
            beta_at(training, epoch),
            temperature_at(training, epoch),
            training.estimator,
        )
        gradient = devices.cut(gradient, mesh)
        means = jax.tree.map(jnp.mean, terms.named())
        faults = {name: ~jnp.isfinite(value) for name, value in means.items()}
        good = _finite(gradient) & ~faults.pop("bound") & (skips < SKIPS)
        skips = jnp.where(good, 0, jnp.minimum(skips + 1, SKIPS))
        rate = learning_rate_at(training, epoch - 1 / steps)  # of the step's beginning: never 0

        def move(params: Params, opt_state: Any) -> tuple[Params, Any]:
            updates, opt_state = adam.update(gradient, opt_state, params)
            return jax.tree.map(lambda p, u: p - rate * u, params, updates), opt_state

        # A branch, not a choice number by number: that would read everything once more.
        params, opt_state = jax.lax.cond(good, move, lambda *same: same, params, opt_state)
        return (params, opt_state, skips), (means, faults, good)

    (params, opt_state, skips), (history, faults, good) = jax.lax.scan(
        step, (state.params, state.opt_state, state.skips), (numbers, batches)
    )
    tally = {
        "sum": {name: jnp.sum(values, where=good) for name, values in history.items()},
        "faults": {name: jnp.sum(steps) for name, steps in faults.items()},
        "good": jnp.sum(good),
        "skipped": jnp.sum(~good),
    }
    return replace(state, params=params, opt_state=opt_state, skips=skips), tally


def _train_epoch(
    state: TrainState, data: jax.Array, training: Training, mesh: Mesh | None
) -> tuple[TrainState, Tree]:
    """One pass over the data in a fresh order; a last short batch is left out of it."""
    batch = min(training.batch_size, len(data))
    steps = len(data) // batch
    key_order, key_steps = _epoch_keys(state)
    order = jax.random.permutation(key_order, len(data))[: steps * batch].reshape(steps, batch)
    return _train_steps(
        state, key_steps, jnp.arange(steps), order, lambda i: data[i], steps, training, mesh
    )


def _train_window(
    state: TrainState,
    window: jax.Array,
    first: jax.Array,
    steps: jax.Array,
    training: Training,
    mesh: Mesh | None,
) -> tuple[TrainState, Tree]:
    """Some steps of an epoch, on batches [W, B, X] that were drawn elsewhere."""
    _, key_steps = _epoch_keys(state)
    numbers = first + jnp.arange(len(window))
    return _train_steps(state, key_steps, numbers, window, lambda x: x, steps, training, mesh)


def _epoch_keys(state: TrainState) -> jax.Array:
    """Keys of an epoch: of the order of the data, and of the steps."""
    return jax.random.split(jax.random.fold_in(_streams(state.key).train, state.epoch))


def _validate(
    params: Params, key: jax.Array, data: jax.Array, mesh: Mesh | None
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Mean terms of the true bound, estimated with one hard c an example, and q(c).

    The key is the same in every epoch: common random numbers compare epochs with less noise.
    Every example counts once: the last batch is filled up with examples of weight 0.
    """
    config = params.config
    observe = likelihoods.of(config).observe
    batch = min(VALIDATION_BATCH, len(data))
    count = -(-len(data) // batch)
    indices = jnp.arange(count * batch).reshape(count, batch)

    def score(at: tuple[jax.Array, jax.Array]) -> tuple[dict[str, jax.Array], jax.Array]:
        number, index = at
        key_x, key_terms = jax.random.split(jax.random.fold_in(key, number))
        weight = (index < len(data)) / len(data)
        index = devices.cut(jnp.minimum(index, len(data) - 1), mesh, devices.DATA)
        x = devices.cut(observe(config, key_x, data[index]), mesh, devices.DATA)
        terms = cpvae.terms(params, key_terms, x, "hard", 1.0)
        probs = jax.nn.softmax(cpvae.category_logits(params, cpvae.infer(params, x)))
        return jax.tree.map(lambda v: v @ weight, terms.named()), weight @ probs

    means, aggregate = jax.lax.map(score, (jnp.arange(count), indices))
    return jax.tree.map(jnp.sum, means), jnp.sum(aggregate, axis=0)


def _close(
    state: TrainState, tally: Tree, valid: jax.Array, training: Training, mesh: Mesh | None
) -> tuple[TrainState, dict[str, jax.Array]]:
    """The end of an epoch of one seed: validate, keep the best, decide whether to stop."""
    state = replace(state, epoch=state.epoch + 1)
    now = state.epoch.astype(jnp.float32)
    metrics = {f"train_{name}": total / tally["good"] for name, total in tally["sum"].items()}
    metrics |= {f"skipped_{name}": count for name, count in tally["faults"].items()}
    metrics |= {
        "skipped": tally["skipped"],
        "epoch": state.epoch,
        "beta": beta_at(training, now),
        "temperature": temperature_at(training, now),
    }
    scores, aggregate = _validate(state.params, _streams(state.key).valid, valid, mesh)
    bound = scores["bound"]
    better = (bound > state.best_bound) & ~state.stopped
    warm = state.epoch <= training.warmup
    wait = jnp.where(better | warm, 0, state.wait + 1)
    candidate = replace(state.params, aggregate=aggregate)
    state = replace(
        state,
        best=jax.tree.map(partial(jnp.where, better), candidate, state.best),
        best_bound=jnp.where(better, bound, state.best_bound),
        best_epoch=jnp.where(better, state.epoch, state.best_epoch),
        wait=jnp.where(state.stopped, state.wait, wait),
        stopped=state.stopped | (wait >= training.patience) | (state.skips >= SKIPS),
    )
    metrics |= {f"valid_{name}": value for name, value in scores.items()}
    metrics |= {"best_epoch": state.best_epoch, "stopped": state.stopped}
    return state, metrics


def _epoch(
    state: TrainState, train: jax.Array, valid: jax.Array, training: Training, mesh: Mesh | None
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Train on all of the data, and close: an epoch of one seed."""
    state, tally = _train_epoch(state, train, training, mesh)
    return _close(state, tally, valid, training, mesh)


def program(
    config: Config,
    training: Training,
    data: np.ndarray | jax.Array | None = None,
    mesh: Mesh | None = None,
) -> Program:
    """The training program of a configuration; `data` only sets the scale of real-valued data.

    Several seeds run side by side by vmap; one runs without, and gets the same numbers. On a
    mesh (`devices.mesh`) the numbers are those of one device, but for rounding.
    """

    def of_seeds(fn: Callable[..., tuple[TrainState, Tree]], *axes: int | None) -> Callable:
        """A function of one seed's state as a compiled one of all, whose memory it reuses."""
        fn = partial(fn, training=training, mesh=mesh)

        @partial(jax.jit, donate_argnums=0, compiler_options=devices.compile_with(1))
        def of_all(state: TrainState, *rest: Any) -> tuple[TrainState, Tree]:
            if state.epoch.shape[0] > 1:
                each = jax.vmap(fn, in_axes=(0, *axes), spmd_axis_name=devices.SEEDS)
                state, found = each(state, *rest)
            else:
                first = [
                    a if axis is None else jax.tree.map(lambda b: b[0], a)
                    for axis, a in zip((0, *axes), (state, *rest), strict=True)
                ]
                state, found = jax.tree.map(lambda a: a[None], fn(*first))
            return _lay(state, mesh), devices.cut(found, mesh)

        return of_all

    def init_one(key: jax.Array) -> TrainState:
        params = cpvae.init(_streams(key).init, config, data)
        zero = jnp.zeros((), jnp.int32)
        return TrainState(
            params=params,
            opt_state=optimiser().init(params),
            best=params,
            best_bound=jnp.array(-jnp.inf, jnp.float32),
            best_epoch=zero,
            epoch=zero,
            wait=zero,
            stopped=jnp.array(False),
            skips=zero,
            key=key,
        )

    @partial(jax.jit, compiler_options=devices.compile_with(0))
    def init(keys: jax.Array) -> TrainState:
        return _lay(jax.vmap(init_one)(keys), mesh)

    return Program(
        init=lambda keys: init(devices.everywhere(keys, mesh)),
        run=of_seeds(_epoch, None, None),
        run_window=of_seeds(_train_window, None, None, None),
        close=of_seeds(_close, 0, None),
        mesh=mesh,
    )


def _lay(state: TrainState, mesh: Mesh | None) -> TrainState:
    """Large arrays on the devices of their seed; the small ones, which decide, everywhere."""
    if mesh is None:
        return state
    large = {name: getattr(state, name) for name in ("params", "opt_state", "best")}
    return replace(devices.cut(state, mesh), **devices.cut(large, mesh, devices.SEEDS))


def place(state: TrainState, mesh: Mesh | None) -> TrainState:
    """A state that every process has read alike, on the mesh."""
    return (
        state
        if mesh is None
        else jax.jit(_lay, static_argnums=1)(devices.everywhere(state, mesh), mesh)
    )


def epochs(
    program: Program,
    state: TrainState,
    train: jax.Array | Rows,
    valid: jax.Array,
    training: Training,
) -> Iterator[tuple[TrainState, dict[str, np.ndarray]]]:
    """Run epochs until every seed has stopped; yields the state and metrics [R] after each.

    The state given in is used up: its memory is reused for the next one. Of data that are
    streamed, every seed sees the same order.
    """
    valid = devices.everywhere(valid, program.mesh)
    if not isinstance(train, Rows):
        train = devices.everywhere(train, program.mesh)
    while not finished(state, training):
        if isinstance(train, Rows):
            state, metrics = _streamed_epoch(program, state, train, valid, training)
        else:
            state, metrics = program.run(state, train, valid)
        yield state, jax.tree.map(np.asarray, metrics)


def _streamed_epoch(
    program: Program, state: TrainState, rows: Rows, valid: jax.Array, training: Training
) -> tuple[TrainState, Tree]:
    """An epoch, a window at a time."""
    count, steps = stream.layout(rows, training.batch_size)
    first_key = np.asarray(jax.random.key_data(devices.home(state.key, program.mesh)))[0]
    entropy = [*first_key.tolist(), int(np.max(state.epoch))]
    total = None
    windows = stream.windows(rows, entropy, training.batch_size, program.mesh)
    for number, window in enumerate(windows):
        state, tally = program.run_window(state, window, number * steps, count * steps)
        total = tally if total is None else jax.tree.map(jnp.add, total, tally)
    return program.close(state, total, valid)


def finished(state: TrainState, training: Training) -> bool:
    """Whether every seed has stopped, or the last epoch is done."""
    return int(np.max(state.epoch)) >= training.epochs or bool(np.all(state.stopped))


def best_seed(state: TrainState) -> int:
    """The seed with the best validation bound: a choice that no label steers."""
    return int(np.argmax(np.asarray(state.best_bound)))


def best_params(state: TrainState, seed: int | None = None, mesh: Mesh | None = None) -> Params:
    """The best parameters of a seed, by default those of the best seed; off the mesh."""
    index = best_seed(state) if seed is None else seed
    return devices.home(jax.tree.map(lambda a: a[index], state.best), mesh)


class Fit(NamedTuple):
    """What `fit` returns."""

    params: Params
    """The best parameters by the validation bound, over all seeds"""
    history: list[dict[str, np.ndarray]]
    """An entry an epoch: each metric by name, [R]"""
    state: TrainState
    """The final state, with a leading axis R: the best parameters of every seed"""


def fit(
    key: jax.Array,
    config: Config,
    train: jax.typing.ArrayLike | Rows,
    valid: jax.typing.ArrayLike,
    *,
    training: Training | None = None,
    callback: Callable[[TrainState, dict[str, np.ndarray]], None] | None = None,
    mesh: Mesh | None = None,
) -> Fit:
    """Train a model on data [N, *shape] until the validation bound stops rising.

    A batch of keys [R] trains R seeds side by side in one program; the one with the best
    validation bound is returned. `callback` is called after every epoch. `mesh` spreads seeds and
    batches over devices, see `devices.mesh`; data larger than memory are given as `Rows`.
    Warns if steps without finite numbers have ended every seed.

    Raises `UserError` for data that the model cannot take.

    >>> data = np.random.default_rng(0).random((200, 4)).round()
    >>> config = Config(shape=(4,), K=2, latent=2, hidden=(8,))
    >>> result = fit(jax.random.key(0), config, data[:150], data[150:],
    ...              training=Training(epochs=2))
    >>> len(result.history), result.params.aggregate.shape
    (2, (2,))
    """
    training = Training() if training is None else training
    train_data = stream.readable(config, train)
    valid_data = checks.data(config, valid, "valid")
    steps = program(config, training, sample_of(train_data), mesh)
    state = steps.init(jnp.atleast_1d(key))
    history = []
    for state, metrics in epochs(steps, state, train_data, valid_data, training):  # noqa: B020
        history.append(metrics)
        if callback is not None:
            callback(state, metrics)
    if np.all(np.asarray(state.skips) >= SKIPS):
        warnings.warn(
            f"training diverged: {SKIPS} steps in a row of epoch {int(state.epoch[0])} were not "
            "finite; the best parameters before are returned. Try a smaller learning_rate.",
            RuntimeWarning,
            stacklevel=2,
        )
    return Fit(finish(state, train_data, mesh=mesh), history, state)


def finish(
    state: TrainState,
    train: jax.Array | Rows,
    seed: int | None = None,
    mesh: Mesh | None = None,
) -> Params:
    """The best parameters of a seed, by default the best one, with q(c) over the training data."""
    index = best_seed(state) if seed is None else seed
    params = best_params(state, index, mesh)
    key = _streams(devices.home(state.key, mesh)[index]).valid
    aggregate = estimate.aggregated_posterior(params, key, train, mesh=mesh)
    return replace(params, aggregate=jnp.asarray(aggregate))
