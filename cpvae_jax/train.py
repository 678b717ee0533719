"""Training: an epoch as compiled programs for several seeds, the loop over epochs, and `fit`.

What an epoch computes is in `epoch`; here it is compiled, laid out on devices, and run until
every seed has stopped.
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
from jax.sharding import Mesh

from cpvae_jax import checks, devices, epoch, estimate, stream
from cpvae_jax.config import Config, Training
from cpvae_jax.epoch import SKIPS, TrainState
from cpvae_jax.precision import exact
from cpvae_jax.rows import Rows, sample_of
from cpvae_jax.types import Params, Tree


class Program(NamedTuple):
    """What trains R seeds: functions that are compiled once each. See `advance` for their order."""

    init: Callable[[jax.Array], TrainState]
    """keys [R] to the state"""
    run: Callable[[TrainState, jax.Array], tuple[TrainState, Tree]]
    """(state, train [N, X]) to the next state and a tally: all steps of an epoch"""
    run_window: Callable[[TrainState, jax.Array, int, int], tuple[TrainState, Tree]]
    """(state, window [W, B, X], number of its first step, steps an epoch) to the same: part of an
    epoch, of data that are read bit by bit"""
    close: Callable[[TrainState, Tree, jax.Array], tuple[TrainState, Tree]]
    """(state, sum of the tallies, valid [M, X]) to the next state and metrics, [R] each"""
    training: Training
    mesh: Mesh | None
    """The devices that state and data lie on, see `devices`; None for one"""


def program(
    config: Config,
    training: Training,
    data: np.ndarray | jax.Array | None = None,
    mesh: Mesh | None = None,
    plan: devices.Plan | None = None,
) -> Program:
    """The training program of a configuration; `data` are what `cpvae.init` reads of them.

    Several seeds run side by side by vmap or, as the plan may be, one after another; a single one
    gets the same numbers. On a mesh (`devices.mesh`) the numbers are those of one device, but for
    rounding. The plan is by default that of the device.
    """
    plan = devices.plan() if plan is None else plan

    def of_seeds(fn: Callable[..., tuple[TrainState, Tree]], *axes: int | None) -> Callable:
        """A function of one seed's state as a compiled one of all, whose memory it reuses."""
        fn = partial(fn, training=training, mesh=mesh)

        @partial(jax.jit, donate_argnums=0, compiler_options=devices.compile_with(1))
        def of_all(state: TrainState, *rest: Any) -> tuple[TrainState, Tree]:
            given = list(zip((0, *axes), (state, *rest), strict=True))

            def of_one(own: list[Any]) -> tuple[TrainState, Tree]:
                left = iter(own)
                return fn(*(a if axis is None else next(left) for axis, a in given))

            own = [a for axis, a in given if axis is not None]
            if state.epoch.shape[0] == 1:
                first = of_one(jax.tree.map(lambda a: a[0], own))
                state, found = jax.tree.map(lambda a: a[None], first)
            elif plan.together or mesh is not None:
                state, found = jax.vmap(of_one, spmd_axis_name=devices.SEEDS)(own)
            else:
                state, found = jax.lax.map(of_one, own)
            return _lay(state, mesh), devices.cut(found, mesh)

        return of_all

    @partial(jax.jit, compiler_options=devices.compile_with(0))
    @exact
    def init(keys: jax.Array) -> TrainState:
        return _lay(jax.vmap(lambda key: epoch.init(key, config, data))(keys), mesh)

    fast = jax.default_matmul_precision(training.precision)
    return Program(
        init=lambda keys: init(devices.everywhere(keys, mesh)),
        run=of_seeds(fast(partial(epoch.run, plan=plan)), None),
        run_window=of_seeds(fast(partial(epoch.run_window, plan=plan)), None, None, None),
        close=of_seeds(exact(epoch.close), 0, None),
        training=training,
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
    program: Program, state: TrainState, train: jax.Array | Rows, valid: jax.Array
) -> Iterator[tuple[TrainState, dict[str, np.ndarray]]]:
    """Run epochs until every seed has stopped; yields the state and metrics [R] after each.

    The state given in is used up: its memory is reused for the next one. Of data that are
    streamed, every seed sees the same order.
    """
    valid = devices.everywhere(valid, program.mesh)
    if not isinstance(train, Rows):
        train = devices.everywhere(train, program.mesh)
    while not finished(state, program.training):
        state, metrics = advance(program, state, train, valid)
        yield state, jax.tree.map(np.asarray, metrics)


def advance(
    program: Program, state: TrainState, train: jax.Array | Rows, valid: jax.Array
) -> tuple[TrainState, Tree]:
    """One epoch, of data that lie on the program's mesh; the state given in is used up."""
    if isinstance(train, Rows):
        state, tally = _run_windows(program, state, train)
    else:
        state, tally = program.run(state, train)
    return program.close(state, tally, valid)


def _run_windows(program: Program, state: TrainState, rows: Rows) -> tuple[TrainState, Tree]:
    """All steps of an epoch, a window at a time."""
    batch = program.training.batch_size
    count, steps = stream.layout(rows, batch)
    first_key = np.asarray(jax.random.key_data(devices.home(state.key, program.mesh)))[0]
    entropy = [*first_key.tolist(), int(np.max(state.epoch))]
    total = None
    for number, window in enumerate(stream.windows(rows, entropy, batch, program.mesh)):
        state, tally = program.run_window(state, window, number * steps, count * steps)
        total = tally if total is None else jax.tree.map(jnp.add, total, tally)
    return state, total


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
    state = steps.init(jnp.atleast_1d(checks.keys(key)))
    history = []
    for state, metrics in epochs(steps, state, train_data, valid_data):  # noqa: B020
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
    key = epoch.streams(devices.home(state.key, mesh)[index]).valid
    aggregate = estimate.mean_probs(params, key, train, mesh)
    return replace(params, aggregate=jnp.asarray(aggregate))
