"""Scores of a model's images, and of real ones, in the features of a classifier.

Means of p(x|z, c), which are grey images, are compared with the grey test images in the features
of `experiments.classifier`. Real images that were held out get the same scores as the ceiling, and
images with shuffled pixels as the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from cpvae_jax import api, priors
from cpvae_jax.data import Dataset
from cpvae_jax.data.rows import sample_of
from cpvae_jax.evaluation import samples
from cpvae_jax.report import units
from cpvae_jax.types import Params
from experiments.classifier import Classifier

NUM, DRAWS = 10_000, 5
"""Images per draw, and draws."""


class Judge:
    """Scores sets of images against the test images of a data set, as a classifier sees them."""

    def __init__(self, data: Dataset, classifier: Classifier) -> None:
        self.data, self.classifier = data, classifier
        self.real = classifier.features(data.test)
        self.manifold = samples.Manifold(self.real)

    def scores(self, images: np.ndarray) -> dict[str, float]:
        """All scores of images [N, H, W] that need no categories."""
        features, classes = self.classifier.features(images), self.classifier.classify(images)
        return {
            "frechet": samples.frechet_distance(self.real, features),
            **self.manifold.scores(features),
            "class_entropy": samples.class_entropy(classes),
        }


def score(
    params: Params,
    judge: Judge,
    key: jax.Array,
    *,
    num: int = NUM,
    draws: int = DRAWS,
    weights: str | None = None,
) -> dict[str, Any]:
    """The scores of a model's samples: mean and standard deviation over the draws.

    Args:
      params: the model.
      judge: the judge of its data set.
      key: a random key.
      num: images per draw.
      draws: independent draws.
      weights: probabilities of the categories, as `cpvae_jax.sample` takes them. They do not matter
        to `purity`, for which `samples.PER_CATEGORY` images of each category are drawn, whatever
        `num` is; a model without categories has no purity.
    """

    def drawn(key: jax.Array, **how: Any) -> np.ndarray:
        return units.as_grey(
            params.config, judge.data.test, np.asarray(api.sample(params, key, **how))
        )

    def purity(key: jax.Array) -> float:
        G = params.config.categories
        categories = np.arange(G * samples.PER_CATEGORY) % G
        parts = np.array_split(categories, -(-len(categories) // NUM))
        keys = jax.random.split(key, len(parts))
        images = (
            drawn(k, num=len(part), category=part) for k, part in zip(keys, parts, strict=True)
        )
        classes = [judge.classifier.classify(x) for x in images]
        return samples.purity(np.concatenate(classes), categories)

    def once(key: jax.Array) -> dict[str, float]:
        key_all, key_each = jax.random.split(key)
        result = judge.scores(drawn(key_all, num=num, weights=weights))
        if not priors.of(params.config).single:
            result["purity"] = purity(key_each)
        return result

    return spread([once(k) for k in jax.random.split(key, draws)])


def ceiling(judge: Judge, seed: int, *, num: int = NUM, draws: int = DRAWS) -> dict[str, Any]:
    """The scores of validation images, which neither a model nor the classifier was fitted to.

    If there are no more than `num` of them, they are scored once.
    """
    return _of_real(judge, judge.data.valid, seed, num, draws, lambda rng, x: x)


def seen(judge: Judge, seed: int, *, num: int = NUM, draws: int = DRAWS) -> dict[str, Any]:
    """The scores of training images, which model and classifier have seen; a new choice per draw."""
    return _of_real(judge, sample_of(judge.data.train), seed, num, draws, lambda rng, x: x)


def floor(judge: Judge, seed: int, *, num: int = NUM, draws: int = DRAWS) -> dict[str, Any]:
    """The scores of training images with shuffled pixels, each image with its own permutation."""

    def shuffled(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
        return rng.permuted(x.reshape(len(x), -1), axis=1).reshape(x.shape)

    return _of_real(judge, sample_of(judge.data.train), seed, num, draws, shuffled)


def _of_real(
    judge: Judge,
    images: np.ndarray,
    seed: int,
    num: int,
    draws: int,
    change: Callable[[np.random.Generator, np.ndarray], np.ndarray],
) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    count = min(num, len(images))
    found = []
    for _ in range(draws if count < len(images) else 1):
        chosen = images[rng.choice(len(images), count, replace=False)]
        found.append(judge.scores(change(rng, chosen)))
    return {**spread(found), "images": count}


def spread(scores: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """Mean and standard deviation of each score, over draws or seeds; None for a single one.

    >>> spread([{"purity": 0.5}, {"purity": 0.75}])
    {'purity': {'mean': 0.625, 'std': 0.1767766952966369}}
    """
    result = {}
    for name in scores[0]:
        values = [one[name] for one in scores]
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        result[name] = {"mean": float(np.mean(values)), "std": deviation}
    return result
