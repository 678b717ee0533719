"""Views for self-consistency: altered copies of examples that keep their category, one file each.

`Training.view` names the view of the regulariser "consistency". A view of your own is a function
`(key, x) -> x′`, or a `View` record, registered under a name: see docs/extending.md.
"""

from __future__ import annotations

from cpvae_jax.config import Training
from cpvae_jax.objectives.views.base import View, of_function
from cpvae_jax.registry import VIEWS

register = VIEWS.register
names = VIEWS.names


def of(training: Training) -> View:
    """The view that training settings name."""
    part = VIEWS[training.view]
    return part if isinstance(part, View) else of_function(training.view, part)
