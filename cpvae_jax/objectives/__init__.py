"""What training minimises: objectives, and regularisers that add to any of them.

A part of your own is a function that makes one from the training settings, registered under a
name: see docs/extending.md.
"""

from __future__ import annotations

from cpvae_jax.config import Training
from cpvae_jax.objectives.base import Objective, Regulariser, regularised
from cpvae_jax.registry import OBJECTIVES, REGULARISERS

register = OBJECTIVES.register
register_regulariser = REGULARISERS.register


def of(training: Training) -> Objective:
    """The objective that training settings name, with their regularisers."""
    objective: Objective = OBJECTIVES[training.objective](training)
    added: list[tuple[str, Regulariser, float]] = [
        (name, REGULARISERS[name](training), weight) for name, weight in training.regularisers
    ]
    return regularised(objective, added) if added else objective
