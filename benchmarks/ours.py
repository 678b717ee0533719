"""Our own programs, as the benchmark calls them: the one place that knows their interface.

Each returns `run() -> (seconds, mean of what it computed)`, the call of a user and no other.
Seeds side by side and runs on a GPU: not yet run on a GPU.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import cpvae_jax
from benchmarks import machine
from benchmarks.children import Child
from benchmarks.problem import LEARNING_RATE, SHAPE, TAU, Case, UnavailableError
from benchmarks.torch_programs import weights
from cpvae_jax import Config, Params, Training, train
from cpvae_jax.devices import Plan
from cpvae_jax.epoch import loss

Run = Callable[[], tuple[float, float]]


def require_device() -> None:
    """Raises `UnavailableError` where JAX does not find the device it was told to use."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # the second where its plug-in is missing
        wanted = os.environ.get("JAX_PLATFORMS")
        raise UnavailableError(
            f"JAX finds no {wanted} device; install the JAX that has it, or take --device cpu"
        ) from error


def config_of(case: Case) -> Config:
    hidden = (case.hidden, case.hidden)
    return Config(shape=SHAPE, K=case.K, latent=case.latent, hidden=hidden, model=case.model)


def ours(
    case: Case,
    images: Path,
    *,
    seeds: int = 1,
    plan: Plan | None = None,
    precision: str = "tensorfloat32",
    random: str = "threefry2x32",
    xla: str = "",
) -> Run:
    """Training epochs of `cpvae_jax`; the loss is that of the first seed.

    The PyTorch programs do not validate, so ours is given a single validation image. The
    KL has its full weight from the start and the temperature stays where it is, as theirs;
    products on a GPU are of TF32, as theirs. The rest are `benchmarks.choices`; `xla`, flags of
    the compiler, must come before the first use of JAX in a process.
    """
    if xla:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {xla}"
    require_device()
    training = Training(
        learning_rate=LEARNING_RATE,
        batch_size=case.batch,
        warmup=0,
        temperature=TAU,
        temperature_end=TAU,
        precision=precision,
    )
    grey = np.load(images)
    data = jax.device_put(grey.reshape(len(grey), -1))
    program = train.program(config_of(case), training, data, plan=plan)
    state = program.init(jax.random.split(jax.random.key(0, impl=random), seeds))

    def run_epoch() -> tuple[float, float]:
        nonlocal state
        start = perf_counter()
        state, metrics = jax.block_until_ready(train.advance(program, state, data, data[:1]))
        return perf_counter() - start, -float(metrics["train_bound"][0])

    return run_epoch


def a_core_each(case: Case, images: Path) -> Run:
    """An epoch of as many seeds as this process has cores, at once, in a process of one core each.

    Raises `UnavailableError` where the system does not keep a process on a core.
    """
    children = [
        Child("benchmarks.ours:on", case=case, images=images, core=core) for core in machine.cores()
    ]
    pool = ThreadPoolExecutor(len(children))

    def run_epochs() -> tuple[float, float]:
        start = perf_counter()
        losses = [loss for _, loss in pool.map(Child.run, children)]
        return perf_counter() - start, float(np.mean(losses))

    return run_epochs


def on(case: Case, images: Path, core: int) -> Run:
    """`ours` on one core."""
    os.sched_setaffinity(0, {core})
    return ours(case, images)


def _shapes(case: Case) -> Params:
    """The parameters without their numbers."""
    return jax.eval_shape(partial(cpvae_jax.initialise, config=config_of(case)), jax.random.key(0))


def gradient(case: Case) -> Any:
    """The program of a step's gradient, as a jaxpr: what is computed, before it is compiled."""
    x = jax.ShapeDtypeStruct((case.batch, config_of(case).size), jnp.float32)
    step = partial(loss, estimator="relaxed")
    of_params = jax.make_jaxpr(jax.grad(step, has_aux=True))
    return of_params(_shapes(case), jax.random.key(0), x, jnp.float32(1), jnp.float32(TAU))


def parameters(case: Case) -> int:
    """The count of numbers that the optimiser moves."""
    shapes = _shapes(case)
    trees = (shapes.encoder, shapes.decoder, shapes.prior)
    return sum(leaf.size for leaf in jax.tree.leaves(trees))


def _fresh(case: Case) -> Params:
    return cpvae_jax.initialise(jax.random.key(0), config_of(case))


def write_weights(case: Case, path: Path) -> Callable[[], None]:
    """Writes the parameters that all programs of a case score, for PyTorch's."""

    def run() -> None:
        require_device()
        arrays: dict[str, Any] = weights.named(jax.device_get(_fresh(case)))
        np.savez(path, **arrays)

    return run


def samples(case: Case, *, category: int | None, num: int) -> Run:
    """Images of one category."""
    params = _fresh(case)
    keys = iter(range(2**31))

    def run() -> tuple[float, float]:
        start = perf_counter()
        key = jax.random.key(next(keys))
        images = np.asarray(cpvae_jax.sample(params, key, category=category, num=num))
        return perf_counter() - start, float(images.mean())

    return run


def log_likelihood(case: Case, images: Path, *, samples: int) -> Run:
    """log p(x) by importance sampling."""
    params, grey = _fresh(case), np.load(images)
    keys = iter(range(2**31))

    def run() -> tuple[float, float]:
        start = perf_counter()
        key = jax.random.key(next(keys))
        values = cpvae_jax.log_likelihood(params, key, grey, samples=samples)
        return perf_counter() - start, float(values.mean())

    return run
