"""The start of the categories, before the bound is trained: q(c|x) takes over a partition of the data,
follows the regularisers alone, or does one after the other.

The bound does not mind categories that mix modes, and q(c|x) becomes certain within a few epochs. So
what it is at the start decides much of what it is at the end. Only the encoder's features and the
head of q(c|x) are trained here. Labels have a say only if the user gives them as the start.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from cpvae_jax import devices, likelihoods, priors
from cpvae_jax.config import Config, Training
from cpvae_jax.data.rows import Rows, sample_of
from cpvae_jax.errors import UserError
from cpvae_jax.keys import purpose
from cpvae_jax.models import category
from cpvae_jax.training import examples, starts
from cpvae_jax.training import program as programs
from cpvae_jax.training.starts import probabilities
from cpvae_jax.training.starts.base import Start
from cpvae_jax.training.step import TrainState
from cpvae_jax.training.whole import Whole
from cpvae_jax.types import Params

CONSISTENT = 0.08
"""The gate opens if the loss of the regularisers, in units of the consistency's weight and counted from
that of perfect categories, comes below this share of log K."""

IMPROVED = 0.7
"""And below this share of what it was at the partition. Both were set on pendigits and the digits, where
the regularisers improve a mixture's partition, and on synthetic tables of few rows or many overlapping
clusters, where they spoil it (docs/research.md)."""

FIT = 4
"""The fit to a partition takes this part of the epochs that the regularisers get after it."""

RACE = 3
"""After this part of the epochs, this part of the candidates goes on: those with the lowest loss."""

RATE = 2e-3
"""Step size of the start, falling to 0, whatever that of the training after it. At 3e-3 fewer candidates
find all modes of the digits and MNIST, and at 1e-3 they stay in merged ones (docs/research.md)."""


class Started(NamedTuple):
    """What the start gives.

    Attributes:
      params: Parameters to begin each seed with, R of them.
      anchor: The probabilities [R, N, K] that the regulariser "anchor" holds on to; None if all
        categories are free.
      before: The loss of the candidates that came to the end in their first epoch, [R, k].
      losses: Their loss at the end, [R, k].
      chosen: The number of each seed's candidate, [R].
      free: Whether each seed's categories are free to move, [R].
    """

    params: tuple[Params, ...]
    anchor: jax.Array | None
    before: np.ndarray
    losses: np.ndarray
    chosen: np.ndarray
    free: np.ndarray


def wanted(training: Training) -> bool:
    """Whether the settings ask for more than fresh weights."""
    return starts.of(training.start) != Start()


def check(training: Training, config: Config, labels: Any) -> None:
    """Raise `UserError` if the start does not suit the model or the settings."""
    start = starts.of(training.start)
    if not wanted(training):
        return
    if not priors.of(config).inferred:
        raise UserError(
            f"start is {training.start!r}, but a model with the prior {config.prior!r} has no q(c|x) "
            "that could start from it; choose start='fresh', or a prior such as 'cp'."
        )
    if start.free and "consistency" not in dict(training.regularisers):
        raise UserError(
            f"start is {training.start!r}, which needs the regulariser 'consistency'; add it, with "
            "'balance' and 'certainty', or choose another start."
        )
    if start.labels and labels is None:
        raise UserError(
            "start is 'labels', but no training example has one; give fit the categories to start "
            "from, or choose another start."
        )


def anchored(training: Training) -> bool:
    """Whether training may hold on to the partition that the categories started from."""
    return "anchor" in dict(training.regularisers)


def described(training: Training, started: Started) -> dict[str, Any]:
    """How the categories started, in JSON form."""
    return {
        "start": training.start,
        "before": started.before.tolist(),
        "losses": started.losses.tolist(),
        "chosen": started.chosen.tolist(),
        "free": started.free.tolist(),
    }


def in_memory(training: Training, state: TrainState, placed: Whole, mesh: Mesh | None) -> Whole:
    """The training data, or a sample of data that are streamed, with what the view measures on them."""
    if not isinstance(placed.x, Rows):
        return placed
    return examples.whole(training, state, jnp.asarray(sample_of(placed.x)), mesh)


def categories(
    training: Training,
    config: Config,
    keys: jax.Array,
    train: np.ndarray | Rows,
    placed: Whole,
    labels: Any = None,
    mesh: Mesh | None = None,
) -> Started:
    """Trains candidates for each seed, and keeps the one with the lowest loss.

    Args:
      training: The settings of the training that follows.
      config: The model.
      keys: The seeds' keys, [R].
      train: Training examples in the user's unit, for fresh parameters.
      placed: The same in the model's unit and in memory, with what the view measured on them.
      labels: The categories to start from, if the start is "labels".
      mesh: The devices.
    """
    start = starts.of(training.start)
    if start.gate and category.learned(config):
        # The regularisers alone ask for equal categories, which a learned p(c) is there to avoid.
        start = start._replace(partitions=start.partitions[:1], free=False, gate=False)
    R, kinds = len(keys), start.partitions * training.starts
    own = jnp.stack(
        [jax.random.fold_in(purpose(k, "start"), n) for k in keys for n in range(len(kinds))]
    )
    fit = _program(
        training, placed, "partition", max(1, training.start_epochs // (FIT if start.free else 1))
    )
    state = programs.begin(fit, own, config, train)
    params, targets, losses = _each(state, mesh), None, np.zeros((1, len(own)))
    if start.labels or start.partitions != (None,):
        inputs = _inputs(config, params[0], placed.x)
        targets = jnp.stack(list(_partitions(start, training.starts, config, keys, inputs, labels)))
        fitting = placed._replace(own=devices.everywhere(targets, mesh))
        state, losses = _train(fit, state, fitting, fit.how.training.epochs)
        params = _each(state, mesh)
    fitted, race = params, np.arange(len(own)).reshape(R, -1)
    if start.free:
        program = _program(training, placed, "regularisers", training.start_epochs)
        state = programs.begin(program, own, config, given=params)
        state, losses, race = _race(program, state, placed, race)
        losses, params = _from_perfect(losses, training, config.K), _each(state, mesh)
    table = np.nan_to_num(losses, nan=np.inf).reshape(len(losses), *race.shape)
    seeds, best = np.arange(R), np.argmin(table[-1], axis=1)
    free = np.full(R, start.free)
    if start.gate:
        first, last = table[0, seeds, best], table[-1, seeds, best]
        free = (last <= CONSISTENT * math.log(config.K)) & (last <= IMPROVED * first)
    chosen = np.where(free | (not start.gate), race[seeds, best], seeds * len(kinds))
    kept = [params[r * race.shape[1] + best[r]] if free[r] else fitted[chosen[r]] for r in seeds]
    anchor = None
    if targets is not None and not np.all(free):
        anchor = targets[chosen] * jnp.asarray(~free, jnp.float32)[:, None, None]
        shares = np.asarray(jnp.sum(anchor, axis=1))
        kept = [p if free[r] else category.expecting(p, shares[r]) for r, p in enumerate(kept)]
    return Started(tuple(kept), anchor, table[0], table[-1], chosen - seeds * len(kinds), free)


def _race(
    program: programs.Program, state: TrainState, data: Whole, race: np.ndarray
) -> tuple[TrainState, np.ndarray, np.ndarray]:
    """Trains candidates, and only the better ones to the end.

    Args:
      program: The training of q(c|x) by the regularisers.
      state: All candidates, [R C].
      data: The training data.
      race: Their numbers, [R, C].

    Returns:
      The state of those that came to the end, [R k]; their losses in each epoch, [epochs, R k]; and
      their numbers, [R, k].
    """
    epochs = program.how.training.epochs
    R, C = race.shape
    cut, keep = epochs // RACE, -(-C // RACE)
    if not cut or keep == C:
        return *_train(program, state, data, epochs), race
    state, losses = _train(program, state, data, cut)
    order = np.argsort(np.nan_to_num(losses[-1], nan=np.inf).reshape(R, C), axis=1)[:, :keep]
    places = (order + C * np.arange(R)[:, None]).ravel()
    state = jax.tree.map(lambda a: a[places], state)
    state, rest = _train(program, state, data, epochs - cut)
    return state, np.concatenate([losses[:, places], rest]), race.ravel()[places].reshape(R, keep)


def _program(training: Training, placed: Whole, objective: str, epochs: int) -> programs.Program:
    """The training of q(c|x) alone, on the means of what is drawn: without noise it needs fewer steps."""
    regularisers = tuple((name, w) for name, w in training.regularisers if name != "anchor")
    how = replace(
        training,
        objective=objective,
        regularisers=regularisers if objective == "regularisers" else (),
        learning_rate=RATE,
        epochs=epochs,
        decay_epochs=epochs,
    )
    return programs.program(how, programs.steps_per_epoch(placed.x, how), means=True)


def _train(
    program: programs.Program, state: TrainState, data: Whole, epochs: int
) -> tuple[TrainState, np.ndarray]:
    """Some epochs of a start, and the mean loss of each candidate over each of them, [epochs, R C]."""
    losses = []
    for _ in range(epochs):
        state, tally = program.run(state, data._replace(own=None), data.own)
        state = replace(state, epoch=state.epoch + 1)
        losses.append(np.asarray(tally["sum"]["loss"]) / np.asarray(tally["good"]))
    return state, np.stack(losses)


def _from_perfect(losses: np.ndarray, training: Training, K: int) -> np.ndarray:
    """Losses of the regularisers counted from balanced, certain and consistent categories, in nats."""
    weights = dict(training.regularisers)
    return (losses + weights.get("balance", 0.0) * math.log(K)) / weights["consistency"]


def _each(state: TrainState, mesh: Mesh | None) -> list[Params]:
    """The current parameters of all candidates, off the mesh."""
    params = devices.home(state.params, mesh)
    return [jax.tree.map(lambda a: a[i], params) for i in range(len(state.epoch))]  # noqa: B023


def _inputs(config: Config, params: Params, x: jax.Array) -> np.ndarray:
    """What the encoder sees of the examples, [N, X]."""
    likelihood = likelihoods.of(config)
    inputs = likelihood.standardise(params.likelihood, likelihood.expect(config, x))
    return np.asarray(inputs).reshape(len(x), -1)


def _partitions(
    start: Start, repeats: int, config: Config, keys: jax.Array, x: np.ndarray, labels: Any
) -> Iterator[jax.Array]:
    """The probabilities [N, K] that each candidate's q(c|x) is fitted to; zeros for fresh weights.

    Candidates of one seed and kind share a partition, and differ in their fresh weights.
    """
    for key in keys:
        found = []
        for number, partition in enumerate(start.partitions):
            if start.labels:
                given = probabilities.of_labels(config.K, labels, len(x))
            elif partition is None:
                given = np.zeros((len(x), config.K), np.float32)
            else:
                own = jax.random.fold_in(purpose(key, "partition"), number)
                given = partition(own, config, x)
                given = probabilities.of_partition(config.K, given, len(x))
            found.append(jnp.asarray(given))
        yield from found * repeats
