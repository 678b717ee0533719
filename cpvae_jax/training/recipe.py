"""Recipes: named settings of training, which may depend on the model and the size of the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import optax

from cpvae_jax import values
from cpvae_jax.config import Config, Training
from cpvae_jax.errors import UserError
from cpvae_jax.registry import LIKELIHOODS, PRIORS, RECIPES

register = RECIPES.register
names = RECIPES.names


def _no_fields(shape: tuple[int, ...], examples: int) -> dict[str, Any]:
    """The defaults of `Config`."""
    del shape, examples
    return {}


class Recipe(NamedTuple):
    """Settings of training under a name.

    Attributes:
      training: (config, number of training examples) to the settings.
      description: What the recipe is for, in a few words.
      model: (shape of an example, number of training examples) to fields of `Config` that commands
        use where no flag gives another value.
    """

    training: Callable[[Config, int], Training]
    description: str
    model: Callable[[tuple[int, ...], int], dict[str, Any]] = _no_fields


def default(config: Config) -> str:
    """The name of the recipe where none is given: "modes" if the model infers one of several categories.

    >>> default(Config(shape=(2,), K=3)), default(Config(shape=(2,), K=1))
    ('modes', 'paper')
    """
    return "modes" if config.K > 1 and PRIORS[config.prior].inferred else "paper"


def resolve(recipe: str | Recipe | Training | None, config: Config, examples: int) -> Training:
    """The settings of a recipe: given by name, as a record, or spelled out; None takes the default.

    Raises:
      UserError: There is no recipe of that name.

    >>> resolve("short", Config(shape=(2,)), 1000).epochs
    100
    """
    if isinstance(recipe, Training):
        return recipe
    if recipe is None:
        recipe = default(config)
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


IMAGES = (("consistency", 10.0), ("balance", 4.0), ("certainty", 1.0))
"""Regularisers in nats that keep q(c|x) where the start brought it. Ten times as much costs 2 to 3 nats
of the bound and gains no accuracy (docs/research.md)."""

TABLES = (("consistency", 10.0), ("balance", 4.0), ("certainty", 1.0), ("anchor", 40.0))
"""Tables have no views that are known to keep the category, so consistency weighs less, and the
categories stay near the mixture that they start from where nothing speaks for another partition."""

RADIUS = 0.3
"""Share of the distance to the tenth neighbour: at 0.4 small tables lose the partition that they start
from, and at 0.2 pendigits gains less (docs/research.md)."""

STEPS, EPOCHS = 50_000, 150
"""Training on images takes so many steps, but no more epochs than this."""

FEW = 10_000
"""Below this number of images a candidate of the start costs little, so there are twice as many."""


def _modes(config: Config, examples: int) -> Training:
    """Views and start by the kind of data, batches and epochs by their number.

    A large learning rate matters: at 1e-3 or below, categories stay in merged modes. Columns of levels
    make any partition by one of them consistent, so there the regularisers cannot judge a partition, and
    the start is the mixture of the columns' kinds (`starts.classes`).
    """
    images = values.of_images(config.shape)
    training = _modes_of_images(examples) if images else _modes_of_tables(examples)
    if LIKELIHOODS[config.likelihood].coded:
        training = replace(training, start="mixture")
    if config.K > 1 and PRIORS[config.prior].inferred:
        return training
    return replace(training, regularisers=(), start="fresh", starts=1)  # the same schedule


def _modes_of_images(examples: int) -> Training:
    """The schedule of "short" from a better start, stretched where an epoch has few steps."""
    per_epoch = max(1, examples // Training.batch_size)
    epochs = min(EPOCHS, max(1, STEPS // per_epoch))
    warm = max(1, epochs // 10)
    return Training(
        epochs=epochs,
        decay_epochs=epochs,
        warmup=warm,
        temperature_epochs=warm,
        learning_rate=3e-3,
        view="affine",
        regularisers=IMAGES,
        start="regularisers",
        starts=24 if examples < FEW else 12,
        start_epochs=min(60, max(1, STEPS // 5 // per_epoch)),
    )


def _modes_of_tables(examples: int) -> Training:
    """A number of steps, whatever the number of rows: a table of 150 needs as many as one of 5,000."""
    batch = min(100, max(32, examples // 4))
    steps = 2000 if examples <= 1000 else 5000
    per_epoch = max(1, examples // batch)
    epochs = -(-steps // per_epoch)
    warm = max(1, round(0.3 * epochs))
    return Training(
        epochs=epochs,
        decay_epochs=epochs,
        warmup=warm,
        temperature_epochs=warm,
        patience=epochs,
        learning_rate=2e-3,
        batch_size=batch,
        view="adversarial",
        view_radius=RADIUS,
        regularisers=TABLES,
        start="adaptive",
        starts=2,
        start_epochs=max(1, 2000 // per_epoch),
    )


LONGER = 4
"""How many times the steps of `modes` the recipe `tight` takes: a flow goes on improving."""


def _tight(config: Config, examples: int) -> Training:
    """The start and the regularisers of `modes`, then smaller steps for longer, on true categories.

    A flow's divergence is estimated at its draw, so a draw of c has to be a category: the mixture of
    several contexts that a relaxed draw stands for is the posterior of none.
    """
    modes = _modes(config, examples)
    times = {
        name: LONGER * getattr(modes, name)
        for name in ("epochs", "decay_epochs", "warmup", "temperature_epochs", "patience")
    }
    return replace(
        modes, **times, learning_rate=1e-3, estimator="straight-through", averaging=0.999
    )


def _tight_model(shape: tuple[int, ...], examples: int) -> dict[str, Any]:
    return {**_modes_model(shape, examples), "posterior": "iaf"}


def _modes_model(shape: tuple[int, ...], examples: int) -> dict[str, Any]:
    """Of tables, a latent dimension and widths by the number of columns and rows."""
    if values.of_images(shape):
        return {}
    width = 64 if examples <= 1000 else 128
    return {"latent": min(16, max(2, math.prod(shape))), "hidden": (width, width)}


PAPER = Recipe(_paper, "the paper's: step size 5e-4, warm-up over 100 epochs, early stopping")
SHORT = Recipe(
    _short,
    "100 epochs, step size 3e-3 (two levels: 1e-3) falling to 0 along half a cosine, warm-up over 10",
)
LONG = Recipe(_long, "400 epochs, step size 1e-3 falling to 0 along half a cosine, warm-up over 40")
MODES = Recipe(
    _modes,
    "categories that follow the modes of the data: regularisers ask for the same category in every "
    "view of an example, and the start is the best of several candidates",
    _modes_model,
)
TIGHT = Recipe(
    _tight,
    "the tightest bound: categories as in modes, a flow as posterior, four times the steps at 1e-3, "
    "averaged weights",
    _tight_model,
)
