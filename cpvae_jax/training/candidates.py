"""Candidates for the start of the categories: q(c|x) is fitted to partitions, or follows the regularisers
alone, in a race. Only the encoder's features and the head of q(c|x) are trained.
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

from cpvae_jax import devices, likelihoods
from cpvae_jax.config import Config, Training
from cpvae_jax.data.rows import Rows
from cpvae_jax.keys import purpose
from cpvae_jax.training import program as programs
from cpvae_jax.training.starts import probabilities
from cpvae_jax.training.starts.base import Start
from cpvae_jax.training.step import TrainState
from cpvae_jax.training.whole import Whole
from cpvae_jax.types import Params

FIT = 4
"""The fit to a partition takes this part of the epochs that the regularisers get after it."""

RACE = 3
"""After this part of the epochs, this part of the candidates goes on: those with the lowest loss."""

RATE = 2e-3
"""Step size of the start, falling to 0, whatever that of the training after it. At 3e-3 fewer candidates
find all modes of the digits and MNIST, and at 1e-3 they stay in merged ones (docs/research.md)."""


class Candidates(NamedTuple):
    """Candidates of R seeds, k of each.

    Attributes:
      params: Their parameters, R k of them.
      losses: Their loss in each epoch, [epochs, R, k]; infinite where it is not a number.
      numbers: Their numbers among all candidates of all seeds, [R, k].
    """

    params: list[Params]
    losses: np.ndarray
    numbers: np.ndarray


def fitted(
    start: Start,
    training: Training,
    config: Config,
    keys: jax.Array,
    own: jax.Array,
    train: np.ndarray | Rows,
    placed: Whole,
    labels: Any,
    mesh: Mesh | None,
) -> tuple[Candidates, jax.Array | None]:
    """All candidates, fitted to the partitions that they start from, and these, [R C, N, K], if any."""
    numbers = np.arange(len(own)).reshape(len(keys), -1)
    epochs = max(1, training.start_epochs // (FIT if start.free else 1))
    fit = _program(training, placed, "partition", epochs)
    state = programs.begin(fit, own, config, train)
    fresh = _each(state, mesh)
    if not start.labels and start.partitions == (None,):
        return Candidates(fresh, np.zeros((1, *numbers.shape)), numbers), None
    inputs = _inputs(config, fresh[0], placed.x)
    targets = jnp.stack(list(_partitions(start, training.starts, config, keys, inputs, labels)))
    fitting = placed._replace(own=devices.everywhere(targets, mesh))
    state, losses = _train(fit, state, fitting, epochs)
    return Candidates(_each(state, mesh), _table(losses, numbers), numbers), targets


def freed(
    training: Training,
    config: Config,
    own: jax.Array,
    given: Candidates,
    placed: Whole,
    mesh: Mesh | None,
) -> Candidates:
    """The candidates that come to the end of the race, after the regularisers alone."""
    program = _program(training, placed, "regularisers", training.start_epochs)
    state = programs.begin(program, own, config, given=given.params)
    state, losses, numbers = _race(program, state, placed, given.numbers)
    losses = _from_perfect(losses, training, config.K)
    return Candidates(_each(state, mesh), _table(losses, numbers), numbers)


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
        averaging=0.0,
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


def _table(losses: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Losses [epochs, R k] by seed, [epochs, R, k]; the worst where they are not numbers."""
    return np.nan_to_num(losses, nan=np.inf).reshape(len(losses), *numbers.shape)


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
