"""The one-dimensional mixture of two Gaussians in section 5.1 of the paper."""

from collections.abc import Sequence

import numpy as np

from cpvae_jax.data.dataset import Dataset
from cpvae_jax.data.places import Places
from cpvae_jax.errors import UserError

# The paper writes N(0.1, 0.1) and N(1, 0.1). We read the second number as the STANDARD
# DEVIATION. The paper calls the modes disjoint: they are nine standard deviations apart if 0.1
# is the standard deviation, but fewer than three if it is the variance.
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
    """Returns `num` training, `num` / 5 validation and `num` test samples of shape (1,).

    The three parts come from separate streams of random numbers. The labels are the components.

    Args:
      places: Not used; all loaders take it.
      num: The size of the training part and of the test part.
      seed: A whole number from 0.
      means, stds, weights: One number each per component, as in `draw`.

    Raises:
      UserError: As `draw`.

    >>> load(num=100).train.shape
    (100, 1)
    """
    # Not stream 0: NumPy pads seeds with zeros, so that would be the stream of `draw(num, seed)`.
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
        kind="real",
        source=f"Samples of {' + '.join(terms)} with seed {seed}, one stream per part.",
        class_names=tuple(f"component {k}" for k in range(len(means))),
    )


def draw(
    num: int,
    seed: int | Sequence[int],
    means: Sequence[float] = MEANS,
    stds: Sequence[float] = STDS,
    weights: Sequence[float] = WEIGHTS,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns samples `[num, 1]` float32 of the mixture, and their components `[num]` int32.

    Args:
      num: The number of samples, at least 1.
      seed: One or more whole numbers from 0.
      means: The mean of each component.
      stds: The standard deviation of each component.
      weights: The probability of each component; they sum to 1.

    Raises:
      UserError: A value is out of range, or the numbers of components differ.

    >>> x, component = draw(1000, seed=5)
    >>> x.shape, component.shape, round(float(x[component == 1].mean()), 1)
    ((1000, 1), (1000,), 1.0)
    """
    _check(num, seed, means, stds, weights)
    rng = np.random.default_rng(seed)
    component = rng.choice(len(means), size=num, p=weights)
    x = np.asarray(means)[component] + np.asarray(stds)[component] * rng.standard_normal(num)
    return x[:, None].astype(np.float32), component.astype(np.int32)


def _check(
    num: int,
    seed: int | Sequence[int],
    means: Sequence[float],
    stds: Sequence[float],
    weights: Sequence[float],
) -> None:
    """Raises a `UserError` unless the arguments of `draw` describe a mixture and a sample."""
    if num < 1:
        raise UserError(f"num={num} is too small: give at least 1.")
    if np.min(seed) < 0:
        raise UserError(f"seed={seed} is negative: give whole numbers from 0.")
    if not 0 < len(means) == len(stds) == len(weights):
        raise UserError(
            f"The mixture has {len(means)} means, {len(stds)} standard deviations and "
            f"{len(weights)} weights: give one of each per component."
        )
    if not np.isfinite(means).all():
        raise UserError(f"means={tuple(means)} must be finite: give finite numbers.")
    if not (np.isfinite(stds).all() and min(stds) > 0):
        raise UserError(f"stds={tuple(stds)} must be positive: give positive, finite numbers.")
    # Written with `not`, so that NaN is refused too.
    if not (min(weights) >= 0 and abs(sum(weights) - 1) <= 1e-6):
        raise UserError(
            f"weights={tuple(weights)} are not probabilities: give numbers >= 0 that sum to 1."
        )
