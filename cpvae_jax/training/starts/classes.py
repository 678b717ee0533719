"""A mixture for the columns of a table: per component a Gaussian of the numbers, and levels of their own.

Given the component, numbers and levels are independent, and so are the columns of levels, as in latent
class analysis (Hunt and Jorgensen, "Mixture model clustering for mixed data with missing information",
Computational Statistics and Data Analysis, 2003). A Gaussian of one-hot columns in its place would take the
rarest levels for clusters.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from cpvae_jax import columns as kinds
from cpvae_jax.config import Config
from cpvae_jax.evaluation.classical import one_thread
from cpvae_jax.training.starts import rows, seeds

FLOOR = 0.03
"""What is added to variances of numbers, in those of all rows: the floor that predicts tables of a few hundred
rows best (`mixture.SHAPES`)."""

PRIOR = 0.5
"""Rows that are added to the count of each level of a component, spread over the levels."""

MOST_ROWS = 10_000
"""The mixture is fitted to at most so many random rows, and answers for all."""

FULL = 50
"""The most columns of numbers that have full covariances."""

RESTARTS, SHORT, LONG = 20, 20, 200
"""Random starts, the steps of each, and the steps of the most probable one after them."""

WORK = 5e9
"""Rows · K · columns² · restarts that may be fitted; larger tables get fewer restarts, down to 3."""

SMALL = 1e-4
"""A gain of log-likelihood per row that is no longer worth a step, in nats."""


class Rows(NamedTuple):
    """Rows by kind of column.

    Attributes:
      numbers: Standardised numbers [N, d], 0 where missing.
      hot: Levels, 1 where a row has one, [N, L]; a missing value has none.
    """

    numbers: np.ndarray
    hot: np.ndarray


class Classes(NamedTuple):
    """A mixture of K components.

    Attributes:
      log_share: [K]
      mean: [K, d]
      precision: Inverse covariances [K, d, d].
      log_det: Of the covariances, [K].
      log_level: [K, L]
    """

    log_share: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    log_det: np.ndarray
    log_level: np.ndarray


def partition(key: jax.Array, config: Config, x: np.ndarray) -> np.ndarray:
    """The responsibilities of the most probable mixture of coded rows x [N, X], [N, K]."""
    few = rows.distinct(x, config.K)
    if few is not None:
        return np.eye(config.K)[few]
    return one_thread(_responsibilities)(config, x, seeds.of(key))


def _responsibilities(config: Config, x: np.ndarray, seed: int) -> np.ndarray:
    some = split(config, rows.sample(x, MOST_ROWS, seed))
    rng = np.random.default_rng(seed)
    work = len(some.numbers) * config.K * (some.numbers.shape[1] + 1) ** 2
    restarts = int(np.clip(WORK / work, 3, RESTARTS))
    found = [_steps(some, _begun(some, config.K, rng), SHORT) for _ in range(restarts)]
    best, _ = _steps(some, max(found, key=lambda one: one[1])[0], LONG)
    return rows.answers(lambda part: _probs(best, split(config, part))[0], x)


def split(config: Config, x: np.ndarray) -> Rows:
    """Standardised coded rows as numbers and levels: of these, the one that a row has is above 0."""
    assert config.columns is not None
    W = kinds.width(config.columns)
    numbers, hot = [], []
    for number, (column, places) in enumerate(
        zip(config.columns, kinds.places(config.columns), strict=True)
    ):
        values = x[:, places.start : places.stop]
        if column.kind not in (kinds.BINARY, kinds.CATEGORICAL):
            numbers.append(values)
            continue
        seen = x[:, W + number : W + number + 1] <= 0.5
        one = (values > 0) & seen
        hot.append(
            np.concatenate([one, ~one & seen], axis=1) if column.kind == kinds.BINARY else one
        )
    none = np.zeros((len(x), 0))
    return Rows(
        np.concatenate([none, *numbers], axis=1), np.concatenate([none, *hot], axis=1).astype(float)
    )


def _begun(data: Rows, K: int, rng: np.random.Generator) -> np.ndarray:
    """Responsibilities that lean towards the nearest of K random rows, [N, K]."""
    both = np.concatenate([data.numbers, data.hot], axis=1)
    centres = both[rng.choice(len(both), K, replace=False)]
    square = (both**2).sum(axis=1)[:, None] - 2 * both @ centres.T + (centres**2).sum(axis=1)
    return 0.9 * np.eye(K)[square.argmin(axis=1)] + 0.1 / K


def _steps(data: Rows, state: np.ndarray | Classes, steps: int) -> tuple[Classes, float]:
    """EM from responsibilities or from a mixture; the mixture, and its log-likelihood."""
    probs = _probs(state, data)[0] if isinstance(state, Classes) else state
    before = -np.inf
    for _ in range(steps):
        found = _fitted(data, probs)
        probs, value = _probs(found, data)
        if value - before < SMALL * len(probs):
            break
        before = value
    return found, value


def _fitted(data: Rows, probs: np.ndarray) -> Classes:
    """The M step."""
    share = probs.sum(axis=0) + 1e-9
    mean = probs.T @ data.numbers / share[:, None]
    d = data.numbers.shape[1]
    covariance = np.empty((len(share), d, d))
    for k, own in enumerate(probs.T):
        apart = data.numbers - mean[k]
        covariance[k] = (own[:, None] * apart).T @ apart / share[k]
    if d > FULL:
        covariance *= np.eye(d)
    covariance += FLOOR * np.eye(d)
    level = (probs.T @ data.hot + PRIOR * data.hot.mean(axis=0)) / (share[:, None] + PRIOR)
    return Classes(
        np.log(share / share.sum()),
        mean,
        np.linalg.inv(covariance),
        np.linalg.slogdet(covariance)[1] + d * np.log(2 * np.pi),
        np.log(np.maximum(level, 1e-9)),
    )


def _probs(mixture: Classes, data: Rows) -> tuple[np.ndarray, float]:
    """The E step: responsibilities [N, K], and the log-likelihood."""
    log_p = mixture.log_share + data.hot @ mixture.log_level.T - 0.5 * mixture.log_det
    for k, (mean, precision) in enumerate(zip(mixture.mean, mixture.precision, strict=True)):
        apart = data.numbers - mean
        log_p[:, k] -= 0.5 * np.einsum("ni,ni->n", apart @ precision, apart)
    top = log_p.max(axis=1, keepdims=True)
    probs = np.exp(log_p - top)
    total = probs.sum(axis=1, keepdims=True)
    return probs / total, float((top + np.log(total)).sum())
