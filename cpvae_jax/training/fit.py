"""`fit`, the training loop: of Python users and of the commands alike."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from cpvae_jax import checks, devices, objectives
from cpvae_jax.config import Config, Training
from cpvae_jax.data.rows import Rows
from cpvae_jax.errors import UserError
from cpvae_jax.evaluation import aggregate
from cpvae_jax.keys import purpose
from cpvae_jax.storage import arrays, run_folder
from cpvae_jax.storage.run_folder import RunFolder
from cpvae_jax.training import continuing, doubts, examples, starting, weights
from cpvae_jax.training import program as programs
from cpvae_jax.training import recipe as recipes
from cpvae_jax.training.callbacks import (
    Bar,
    Callback,
    Checkpoint,
    Interrupt,
    Log,
    several,
)
from cpvae_jax.training.program import Program
from cpvae_jax.training.run import Row, Run, rows
from cpvae_jax.training.step import SKIPS, TrainState
from cpvae_jax.training.whole import Whole
from cpvae_jax.types import Params


class Fit(NamedTuple):
    """What `fit` returns.

    Attributes:
      params: The best parameters by the validation bound, over all seeds.
      history: One record per epoch and seed; `pandas.DataFrame(history)` is a plain table.
      state: The final training state, with a leading axis R.
      seeds: The best parameters of each seed; after Ctrl-C only those of the best one.
      stopped: Why training stopped before its end, such as "SIGINT"; None if it did not.
    """

    params: Params
    history: list[Row]
    state: TrainState
    seeds: tuple[Params, ...]
    stopped: str | None

    def __repr__(self) -> str:
        best = float(np.max(np.asarray(self.state.best_bound)))
        epochs = int(np.max(np.asarray(self.state.epoch)))
        return f"Fit({self.params!r}, {epochs} epochs, best validation bound {best:.2f} nats)"


def fit(
    key: jax.Array,
    config: Config,
    train: jax.typing.ArrayLike | Rows,
    valid: jax.typing.ArrayLike | None = None,
    *,
    recipe: str | recipes.Recipe | Training | None = None,
    optimiser: optax.GradientTransformation | None = None,
    init: Params | None = None,
    categories: jax.typing.ArrayLike | None = None,
    sample_weight: jax.typing.ArrayLike | None = None,
    folder: str | os.PathLike[str] | RunFolder | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback | Callable[[Run], Any]] | None = None,
    mesh: Mesh | None = None,
) -> Fit:
    """Train a model until the validation bound stops rising.

    Ctrl-C ends training after the current epoch and returns the best model so far, with a
    warning. So does a divergence: five steps in a row whose loss or gradient is not finite. Other
    warnings: training is to end inside the warm-up, or it left categories that carry almost nothing.

    Args:
      key: A random key, or an array [R] of keys to train R seeds in one program.
      config: The configuration of the model.
      train: Training examples [N, *shape]; `Rows` for data larger than memory.
      valid: Validation examples for early stopping [M, *shape]. Without them a tenth of the
        training examples is held out at random, always the same ones.
      recipe: The name of a recipe (`training.recipe.names()`), or a `Training` with all settings. By
        default "modes" for a model that infers one of several categories, else "paper".
      optimiser: Any optax transformation in place of Adam with the recipe's schedule.
      init: Parameters to start from, such as those of an earlier model, in place of fresh ones and
        of the recipe's start.
      categories: Categories to start from, a whole number or string for each training example with
        -1 where it is not known. Training then moves q(c|x) freely. They take the place of the
        recipe's start.
      sample_weight: A weight from 0 for each training example [N]: an example of weight 2 counts as
        two. Partitions that categories start from, such as k-means, are of the bare examples.
      folder: A new folder for checkpoints and a log; `cpvae_jax.load` reads the model from it.
      resume: Continue the training in `folder`, on the same data, to the same numbers as without a
        break.
      callbacks: Called after each epoch; see `training.callbacks`. By default a progress bar.
      mesh: Devices to spread seeds and batches over; see `cpvae_jax.devices.mesh`.

    Returns:
      A `Fit`, with the parameters of the best seed and the history of all.

    Raises:
      UserError: The data do not suit the model, or the folder cannot be used.

    >>> from sklearn.datasets import load_iris
    >>> x = load_iris().data
    >>> config = Config(shape=(4,), K=3, latent=2, hidden=(16,), likelihood="gaussian")
    >>> result = fit(jax.random.key(0), config, x, recipe=Training(epochs=2, warmup=1))
    >>> len(result.history), result.params.aggregate.shape
    (2, (3,))
    """
    if resume and folder is None:
        raise UserError("resume needs the folder of the run; give it as folder.")
    keys = jnp.atleast_1d(checks.keys(key))
    checks.configuration(config)
    devices.check(mesh)
    train_data, valid_data, given, each = examples.checked(
        config, train, valid, categories, sample_weight
    )
    training = recipes.resolve(recipe, config, len(train_data))
    if given is not None:
        training = replace(training, start="labels")
    _warn(doubts.cut_short(training, training.epochs, planned=True))
    _check(config, init, optimiser)
    given_callbacks = several((Bar(),) if callbacks is None else callbacks)
    objectives.check(training, config, train_data)
    starting.check(training, config, given)
    program = programs.program(
        training,
        programs.steps_per_epoch(train_data, training),
        optimiser=optimiser,
        mesh=mesh,
    )
    state = programs.begin(program, keys, config, train_data, init)
    if folder is not None:
        arrays.named(state)  # before training: can it be saved?
    data = {"train": train_data, "valid": valid_data, "weights": each}
    with continuing.opened(folder, config, training, keys, data, resume) as opened:
        if opened is not None and resume:
            state = continuing.resumed(opened, state, mesh)
        prepared = examples.prepared(state, train_data, valid_data, mesh)
        placed = examples.whole(training, state, prepared[0], mesh, each)
        prepared = (weights.repeated(prepared[0], each), prepared[1])  # for q(c)
        started, begun = None, bool(np.any(np.asarray(state.epoch)))
        if (
            init is None
            and starting.wanted(training)
            and not (begun and not starting.anchored(training))
        ):
            sample = starting.in_memory(training, state, placed, mesh)
            started = starting.categories(training, config, keys, train_data, sample, given, mesh)
            placed = placed._replace(own=devices.everywhere(started.anchor, mesh))
            if not begun:
                state = programs.begin(program, keys, config, given=started.params)
        if started is not None and opened is not None:
            opened.write_json(run_folder.START, starting.described(training, started))
        run = Run(config, training, state, mesh=mesh, folder=opened, started=started)
        state = _loop(
            program, state, run, (placed, *prepared), _all_callbacks(given_callbacks, run)
        )
    _warn(_trouble(state, run))
    return run_result(run, state)


def _check(config: Config, init: Any, optimiser: Any) -> None:
    """Raise `UserError` for arguments of another type, or a start of another model."""
    if optimiser is not None and not hasattr(optimiser, "update"):
        raise UserError(
            f"optimiser is {optimiser!r}; give an optax transformation, such as optax.adam(1e-3)."
        )
    if init is None:
        return
    checks.model(init, "init")
    if init.config != config:
        raise UserError(
            f"init is a model with the configuration {init.config}, but config is {config}; give "
            "init.config as config."
        )


def _all_callbacks(given: Sequence[Callback], run: Run) -> list[Callback]:
    """The user's callbacks, and what every run needs: the log, checkpoints, and Ctrl-C."""
    found = list(given)
    if not any(isinstance(callback, Interrupt) for callback in found):
        found.append(Interrupt())
    if run.folder is not None:
        found.insert(0, Log())
        if not any(isinstance(callback, Checkpoint) for callback in found):
            found.append(Checkpoint())
    # Last, so that an interrupt or another callback's stop is known when it decides to save.
    return sorted(found, key=lambda callback: isinstance(callback, Checkpoint))


def _loop(
    program: Program,
    state: TrainState,
    run: Run,
    data: tuple[Whole, examples.Data, jax.Array],
    callbacks: Sequence[Callback],
) -> TrainState:
    """Epochs until every seed has stopped, or a callback asks to stop."""
    placed_train, train, valid = data
    mesh = run.mesh
    placed_valid = devices.everywhere(valid, mesh)
    with ExitStack() as stack:
        for callback in callbacks:
            stack.callback(callback.close)
            callback.start(run)
        began = time.monotonic()
        while not programs.finished(state, run.training) and run.stopped is None:
            state, metrics = programs.advance(program, state, placed_train, placed_valid)
            now = time.monotonic()
            run.advance(state, jax.tree.map(np.asarray, metrics), now - began)
            began = now
            for callback in callbacks:
                callback.epoch(run)
        run.keep(*_final(state, train, run))
        for callback in callbacks:
            callback.end(run)
    return state


def _final(state: TrainState, train: examples.Data, run: Run) -> tuple[int, tuple[Params, ...]]:
    """The best seed, and the best parameters of each; after a signal only those of the best one."""
    best = programs.best_seed(state)
    if run.interrupted:
        return 0, (finish(state, train, best, run.mesh),)
    count = len(state.epoch)
    return best, tuple(finish(state, train, seed, run.mesh) for seed in range(count))


def finish(
    state: TrainState, train: examples.Data, seed: int | None = None, mesh: Mesh | None = None
) -> Params:
    """The best parameters of a seed, by default of the best one, with q(c) over `train`."""
    index = programs.best_seed(state) if seed is None else seed
    params = programs.best_params(state, index, mesh)
    key = purpose(devices.home(state.key, mesh)[index], "categories")
    found = aggregate.mean_probs(params, key, train, mesh)
    return params.with_stats(aggregate=jnp.asarray(found))


def run_result(run: Run, state: TrainState) -> Fit:
    """The result of a run that has ended."""
    assert run.final is not None
    return Fit(run.final, rows(run.lines), devices.home(state, run.mesh), run.seeds, run.stopped)


def _trouble(state: TrainState, run: Run) -> str | None:
    """What went wrong: every seed diverged, a signal ended training, or categories are idle."""
    if np.all(np.asarray(devices.home(state.skips, run.mesh)) >= SKIPS):
        return (
            f"training diverged: {SKIPS} steps in a row in epoch {run.epoch} were not finite; the "
            "best parameters from before are returned. Try a smaller learning_rate."
        )
    if run.interrupted:
        return (
            f"training was stopped after epoch {run.epoch} ({run.stopped}); the best parameters so "
            "far are returned."
        )
    assert run.final is not None
    return doubts.serious(run.training, run.lines, programs.best_seed(state), run.final)


def _warn(text: str | None) -> None:
    """Warn, at the line that called `fit`."""
    if text is not None:
        warnings.warn(text, RuntimeWarning, stacklevel=3)
