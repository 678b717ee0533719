"""Our own program, as the benchmark calls it: the one place that knows its interface."""

from collections.abc import Callable
from time import perf_counter

import jax
import numpy as np

from benchmarks.problem import HIDDEN, LATENT, LEARNING_RATE, TAU
from cpvae_jax import Config
from cpvae_jax.train import Training, program


def ours(K: int, images: np.ndarray, batch: int) -> Callable[[], tuple[float, float]]:
    """Training epochs of `cpvae_jax`: returns `run_epoch() -> (seconds, mean loss)`.

    The PyTorch programs do not validate, so ours is given a single validation image. The
    KL has its full weight from the start and the temperature stays where it is, as theirs.
    """
    config = Config(shape=images.shape[1:], K=K, latent=LATENT, hidden=(HIDDEN, HIDDEN))
    training = Training(
        learning_rate=LEARNING_RATE,
        batch_size=batch,
        warmup=0,
        temperature=TAU,
        temperature_end=TAU,
    )
    init, run = program(config, training)
    state = init(jax.random.key(0)[None])
    train = jax.device_put(images.reshape(len(images), -1))
    valid = train[:1]

    def run_epoch() -> tuple[float, float]:
        nonlocal state
        start = perf_counter()
        state, metrics = jax.block_until_ready(run(state, train, valid))
        return perf_counter() - start, -float(metrics["train_bound"][0])

    return run_epoch
