"""The start of the categories, before the bound is trained: q(c|x) takes over a partition of the data,
follows the regularisers alone, or does one after the other.

The bound does not mind categories that mix modes, and q(c|x) becomes certain within a few epochs. So
what it is at the start decides much of what it is at the end. Only the encoder's features and the
head of q(c|x) are trained here. Labels have a say only if the user gives them as the start.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from cpvae_jax import priors
from cpvae_jax.config import Config, Training
from cpvae_jax.data.rows import Rows, sample_of
from cpvae_jax.errors import UserError
from cpvae_jax.keys import purpose
from cpvae_jax.models import category
from cpvae_jax.training import candidates, examples, starts
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
    each = range(len(start.partitions) * training.starts)
    own = jnp.stack([jax.random.fold_in(purpose(key, "start"), n) for key in keys for n in each])
    fitted, targets = candidates.fitted(
        start, training, config, keys, own, train, placed, labels, mesh
    )
    ended = candidates.freed(training, config, own, fitted, placed, mesh) if start.free else fitted
    return _choice(start, config, fitted, ended, targets)


def _choice(
    start: Start,
    config: Config,
    fitted: candidates.Candidates,
    ended: candidates.Candidates,
    targets: jax.Array | None,
) -> Started:
    """Each seed's candidate with the lowest loss; its first one as fitted if the gate stays shut."""
    first, last = ended.losses[0], ended.losses[-1]
    seeds, best = np.arange(len(last)), np.argmin(last, axis=1)
    free = np.full(len(last), start.free)
    if start.gate:
        before, after = first[seeds, best], last[seeds, best]
        free = (after <= CONSISTENT * math.log(config.K)) & (after <= IMPROVED * before)
    leading = fitted.numbers[:, 0]
    chosen = np.where(free | (not start.gate), ended.numbers[seeds, best], leading)
    places = best + ended.numbers.shape[1] * seeds
    kept = [ended.params[places[r]] if free[r] else fitted.params[chosen[r]] for r in seeds]
    anchor = None
    if targets is not None and not np.all(free):
        anchor = targets[chosen] * jnp.asarray(~free, jnp.float32)[:, None, None]
        shares = np.asarray(jnp.sum(anchor, axis=1))
        kept = [p if free[r] else category.expecting(p, shares[r]) for r, p in enumerate(kept)]
    return Started(tuple(kept), anchor, first, last, chosen - leading, free)
