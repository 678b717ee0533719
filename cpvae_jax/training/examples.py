"""The data that `fit` is given: checked, split, and brought to the unit of the model."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from cpvae_jax import checks, devices, objectives, processes
from cpvae_jax.config import Config, Training
from cpvae_jax.data.dataset import split, tenth
from cpvae_jax.data.labels import UNLABELLED, known
from cpvae_jax.data.rows import Rows
from cpvae_jax.errors import UserError
from cpvae_jax.training import program as programs
from cpvae_jax.training import weights
from cpvae_jax.training.step import TrainState
from cpvae_jax.training.whole import Whole

Data = jax.Array | Rows


class Given(NamedTuple):
    """What a training is given, in the user's unit.

    Attributes:
      train: Training examples [N, *shape].
      valid: Validation examples [M, *shape]; where examples have weights, each as often as it weighs.
      categories: A category for each training example, [N], or None.
      weights: The weights of the training examples, [N], or None if they weigh alike.
    """

    train: np.ndarray | Rows
    valid: np.ndarray
    categories: np.ndarray | None = None
    weights: np.ndarray | None = None


def checked(
    config: Config, train: Any, valid: Any = None, categories: Any = None, sample_weight: Any = None
) -> Given:
    """Training and validation examples, and what belongs to the training examples.

    Args:
      config: The model.
      train: Training examples in any container, or `Rows`.
      valid: Validation examples; without them a tenth of the training examples is held out.
      categories: A category for each example of `train`, or None.
      sample_weight: A weight for each example of `train`, or None.

    Raises:
      UserError: The data do not suit the model, or no example can be held out.
    """
    if isinstance(train, Rows) and valid is None:
        raise UserError("valid is missing; with Rows to train on, give validation examples too.")
    checks.array(valid, "valid")
    if valid is not None:
        found = checks.examples(config, {"train": train, "valid": valid})
        of_train = found["train"]
        return Given(
            of_train,
            found["valid"],
            _one_each(categories, len(of_train)),
            weights.checked(sample_weight, of_train),
        )
    whole = checks.examples(config, {"train": train})["train"]
    if len(whole) == 1:
        raise UserError(
            "train has 1 example, and without valid one is held out; give at least 2, or valid."
        )
    given = _one_each(categories, len(whole))
    each = weights.checked(sample_weight, whole)
    kept, held, _ = split(len(whole), valid=tenth(len(whole)), test=0, of="train")
    if each is not None and not (each[kept].any() and each[held].any()):
        kept = held = np.flatnonzero(each)  # too few examples weigh anything to hold some out
    of_held = None if each is None else each[held]
    return Given(
        whole[kept],
        weights.repeated(whole[held], of_held),
        None if given is None else given[kept],
        None if each is None else each[kept],
    )


def _one_each(categories: Any, num: int) -> np.ndarray | None:
    """Categories to start from, as an array with one entry per training example."""
    if categories is None:
        return None
    found, has = known("categories", categories)
    if len(found) != num:
        raise UserError(
            f"categories has {len(found)} entries, but train has {num} examples; give one for each, "
            "with -1 where it is not known."
        )
    return np.where(has, found, "" if found.dtype.kind == "U" else UNLABELLED)


def prepared(
    state: TrainState, train: np.ndarray | Rows, valid: np.ndarray, mesh: Mesh | None
) -> tuple[Data, jax.Array]:
    """The same examples in the unit of the model, by its constants, which all seeds share.

    Warns if they seem to have another unit than the data that the model was begun with.
    """
    params = programs.best_params(state, 0, mesh)
    placed = checks.prepared(params, valid, "valid")
    assert not isinstance(placed, Rows)
    return checks.prepared(params, train, "train"), placed


def whole(
    training: Training,
    state: TrainState,
    train: Data,
    mesh: Mesh | None,
    each: np.ndarray | None = None,
) -> Whole:
    """Training data in the unit of the model, laid out for training, and what a view measures on them.

    It follows from the data and the settings alone, so a resumed run measures the same.
    """
    params = programs.best_params(state, 0, mesh)
    measured = processes.told(objectives.measure(training, params, train))
    placed = train if isinstance(train, Rows) else devices.everywhere(train, mesh)
    shares = None if each is None else devices.everywhere(weights.cumulative(each), mesh)
    return Whole(placed, devices.everywhere(measured, mesh), shares=shares)
