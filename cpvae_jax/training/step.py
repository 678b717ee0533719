"""An epoch of one seed: the state, the steps of the optimiser, validation, early stopping.

Pure functions of arrays. `program` compiles them for several seeds and devices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax.sharding import Mesh

from cpvae_jax import devices, likelihoods
from cpvae_jax.config import Config, Training
from cpvae_jax.keys import purpose
from cpvae_jax.objectives import schedules
from cpvae_jax.objectives.base import Objective, Progress, Source, gradient
from cpvae_jax.training import averaging, weights
from cpvae_jax.training.validation import validate
from cpvae_jax.training.whole import Whole, whole
from cpvae_jax.types import Params, Tree

LARGE = 2**16
"""Arrays with more numbers than this are summed by a product to check that they are finite."""

SKIPS = 5
"""Steps in a row that are not finite before training ends."""


@struct.dataclass
class TrainState:
    """Everything that training carries from one epoch to the next; it resumes bit for bit.

    Attributes:
      params: The current parameters.
      opt_state: The optimiser's state, with the average of the weights if one is kept (`averaging`).
      best: The parameters of the best validation bound so far, with their q(c); averaged ones if an
        average is kept.
      best_bound: That bound, [], in nats.
      best_epoch: Its epoch, [].
      epoch: Epochs done, [].
      wait: Epochs since the best one, not counting the warm-up, [].
      stopped: Whether this seed has ended, by early stopping or by steps that were not finite, [].
      skips: Steps skipped in a row until now, []; from `SKIPS` on every further step is skipped.
      key: The seed's key, which never changes: epochs and steps fold their numbers into it.
    """

    params: Params
    opt_state: Any
    best: Params
    best_bound: jax.Array
    best_epoch: jax.Array
    epoch: jax.Array
    wait: jax.Array
    stopped: jax.Array
    skips: jax.Array
    key: jax.Array

    def __repr__(self) -> str:
        known = not isinstance(self.epoch, jax.core.Tracer)
        epoch = f"epoch={int(np.max(self.epoch))}, " if known and np.size(self.epoch) else ""
        return f"TrainState({epoch}{self.params!r})"


class Streams(NamedTuple):
    """Independent keys of one seed, by purpose."""

    init: jax.Array
    train: jax.Array
    valid: jax.Array


def streams(key: jax.Array) -> Streams:
    """The keys that follow from the seed's own."""
    return Streams(*jax.random.split(key, 3))


class How(NamedTuple):
    """How to train: the same for every seed and every step."""

    training: Training
    objective: Objective
    optimiser: optax.GradientTransformation
    mesh: Mesh | None
    plan: devices.Plan
    means: bool = False
    """Train on the mean of what is drawn, such as grey levels, instead of on a fresh draw"""


def begin(key: jax.Array, params: Params, optimiser: optax.GradientTransformation) -> TrainState:
    """The state before the first epoch of the seed `key`."""
    zero = jnp.zeros((), jnp.int32)
    return TrainState(
        params=params,
        opt_state=optimiser.init(params.weights),
        best=params,
        best_bound=jnp.array(-jnp.inf, jnp.float32),
        best_epoch=zero,
        epoch=zero,
        wait=zero,
        stopped=jnp.array(False),
        skips=zero,
        key=key,
    )


def finite(tree: Tree) -> jax.Array:
    """Whether every number of every array is finite.

    Large arrays are summed by a product with ones, which is much faster on a CPU than a test of
    each number; a sum with a NaN or an infinity in it is not finite.
    """
    sums = []
    for leaf in jax.tree.leaves(tree):
        if leaf.size > LARGE and leaf.ndim > 1:
            rows = leaf.reshape(-1, leaf.shape[-1])
            leaf = rows @ jnp.ones(rows.shape[-1], leaf.dtype)
        sums.append(leaf.ravel())
    return jnp.all(jnp.isfinite(jnp.concatenate(sums))) if sums else jnp.array(True)


def _steps(
    state: TrainState,
    key: jax.Array,
    numbers: jax.Array,
    batches: jax.Array,
    read: Callable[[jax.Array], tuple[jax.Array, Source]],
    steps: jax.Array | int,
    how: How,
) -> tuple[TrainState, Tree]:
    """Some steps of an epoch.

    A step whose loss or gradient is not finite is skipped: weights and optimiser stay as they
    were, the tally counts it, and it counts the terms of the bound that were not finite. The
    examples of a batch are spread along the mesh, and gradients are summed over it once per step.

    Args:
      state: The state before these steps.
      key: The key of the epoch's steps.
      numbers: Positions of the steps in the epoch, [W].
      batches: What `read` turns into the data of each step, [W, ...].
      read: Batch to data [B, *shape], and where they come from.
      steps: Steps of the whole epoch.
      how: How to train.
    """
    params, plan = state.params, how.plan
    observe = _observe(params.config, how)
    whole = jnp.asarray(steps, jnp.float32)

    def step(carry: tuple[Tree, Any, jax.Array], at: tuple[jax.Array, jax.Array]) -> Any:
        weights, opt_state, skips = carry
        number, batch = at
        key_x, key_terms = jax.random.split(jax.random.fold_in(key, number))
        data, source = read(devices.cut(batch, how.mesh, devices.DATA))
        x = observe(key_x, data)
        x = devices.cut(x, how.mesh, devices.DATA)
        done = state.epoch.astype(jnp.float32) + (number + 1).astype(jnp.float32) / whole
        progress = Progress(done, how.training.epochs)
        now = params.with_weights(weights)
        found, loss, metrics = gradient(how.objective, now, key_terms, x, progress, source)
        found = devices.cut(found, how.mesh)
        faults = {name: ~jnp.isfinite(value) for name, value in metrics.items()}
        good = finite(found) & jnp.isfinite(loss) & (skips < SKIPS)
        skips = jnp.where(good, 0, jnp.minimum(skips + 1, SKIPS))

        def move(weights: Tree, opt_state: Any) -> tuple[Tree, Any]:
            updates, opt_state = how.optimiser.update(found, opt_state, weights)
            return optax.apply_updates(weights, updates), opt_state

        before = weights, opt_state
        if plan.branch:
            weights, opt_state = jax.lax.cond(good, move, lambda *same: same, *before)
        else:
            weights, opt_state = jax.tree.map(partial(jnp.where, good), move(*before), before)
        return (weights, opt_state, skips), ({"loss": loss, **metrics}, faults, good)

    (weights, opt_state, skips), (history, faults, good) = jax.lax.scan(
        step, (params.weights, state.opt_state, state.skips), (numbers, batches), unroll=plan.unroll
    )
    tally = {
        "sum": {name: jnp.sum(values, where=good) for name, values in history.items()},
        "faults": {name: _count(found) for name, found in faults.items() if name != "bound"},
        "good": _count(good),
        "skipped": _count(~good),
    }
    params = params.with_weights(weights)
    return replace(state, params=params, opt_state=opt_state, skips=skips), tally


def _observe(config: Config, how: How) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """(key, data [B, *shape]) to what the model is trained on."""
    likelihood = likelihoods.of(config)
    if how.means:
        return lambda key, data: likelihood.expect(config, data)
    return partial(likelihood.observe, config)


def _count(flags: jax.Array) -> jax.Array:
    """How many flags are true."""
    return jnp.sum(flags, dtype=jnp.int32)


def run(
    state: TrainState, train: jax.Array | Whole, own: Tree = None, *, how: How
) -> tuple[TrainState, Tree]:
    """One pass over the data [N, *shape] in a fresh order, without a last short batch."""
    data, measured, _, shares = whole(train)
    batch = min(how.training.batch_size, len(data))
    steps = len(data) // batch
    key_order, key_steps = epoch_keys(state)
    rows = _numbers(len(data))
    if shares is not None:
        rows = weights.drawn(jax.random.uniform(purpose(key_order, "weights")), shares)
    order = jax.random.permutation(key_order, rows)
    order = order[: steps * batch].reshape(steps, batch)
    flat = data.reshape(len(data), -1)  # rows are gathered fastest from two axes

    def read(index: jax.Array) -> tuple[jax.Array, Source]:
        found = flat[index].reshape(batch, *data.shape[1:])
        return found, Source(index, data, measured, own)

    return _steps(state, key_steps, _numbers(steps), order, read, steps, how)


def run_window(
    state: TrainState,
    window: jax.Array,
    measured: Tree,
    first: jax.Array,
    steps: jax.Array,
    how: How,
) -> tuple[TrainState, Tree]:
    """Some steps of an epoch, on batches [W, B, *shape] that were drawn elsewhere."""
    _, key_steps = epoch_keys(state)
    numbers = first + _numbers(len(window))

    def read(x: jax.Array) -> tuple[jax.Array, Source]:
        return x, Source(None, None, measured)

    return _steps(state, key_steps, numbers, window, read, steps, how)


def epoch_keys(state: TrainState) -> jax.Array:
    """Keys of an epoch: for the order of the data, and for the steps."""
    return jax.random.split(jax.random.fold_in(streams(state.key).train, state.epoch))


def _numbers(count: int) -> jax.Array:
    """0 to count - 1."""
    return jnp.arange(count, dtype=jnp.int32)


def close(
    state: TrainState, tally: Tree, valid: jax.Array, how: How
) -> tuple[TrainState, dict[str, jax.Array]]:
    """The end of an epoch of one seed: validate, keep the best, decide whether to stop."""
    training = how.training
    state = replace(state, epoch=state.epoch + 1)
    now = state.epoch.astype(jnp.float32)
    good = tally["good"].astype(jnp.float32)
    metrics = {f"train_{name}": total / good for name, total in tally["sum"].items()}
    metrics |= {f"skipped_{name}": count for name, count in tally["faults"].items()}
    metrics |= {
        "skipped": tally["skipped"],
        "epoch": state.epoch,
        "beta": schedules.beta(training, now),
        "temperature": schedules.temperature(training, now),
    }
    candidate = averaging.of(state.params, state.opt_state)
    scores, aggregate = validate(candidate, streams(state.key).valid, valid, how.mesh)
    bound = scores["bound"]
    better = (bound > state.best_bound) & ~state.stopped
    warm = state.epoch <= training.warmup
    wait = jnp.where(better | warm, 0, state.wait + 1)
    candidate = candidate.with_stats(aggregate=aggregate)
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
