"""The programs of `cpvae_jax`: the only module that depends on its interface.

Each function returns `run() -> (seconds, mean of what it computed)`. Other versions of the benchmark
call `ours(case, images)` of this checkout (`against.py`), so that signature stays.
"""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np

import cpvae_jax
from benchmarks.problem import LEARNING_RATE, SHAPE, TAU, Case
from cpvae_jax import Config, Training, devices
from cpvae_jax.training import program as train

Run = Callable[[], tuple[float, float]]


def config_of(case: Case) -> Config:
    """The configuration of a case."""
    sizes = {"K": case.K, "latent": case.latent, "hidden": (case.hidden, case.hidden)}
    return Config.of_model(case.model, shape=SHAPE, **sizes)


def ours(case: Case, images: str | Path, *, seeds: int = 1, spread: bool = False) -> Run:
    """Training epochs; the value is the loss of the first seed.

    As in the PyTorch programs, the divergences have their full weight from the start, the
    temperature is constant, and products on a GPU are TF32. They do not validate, so the validation
    set here is a single image.

    Args:
        case: The model and the batch size.
        images: File of the images.
        seeds: Seeds trained in one program.
        spread: Whether the examples of a batch are spread over all devices of all processes.
    """
    training = Training(
        learning_rate=LEARNING_RATE,
        batch_size=case.batch,
        warmup=0,
        temperature=TAU,
        temperature_end=TAU,
        precision="tensorfloat32",
    )
    mesh = devices.mesh() if spread else None
    grey = np.load(images)
    program = train.program(training, len(grey) // case.batch, mesh=mesh)
    keys = jax.random.split(jax.random.key(0), seeds)
    state = train.begin(program, keys, config_of(case), grey)
    data, valid = (devices.everywhere(jnp.asarray(part), mesh) for part in (grey, grey[:1]))

    def run_epoch() -> tuple[float, float]:
        nonlocal state
        start = perf_counter()
        state, metrics = jax.block_until_ready(train.advance(program, state, data, valid))
        return perf_counter() - start, -float(metrics["train_bound"][0])

    return run_epoch


def samples(case: Case, *, category: int, num: int) -> Run:
    """Images of one category."""
    params, keys = cpvae_jax.initialise(jax.random.key(0), config_of(case)), _keys()
    return _timed(lambda: cpvae_jax.sample(params, next(keys), category=category, num=num))


def log_likelihood(case: Case, images: str | Path, *, samples: int) -> Run:
    """log p(x) by importance sampling."""
    params, keys = cpvae_jax.initialise(jax.random.key(0), config_of(case)), _keys()
    grey = np.load(images)
    return _timed(lambda: cpvae_jax.log_likelihood(params, next(keys), grey, samples=samples))


def _keys() -> Iterator[jax.Array]:
    return map(jax.random.key, count())


def _timed(compute: Callable[[], jax.typing.ArrayLike]) -> Run:
    def run() -> tuple[float, float]:
        start = perf_counter()
        values = np.asarray(compute())
        return perf_counter() - start, float(values.mean())

    return run
