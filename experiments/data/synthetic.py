"""The paper's one-dimensional mixture of two Gaussians, section 5.1."""

from collections.abc import Sequence

import numpy as np

from cpvae_jax.errors import UserError
from experiments.data.dataset import Dataset
from experiments.data.places import Places

# The paper writes N(0.1, 0.1) and N(1, 0.1). We read the second number as the STANDARD
# DEVIATION: the paper calls the modes disjoint, and they are if they lie nine standard
# deviations apart, but not if 0.1 is the variance, which puts them under three apart.
MEANS = (0.1, 1.0)
STDS = (0.1, 0.1)
WEIGHTS = (0.5, 0.5)


def load(
    places: Places | None = None,
    *,
    num: int = 50_000,
    seed: int = 0,
    means: Sequence[float] = MEANS,
    stds: Sequence[float] = STDS,
    weights: Sequence[float] = WEIGHTS,
) -> Dataset:
    """Returns `num` training, a fifth as many validation and `num` test draws of shape (1,).

    The three parts come from separate streams of random numbers; labels are the components.
    `places` is not used: it makes the signature that of the other sources.

    Raises:
      UserError: as `draw`.

    >>> load(num=100).train.shape
    (100, 1)
    """
    # A trailing 0 would give the stream of `draw(num, seed)`: NumPy pads a seed with zeros.
    parts = [
        draw(n, (seed, stream), means, stds, weights)
        for stream, n in ((1, num), (2, max(1, num // 5)), (3, num))
    ]
    (train, train_labels), (valid, valid_labels), (test, test_labels) = parts
    terms = (f"{w:g} N({m:g}, std {s:g})" for w, m, s in zip(weights, means, stds, strict=True))
    return Dataset(
        name="synthetic",
        train=train,
        valid=valid,
        test=test,
        train_labels=train_labels,
        valid_labels=valid_labels,
        test_labels=test_labels,
        likelihood="gaussian",
        source=f"Draws from {' + '.join(terms)} with seed {seed}, one stream for each part.",
        class_names=tuple(f"component {k}" for k in range(len(means))),
    )


def draw(
    num: int,
    seed: int | Sequence[int],
    means: Sequence[float] = MEANS,
    stds: Sequence[float] = STDS,
    weights: Sequence[float] = WEIGHTS,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns samples `[num, 1]` float32 of the mixture and their components `[num]` int32.

    Args:
      num: how many, at least 1.
      seed: one or more whole numbers from 0 on.
      means, stds, weights: one each per component; `stds` are standard deviations, and
        `weights` sum to one.

    Raises:
      UserError: a value out of its range, or different numbers of components.

    >>> x, component = draw(1000, seed=5)
    >>> x.shape, component.shape, round(float(x[component == 1].mean()), 1)
    ((1000, 1), (1000,), 1.0)
    """
    _check(num, seed, means, stds, weights)
    rng = np.random.default_rng(seed)
    component = rng.choice(len(means), size=num, p=weights)
    x = np.asarray(means)[component] + np.asarray(stds)[component] * rng.standard_normal(num)
    return x[:, None].astype(np.float32), component.astype(np.int32)


def _check(num, seed, means, stds, weights) -> None:
    """Raises a UserError unless these describe a mixture and a draw from it."""
    if num < 1:
        raise UserError(f"num={num} samples cannot be drawn: give a number of at least 1.")
    if np.min(seed) < 0:
        raise UserError(f"seed={seed} is negative: give a whole number from 0 on.")
    if not 0 < len(means) == len(stds) == len(weights):
        raise UserError(
            f"The mixture has {len(means)} means, {len(stds)} standard deviations and "
            f"{len(weights)} weights: give one of each per component."
        )
    if not np.isfinite(means).all():
        raise UserError(f"means={tuple(means)} are not all finite: give finite numbers.")
    if not (np.isfinite(stds).all() and min(stds) > 0):
        raise UserError(f"stds={tuple(stds)} are not all positive: give positive finite numbers.")
    # `not >=` and `not <=` turn away NaN, too.
    if not (min(weights) >= 0 and abs(sum(weights) - 1) <= 1e-6):
        raise UserError(
            f"weights={tuple(weights)} are no probabilities: give numbers from 0 on that sum to 1."
        )
