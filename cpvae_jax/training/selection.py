"""`select`: how many categories do the data have?"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from cpvae_jax import checks, devices, processes, values
from cpvae_jax.config import Config, Training
from cpvae_jax.data.rows import Rows
from cpvae_jax.errors import UserError
from cpvae_jax.evaluation import overlap
from cpvae_jax.evaluation.categories import effective_number
from cpvae_jax.evaluation.estimates import bound_terms
from cpvae_jax.evaluation.overlap import Merge
from cpvae_jax.keys import purpose
from cpvae_jax.merging import merge as merged
from cpvae_jax.storage import files, folders, run_folder
from cpvae_jax.training import examples, numbers
from cpvae_jax.training import recipe as recipes
from cpvae_jax.training.callbacks import Callback
from cpvae_jax.training.fit import Fit, fit
from cpvae_jax.training.run import Run
from cpvae_jax.types import Params

DRAWS = 50_000
"""Draws of z for a bound, over all validation examples: at least one per example, and more where
they are few. With one draw for each of 250 rows of 10 columns, the noise of z alone was 0.2 nats."""

Report = Callable[[str], Any]


class Selection(NamedTuple):
    """What `select` returns.

    Attributes:
      params: The model with the chosen K; its categories are merged where they are one.
      K: The chosen number of components.
      categories: The number of categories after merging.
      table: One record per K, `pandas.DataFrame(table)` is a plain table: "K"; "bound", the mean
        over the validation examples; "bound_error", its standard error; "behind", how far it is below the
        best one; "behind_error", the standard error of this difference, paired by example; and
        "effective_number" of categories in use. Bounds are in nats.
      fits: What `fit` returned, by K.
      merges: The merges in their order, with how much the two categories were mixed up.
      stopped: The signal that ended the selection before its end, such as "SIGINT", or None.
    """

    params: Params
    K: int
    categories: int
    table: list[dict[str, float]]
    fits: dict[int, Fit]
    merges: list[Merge]
    stopped: str | None

    def __repr__(self) -> str:
        tried = ", ".join(str(row["K"]) for row in self.table)
        plural = "y" if self.categories == 1 else "ies"
        return f"Selection(K={self.K}, {self.categories} categor{plural}, of K = {tried})"


def select(
    key: jax.Array,
    config: Config,
    train: jax.typing.ArrayLike | Rows,
    valid: jax.typing.ArrayLike | None = None,
    *,
    K: Any = numbers.AUTO,
    recipe: str | recipes.Recipe | Training = "modes",
    merge: bool | float = True,
    optimiser: optax.GradientTransformation | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback | Callable[[Run], Any]] | None = None,
    mesh: Mesh | None = None,
) -> Selection:
    """Fit models with different K, and choose the number of categories without labels.

    All models see the same training and validation examples. From the K with the best true
    validation bound, the choice goes down as long as the next smaller one is at most one standard
    error behind; errors are those of differences per example. Then categories that the model
    itself mixes up become one (`evaluation.overlap`). That leaves the bound as it is: `merge`
    keeps the components.

    Without regularisers the bound hardly depends on K, because the code z can tell modes in one
    category apart. So the default is the recipe "modes", which ties the categories to the modes.

    Args:
      key: A random key, or an array [R] of keys for R starts per K, of which the one with the best
        validation bound counts.
      config: The configuration of the model; its K is replaced.
      train: Training examples [N, *shape], or `Rows`.
      valid: Validation examples [M, *shape]; without them a tenth of the training examples is held out.
      K: The numbers to try, such as range(2, 13). "auto" tries 2, 3, 4, 6, 8, 12, 16, … until
        three in a row are behind the best, at most a 20th of the training examples and at most
        100, and then the numbers around the best.
      recipe: As for `fit`; it may depend on K.
      merge: Merge categories that are one; or the share of mixed-up samples from which two are, as
        for `merge_overlapping`.
      optimiser: As for `fit`.
      folder: A folder with a run folder for each K, K002 and so on.
      resume: Continue the selection in `folder`; finished fits are read, not repeated.
      callbacks: As for `fit`.
      mesh: As for `fit`.

    Returns:
      A `Selection`. After Ctrl-C it has the models until then, with nothing merged.

    Raises:
      UserError: K is no range, the prior has no categories, or as `fit`.

    >>> x = np.random.default_rng(0).normal(size=(60, 2))
    >>> config = Config(shape=(2,), latent=2, hidden=(8,), likelihood="gaussian")
    >>> found = select(jax.random.key(0), config, x, K=[1, 2], recipe=Training(epochs=2, warmup=1))
    >>> [row["K"] for row in found.table], found.K in (1, 2)
    ([1, 2], True)
    """
    wanted = numbers.given(K)
    least = None if isinstance(merge, bool) else values.positive("merge", merge)
    if resume and folder is None:
        raise UserError("resume needs the folder of the selection; give it as folder.")
    keys = checks.keys(key)
    checks.configuration(config)
    devices.check(mesh)
    numbers.check_prior(config.prior)
    config = replace(config, groups=None)
    train_data, valid_data, *_ = examples.checked(config, train, valid)
    if wanted is not None and max(wanted) > len(train_data):
        raise UserError(
            f"K is {max(wanted)}, but there are {len(train_data)} training examples; give at most as "
            "many categories."
        )
    first = keys.reshape(-1)[0]
    root = None if folder is None else folders.resolved(folder)

    def fitted(number: int) -> Fit:
        place = None if root is None else of_number(root, number)
        (there,) = processes.largest(resume and place is not None and begun(place))
        return fit(
            keys,
            replace(config, K=number),
            train_data,
            valid_data,
            recipe=recipe,
            optimiser=optimiser,
            folder=place,
            resume=bool(there),
            callbacks=callbacks,
            mesh=mesh,
        )

    fits: dict[int, Fit] = {}
    bounds: dict[int, np.ndarray] = {}
    stopped = None
    while (number := _next(wanted, bounds, len(train_data))) is not None:
        fits[number] = found = fitted(number)
        bounds[number] = bound_terms(
            found.params,
            purpose(first, "selection"),
            valid_data,
            samples=-(-DRAWS // len(valid_data)),
            mesh=mesh,
        )["bound"]
        if found.stopped in signal.Signals.__members__:
            stopped = found.stopped
            break
    rows = numbers.table(bounds)
    for row in rows:
        params = fits[int(row["K"])].params
        row["effective_number"] = effective_number(np.asarray(params.aggregate))
    best = numbers.chosen(rows)
    params, order = fits[best].params, list[Merge]()
    if merge and best > 1 and stopped is None:
        params, order = merge_overlapping(purpose(first, "overlap"), params, least=least)
    return Selection(params, best, params.config.categories, rows, fits, order, stopped)


def merge_overlapping(
    key: jax.Array, params: Params, *, least: float | None = None
) -> tuple[Params, list[Merge]]:
    """Merge categories that the model itself mixes up.

    Args:
      key: A random key.
      params: The model.
      least: From which share of mixed-up samples two categories are one: of the samples of one
        that the model assigns to either, those that it assigns to the other. 1/2 for categories that
        do not differ at all; above 1 nothing is merged. By default 0.25, or 0.023 for images
        (`overlap.threshold`).

    Returns:
      The model, and the merges in their order.
    """
    mixed = overlap.mixed_up(params, key)
    share = overlap.threshold(params.config) if least is None else least
    groups, order = overlap.merges(mixed, np.asarray(params.aggregate), share)
    return merged(params, groups), order


def _next(wanted: Sequence[int] | None, bounds: dict[int, np.ndarray], rows: int) -> int | None:
    """The next K to try, or None when all are known."""
    if wanted is None:
        return numbers.following(bounds, 2, numbers.most(rows))
    return next((K for K in wanted if K not in bounds), None)


def of_number(root: Path, K: int) -> Path:
    """The run folder of one K in the folder of a selection.

    >>> of_number(Path("selection"), 5).name
    'K005'
    """
    return root / f"K{K:03d}"


def begun(place: Path) -> bool:
    """Whether a run folder holds a run to continue; only the first process looks."""
    if not processes.first():
        return False
    with files.reading(place):
        return files.there(place / run_folder.CONFIG)
