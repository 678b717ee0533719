"""What training minimises: objectives, and regularisers that add to any of them.

A part of your own is a function that makes one from the training settings, registered under a
name: see docs/extending.md.
"""

from __future__ import annotations

import jax

from cpvae_jax.config import Config, Training
from cpvae_jax.data.rows import Rows
from cpvae_jax.objectives import views
from cpvae_jax.objectives.base import (
    CheckedObjective,
    Objective,
    Regulariser,
    regularised,
    takes,
)
from cpvae_jax.objectives.views.base import Given
from cpvae_jax.registry import OBJECTIVES, REGULARISERS
from cpvae_jax.types import Params, Tree

register = OBJECTIVES.register
register_regulariser = REGULARISERS.register


def of(training: Training) -> Objective:
    """The objective that training settings name, with their regularisers."""
    objective: Objective = OBJECTIVES[training.objective](training)
    added: list[tuple[str, Regulariser, float]] = [
        (name, REGULARISERS[name](training), weight) for name, weight in training.regularisers
    ]
    return regularised(objective, added) if added else objective


def check(training: Training, config: Config, data: Given) -> None:
    """Raise `UserError` if the objective of the settings, or the view where it is used, does not suit.

    Args:
      training: The settings.
      config: The model.
      data: Training examples [N, *shape] in any unit.
    """
    objective = OBJECTIVES[training.objective]
    if isinstance(objective, CheckedObjective):
        objective.check(training, config)
    if _uses_view(training):
        views.of(training).check(config, data)


def measure(training: Training, params: Params, data: jax.Array | Rows) -> Tree:
    """What the view of the settings measures once on all training data; None if it is not used.

    Args:
      training: The settings.
      params: The model, of which only constants of the data are read.
      data: Training examples [N, *shape] in the model's unit.
    """
    return views.of(training).measure(training, params, data) if _uses_view(training) else None


def _uses_view(training: Training) -> bool:
    """Whether a regulariser asks where examples come from, and so may ask for the view of one."""
    return any(takes(REGULARISERS[name](training), "source") for name, _ in training.regularisers)
