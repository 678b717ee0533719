"""An epoch of one seed: the state, a step of the optimiser, validation, early stopping.

Eq. (10), Eq. (11) and Eq. (12) of the paper are gradients of one expression: reparametrised draws
of c and z carry gradients to the encoder (11), the decoder (10) and, through the exact
divergence, to the priors (12). `jax.grad` of `loss` is all three. The paper prints (12) with a
minus sign before ∇ log p(z|c), which belongs to the loss: the bound rises with log p(z|c).

Pure functions of arrays; `train` compiles them, for several seeds and devices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax.sharding import Mesh

from cpvae_jax import devices, likelihoods
from cpvae_jax.config import Config, Training
from cpvae_jax.models import cpvae
from cpvae_jax.types import Params, Terms, Tree

VALIDATION_BATCH = 500
"""Examples scored at once: large products, bounded memory."""

LARGE = 2**16
"""Numbers in an array of parameters that is large."""

SKIPS = 5
"""Steps in a row without finite numbers that end a training."""


def learning_rate_at(training: Training, epoch: jax.Array) -> jax.Array:
    """Adam's step size at a (fractional) epoch."""
    if not training.decay_epochs:
        return jnp.full_like(epoch, training.learning_rate)
    done = jnp.minimum(1.0, epoch / training.decay_epochs)
    return training.learning_rate * 0.5 * (1 + jnp.cos(jnp.pi * done))


def beta_at(training: Training, epoch: jax.Array) -> jax.Array:
    """The weight of the divergences at a (fractional) epoch."""
    return jnp.minimum(1.0, epoch / training.warmup) if training.warmup else jnp.ones_like(epoch)


def temperature_at(training: Training, epoch: jax.Array) -> jax.Array:
    """The Gumbel-Softmax temperature at a (fractional) epoch."""
    done = jnp.minimum(1.0, epoch / max(training.temperature_epochs, 1))
    done = done if training.temperature_epochs else jnp.ones_like(epoch)
    return training.temperature * (training.temperature_end / training.temperature) ** done


@struct.dataclass
class TrainState:
    """All that training carries from one epoch to the next; with it, a run resumes bit for bit."""

    params: Params
    opt_state: Any
    best: Params
    """The parameters of the best validation bound so far, with their q(c)"""
    best_bound: jax.Array
    """[], in nats"""
    best_epoch: jax.Array
    """[]"""
    epoch: jax.Array
    """[], epochs done"""
    wait: jax.Array
    """[], epochs since the best one, none counted in the warm-up"""
    stopped: jax.Array
    """[], whether early stopping, or steps without finite numbers, have ended this seed"""
    skips: jax.Array
    """[], steps skipped in a row, up to now; at `SKIPS` every further step is skipped too"""
    key: jax.Array
    """[], the seed's key, never changed: epochs and steps fold their numbers into it"""


class Streams(NamedTuple):
    """Independent keys of one seed, by purpose."""

    init: jax.Array
    train: jax.Array
    valid: jax.Array


def streams(key: jax.Array) -> Streams:
    """The keys that follow from the seed's own."""
    return Streams(*jax.random.split(key, 3))


def optimiser() -> optax.GradientTransformation:
    """Adam, as in the paper; `learning_rate_at` scales what it gives."""
    return optax.scale_by_adam()


def init(key: jax.Array, config: Config, data: np.ndarray | jax.Array | None) -> TrainState:
    """The state before the first epoch; `data` are what `cpvae.init` reads of them."""
    params = cpvae.init(streams(key).init, config, data)
    zero = jnp.zeros((), jnp.int32)
    return TrainState(
        params=params,
        opt_state=optimiser().init(params),
        best=params,
        best_bound=jnp.array(-jnp.inf, jnp.float32),
        best_epoch=zero,
        epoch=zero,
        wait=zero,
        stopped=jnp.array(False),
        skips=zero,
        key=key,
    )


def loss(
    params: Params,
    key: jax.Array,
    x: jax.Array,
    beta: jax.Array,
    temperature: jax.Array,
    estimator: str,
) -> tuple[jax.Array, Terms]:
    """The batch mean of −(reconstruction − β · divergences), and the terms themselves."""
    terms = cpvae.terms(params, key, x, estimator, temperature)
    objective = terms.reconstruction - beta * (terms.kl_c + terms.kl_z)
    return -jnp.mean(objective), terms


def finite(gradient: Params) -> jax.Array:
    """Whether a gradient is finite, seen by its small arrays.

    The large kernels are left out, which would cost a twentieth of a step: each has a bias whose
    gradient sums the numbers that its own is made of.
    """
    small = [leaf.ravel() for leaf in jax.tree.leaves(gradient) if leaf.size <= LARGE]
    return jnp.all(jnp.isfinite(jnp.concatenate(small)))


def _steps(
    state: TrainState,
    key: jax.Array,
    numbers: jax.Array,
    batches: jax.Array,
    read: Callable[[jax.Array], jax.Array],
    steps: jax.Array | int,
    training: Training,
    mesh: Mesh | None,
    plan: devices.Plan,
) -> tuple[TrainState, Tree]:
    """Steps of an epoch that has `steps`, by their numbers [W]; `read` makes data of a batch.

    A step whose bound or gradient is not finite is skipped: parameters and optimiser stay as
    they were, the tally counts it, and of the bound's terms those that were to blame. The examples
    of a batch are cut along the mesh, and gradients summed over it once a step.
    """
    config = state.params.config
    observe = likelihoods.of(config).observe
    adam = optimiser()

    def step(
        carry: tuple[Params, Any, jax.Array], at: tuple[jax.Array, jax.Array]
    ) -> tuple[tuple[Params, Any, jax.Array], tuple[Tree, Tree, jax.Array]]:
        params, opt_state, skips = carry
        number, batch = at
        key_x, key_terms = jax.random.split(jax.random.fold_in(key, number))
        x = observe(config, key_x, read(devices.cut(batch, mesh, devices.DATA)))
        x = devices.cut(x, mesh, devices.DATA)
        epoch = state.epoch + (number + 1) / steps
        gradient, terms = jax.grad(loss, has_aux=True)(
            params,
            key_terms,
            x,
            beta_at(training, epoch),
            temperature_at(training, epoch),
            training.estimator,
        )
        gradient = devices.cut(gradient, mesh)
        means = jax.tree.map(jnp.mean, terms.named())
        faults = {name: ~jnp.isfinite(value) for name, value in means.items()}
        good = finite(gradient) & ~faults.pop("bound") & (skips < SKIPS)
        skips = jnp.where(good, 0, jnp.minimum(skips + 1, SKIPS))
        rate = learning_rate_at(training, epoch - 1 / steps)  # of the step's beginning: never 0

        def move(params: Params, opt_state: Any) -> tuple[Params, Any]:
            updates, opt_state = adam.update(gradient, opt_state, params)
            return jax.tree.map(lambda p, u: p - rate * u, params, updates), opt_state

        before = params, opt_state
        if plan.branch:
            params, opt_state = jax.lax.cond(good, move, lambda *same: same, *before)
        else:
            params, opt_state = jax.tree.map(partial(jnp.where, good), move(*before), before)
        return (params, opt_state, skips), (means, faults, good)

    (params, opt_state, skips), (history, faults, good) = jax.lax.scan(
        step,
        (state.params, state.opt_state, state.skips),
        (numbers, batches),
        unroll=plan.unroll,
    )
    tally = {
        "sum": {name: jnp.sum(values, where=good) for name, values in history.items()},
        "faults": {name: jnp.sum(steps) for name, steps in faults.items()},
        "good": jnp.sum(good),
        "skipped": jnp.sum(~good),
    }
    return replace(state, params=params, opt_state=opt_state, skips=skips), tally


def run(
    state: TrainState, data: jax.Array, training: Training, mesh: Mesh | None, plan: devices.Plan
) -> tuple[TrainState, Tree]:
    """One pass over the data in a fresh order; a last short batch is left out of it."""
    batch = min(training.batch_size, len(data))
    steps = len(data) // batch
    key_order, key_steps = epoch_keys(state)
    order = jax.random.permutation(key_order, len(data))[: steps * batch].reshape(steps, batch)
    numbers = jnp.arange(steps)
    return _steps(state, key_steps, numbers, order, lambda i: data[i], steps, training, mesh, plan)


def run_window(
    state: TrainState,
    window: jax.Array,
    first: jax.Array,
    steps: jax.Array,
    training: Training,
    mesh: Mesh | None,
    plan: devices.Plan,
) -> tuple[TrainState, Tree]:
    """Some steps of an epoch, on batches [W, B, X] that were drawn elsewhere."""
    _, key_steps = epoch_keys(state)
    numbers = first + jnp.arange(len(window))
    return _steps(state, key_steps, numbers, window, lambda x: x, steps, training, mesh, plan)


def epoch_keys(state: TrainState) -> jax.Array:
    """Keys of an epoch: of the order of the data, and of the steps."""
    return jax.random.split(jax.random.fold_in(streams(state.key).train, state.epoch))


def validate(
    params: Params, key: jax.Array, data: jax.Array, mesh: Mesh | None
) -> tuple[dict[str, jax.Array], jax.Array]:
    """Mean terms of the true bound, estimated with one hard c an example, and q(c).

    The key is the same in every epoch: common random numbers compare epochs with less noise.
    Every example counts once: the last batch is filled up with examples of weight 0.
    """
    config = params.config
    observe = likelihoods.of(config).observe
    batch = min(VALIDATION_BATCH, len(data))
    count = -(-len(data) // batch)
    indices = jnp.arange(count * batch).reshape(count, batch)

    def score(at: tuple[jax.Array, jax.Array]) -> tuple[dict[str, jax.Array], jax.Array]:
        number, index = at
        key_x, key_terms = jax.random.split(jax.random.fold_in(key, number))
        weight = (index < len(data)) / len(data)
        index = devices.cut(jnp.minimum(index, len(data) - 1), mesh, devices.DATA)
        x = devices.cut(observe(config, key_x, data[index]), mesh, devices.DATA)
        terms = cpvae.terms(params, key_terms, x, "hard", 1.0)
        probs = jax.nn.softmax(cpvae.category_logits(params, cpvae.infer(params, x)))
        return jax.tree.map(lambda v: v @ weight, terms.named()), weight @ probs

    means, aggregate = jax.lax.map(score, (jnp.arange(count), indices))
    return jax.tree.map(jnp.sum, means), jnp.sum(aggregate, axis=0)


def close(
    state: TrainState, tally: Tree, valid: jax.Array, training: Training, mesh: Mesh | None
) -> tuple[TrainState, dict[str, jax.Array]]:
    """The end of an epoch of one seed: validate, keep the best, decide whether to stop."""
    state = replace(state, epoch=state.epoch + 1)
    now = state.epoch.astype(jnp.float32)
    metrics = {f"train_{name}": total / tally["good"] for name, total in tally["sum"].items()}
    metrics |= {f"skipped_{name}": count for name, count in tally["faults"].items()}
    metrics |= {
        "skipped": tally["skipped"],
        "epoch": state.epoch,
        "beta": beta_at(training, now),
        "temperature": temperature_at(training, now),
    }
    scores, aggregate = validate(state.params, streams(state.key).valid, valid, mesh)
    bound = scores["bound"]
    better = (bound > state.best_bound) & ~state.stopped
    warm = state.epoch <= training.warmup
    wait = jnp.where(better | warm, 0, state.wait + 1)
    candidate = replace(state.params, aggregate=aggregate)
    state = replace(
        state,
        best=jax.tree.map(partial(jnp.where, better), candidate, state.best),
        best_bound=jnp.where(better, bound, state.best_bound),
        best_epoch=jnp.where(better, state.epoch, state.best_epoch),
        wait=jnp.where(state.stopped, state.wait, wait),
        stopped=state.stopped | (wait >= training.patience) | (state.skips >= SKIPS),
    )
    metrics |= {f"valid_{name}": value for name, value in scores.items()}
    metrics |= {"best_epoch": state.best_epoch, "stopped": state.stopped}
    return state, metrics
