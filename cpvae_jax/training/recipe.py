"""Recipes: named settings of training, which may depend on the model and the size of the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import optax

from cpvae_jax.config import Config, Training
from cpvae_jax.errors import UserError
from cpvae_jax.registry import RECIPES

register = RECIPES.register
names = RECIPES.names


class Recipe(NamedTuple):
    """Settings of training under a name.

    Attributes:
      training: (config, number of training examples) to the settings.
      description: What the recipe is for, in a few words.
    """

    training: Callable[[Config, int], Training]
    description: str


def resolve(recipe: str | Recipe | Training, config: Config, examples: int) -> Training:
    """The settings of a recipe: given by name, as a record, or spelled out.

    Raises:
      UserError: There is no recipe of that name.

    >>> resolve("short", Config(shape=(2,)), 1000).epochs
    100
    """
    if isinstance(recipe, Training):
        return recipe
    if isinstance(recipe, str):
        recipe = RECIPES[recipe]
    if not isinstance(recipe, Recipe):
        raise UserError(
            f"recipe is {recipe!r}; give a name, one of {', '.join(names())}, a Recipe, or a Training."
        )
    return recipe.training(config, examples)


def optimiser(training: Training, steps_per_epoch: int) -> optax.GradientTransformation:
    """Adam with the learning-rate schedule of the settings: constant, or half a cosine to 0."""
    if not training.decay_epochs:
        return optax.adam(training.learning_rate)
    steps = training.decay_epochs * steps_per_epoch
    return optax.adam(optax.cosine_decay_schedule(training.learning_rate, steps))


def _paper(config: Config, examples: int) -> Training:
    del config, examples
    return Training()


def _short(config: Config, examples: int) -> Training:
    """Two levels take smaller steps: at 3e-3 HVP diverged in its 40th epoch, HVAE in its 50th."""
    del examples
    rate = 1e-3 if config.levels == 2 else 3e-3
    return Training(
        epochs=100, decay_epochs=100, warmup=10, temperature_epochs=10, learning_rate=rate
    )


def _long(config: Config, examples: int) -> Training:
    short = _short(config, examples)
    return replace(
        short, epochs=400, decay_epochs=400, warmup=40, temperature_epochs=40, learning_rate=1e-3
    )


CONSISTENT = (("consistency", 100.0), ("balance", 40.0), ("certainty", 10.0))
"""Regularisers in nats that outweigh the bound on q(c|x), and leave everything else to it."""


def _modes(config: Config, examples: int) -> Training:
    """A large learning rate matters: at 1e-3 or below, categories stay in merged modes."""
    if len(config.shape) not in (2, 3):
        raise UserError(
            f"the recipe 'modes' needs images, but an example has the shape {config.shape}; choose "
            "another recipe."
        )
    return Training(
        epochs=150,
        decay_epochs=150,
        warmup=50,
        temperature_epochs=50,
        learning_rate=2e-3,
        batch_size=500 if examples >= 20_000 else 100,
        regularisers=CONSISTENT,
    )


PAPER = Recipe(_paper, "the paper's: step size 5e-4, warm-up over 100 epochs, early stopping")
SHORT = Recipe(
    _short,
    "100 epochs, step size 3e-3 (two levels: 1e-3) falling to 0 along half a cosine, warm-up over 10",
)
LONG = Recipe(_long, "400 epochs, step size 1e-3 falling to 0 along half a cosine, warm-up over 40")
MODES = Recipe(
    _modes,
    "categories that follow the modes of images: 150 epochs, step size 2e-3 falling to 0, and "
    "regularisers that ask for the same category in every affine view of an image",
)
