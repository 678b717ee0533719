"""An epoch as compiled programs for several seeds, laid out on devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from cpvae_jax import devices, objectives
from cpvae_jax.config import Config, Training
from cpvae_jax.data import stream
from cpvae_jax.data.rows import Rows, sample_of
from cpvae_jax.distributions.precision import exact, products, single
from cpvae_jax.models import start
from cpvae_jax.registry import kept
from cpvae_jax.training import averaging, recipe, step
from cpvae_jax.training.step import How, TrainState
from cpvae_jax.training.whole import Whole, whole
from cpvae_jax.types import Params, Tree


class Program(NamedTuple):
    """Trains R seeds; each function is compiled once. `advance` calls all but the first in order.

    Attributes:
      start: (keys [R], their parameters, stacked) to the state before the first epoch.
      run: (state, train [N, *shape], arrays of each seed's own) to the next state and a tally: all
        steps of an epoch. Data on which something was measured come as `Whole`.
      run_window: (state, window [W, B, *shape], what was measured, number of its first step, steps
        per epoch) to the same: part of an epoch, for data that are read piece by piece.
      close: (state, sum of the tallies, valid [M, *shape]) to the next state and metrics, [R] each.
      how: How it trains.
    """

    start: Callable[[jax.Array, Params], TrainState]
    run: Callable[..., tuple[TrainState, Tree]]
    run_window: Callable[[TrainState, jax.Array, Tree, int, int], tuple[TrainState, Tree]]
    close: Callable[[TrainState, Tree, jax.Array], tuple[TrainState, Tree]]
    how: How


def steps_per_epoch(train: np.ndarray | jax.Array | Rows, training: Training) -> int:
    """Steps in one pass over the training data."""
    if isinstance(train, Rows):
        windows, steps = stream.layout(train, training.batch_size)
        return windows * steps
    return len(train) // min(training.batch_size, len(train))


def program(
    training: Training,
    steps: int,
    *,
    optimiser: optax.GradientTransformation | None = None,
    mesh: Mesh | None = None,
    plan: devices.Plan | None = None,
    means: bool = False,
) -> Program:
    """The training program of some settings; the state that it is given brings the model.

    Several seeds run side by side by vmap or, if the plan says so, one after another; a single
    seed gets the same numbers. On a mesh (`devices.mesh`) the numbers are those of one device up
    to rounding. Equal settings share one program, unless they bring an optimiser of their own.

    Args:
      training: The settings.
      steps: Steps per epoch, for the learning-rate schedule.
      optimiser: Any optax transformation in place of the settings' own Adam.
      mesh: Devices to spread seeds and batches over; None for one.
      plan: How to compile; by default what suits the device.
      means: Train on the mean of what is drawn, such as grey levels, instead of on fresh draws.
    """
    chosen = devices.plan() if plan is None else plan
    if optimiser is None:
        return _shared(training, steps, mesh, chosen, means)
    return _program(training, optimiser, mesh, chosen, means)


@kept
def _shared(
    training: Training, steps: int, mesh: Mesh | None, plan: devices.Plan, means: bool
) -> Program:
    return _program(training, recipe.optimiser(training, steps), mesh, plan, means)


def _program(
    training: Training,
    mover: optax.GradientTransformation,
    mesh: Mesh | None,
    plan: devices.Plan,
    means: bool,
) -> Program:
    if training.averaging:
        mover = averaging.averaged(mover, training.averaging)
    how = How(
        training=training,
        objective=objectives.of(training),
        optimiser=mover,
        mesh=mesh,
        plan=plan,
        means=means,
    )

    def for_seeds(fn: Callable[..., tuple[TrainState, Tree]], *axes: int | None) -> Callable:
        """A function of one seed's state as a compiled one of all, which reuses its memory."""

        @partial(jax.jit, donate_argnums=0, compiler_options=devices.compile_with(1))
        def of_all(state: TrainState, *rest: Any) -> tuple[TrainState, Tree]:
            rest = (*rest, *[None] * (len(axes) - len(rest)))  # what is left out is None
            given = list(zip((0, *axes), (state, *rest), strict=True))

            def of_one(own: list[Any]) -> tuple[TrainState, Tree]:
                left = iter(own)
                return fn(*(a if axis is None else next(left) for axis, a in given), how=how)

            own = [a for axis, a in given if axis is not None]
            if state.epoch.shape[0] == 1:
                first = of_one(jax.tree.map(lambda a: a[0], own))
                state, found = jax.tree.map(lambda a: a[None], first)
            elif how.plan.together or mesh is not None:
                state, found = jax.vmap(of_one, spmd_axis_name=devices.SEEDS)(own)
            else:
                state, found = jax.lax.map(of_one, own)
            return _lay(state, mesh), devices.cut(found, mesh)

        return of_all

    begin_each = jax.vmap(partial(step.begin, optimiser=mover))
    fast = products(training.precision)
    return Program(
        start=jax.jit(begin_each, compiler_options=devices.compile_with(0)),
        run=for_seeds(fast(step.run), None, 0),
        run_window=for_seeds(fast(step.run_window), None, None, None, None),
        close=for_seeds(exact(step.close), 0, None),
        how=how,
    )


def begin(
    program: Program,
    keys: jax.Array,
    config: Config,
    data: np.ndarray | jax.Array | Rows | None = None,
    given: Params | Sequence[Params] | None = None,
) -> TrainState:
    """The state of R seeds before their first epoch, on the program's mesh.

    Args:
      program: The training program.
      keys: A key per seed, [R].
      config: The configuration of the model.
      data: Training examples [N, *shape] in the user's unit, for the start of prior and likelihood.
      given: Parameters to start every seed from, or those of each seed, in place of fresh ones.
    """
    if given is None:
        sample, measured = sample_of(data), start.measure(config, data)
        params = [start.init(step.streams(key).init, config, sample, measured) for key in keys]
    else:
        each = [given] * len(keys) if isinstance(given, Params) else given
        params = [single(own) for own in each]
    stacked = jax.tree.map(lambda *seeds: np.stack(seeds), *params)  # eagerly, to compile nothing
    return place(program.start(keys, stacked), program.how.mesh)


def _lay(state: TrainState, mesh: Mesh | None) -> TrainState:
    """Large arrays on the devices of their seed; the small ones, which decide, everywhere."""
    if mesh is None:
        return state
    large = {name: getattr(state, name) for name in ("params", "opt_state", "best")}
    return replace(devices.cut(state, mesh), **devices.cut(large, mesh, devices.SEEDS))


def place(state: TrainState, mesh: Mesh | None) -> TrainState:
    """A state that all processes have alike, put on the mesh."""
    if mesh is None:
        return state
    return jax.jit(_lay, static_argnums=1)(devices.everywhere(state, mesh), mesh)


def advance(
    program: Program, state: TrainState, train: jax.Array | Rows | Whole, valid: jax.Array
) -> tuple[TrainState, Tree]:
    """One epoch on data that lie on the program's mesh. The given state is used up.

    Every seed sees data that are streamed in the same order.
    """
    x, measured, own, shares = whole(train)
    if isinstance(x, Rows):
        state, tally = _run_windows(program, state, x, measured)
    else:
        state, tally = program.run(state, Whole(x, measured, None, shares), own)
    return program.close(state, tally, valid)


def _run_windows(
    program: Program, state: TrainState, rows: Rows, measured: Tree
) -> tuple[TrainState, Tree]:
    """All steps of an epoch, one window at a time."""
    batch, mesh = program.how.training.batch_size, program.how.mesh
    count, steps = stream.layout(rows, batch)
    first_key = np.asarray(jax.random.key_data(devices.home(state.key, mesh)))[0]
    entropy = [*first_key.tolist(), int(np.max(state.epoch))]
    total = None
    for number, window in enumerate(stream.windows(rows, entropy, batch, mesh)):
        state, tally = program.run_window(state, window, measured, number * steps, count * steps)
        total = tally if total is None else jax.tree.map(jnp.add, total, tally)
    return state, total


def finished(state: TrainState, training: Training) -> bool:
    """Whether every seed has stopped, or the last epoch is done."""
    return int(np.max(state.epoch)) >= training.epochs or bool(np.all(state.stopped))


def best_seed(state: TrainState) -> int:
    """The seed with the best validation bound; labels have no say."""
    return int(np.argmax(np.asarray(state.best_bound)))


def best_params(state: TrainState, seed: int | None = None, mesh: Mesh | None = None) -> Params:
    """The best parameters of a seed, by default of the best seed; off the mesh."""
    index = best_seed(state) if seed is None else seed
    return devices.home(jax.tree.map(lambda a: a[index], state.best), mesh)
