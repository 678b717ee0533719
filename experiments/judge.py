"""How good images are in the eyes of the classifier: `Judge`, and the scores of models and reals.

Means of p(x|z, c), grey images, are compared with the grey test images in the features of the
classifier of `experiments.classifier`. Held-out real images get the same scores, as the ceiling,
and images whose pixels are shuffled, as the floor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

import cpvae_jax
from cpvae_jax import Params, generation, priors
from cpvae_jax.rows import sample_of
from experiments import grey
from experiments.classifier import Classifier
from experiments.data import Dataset

NUM, DRAWS = 10_000, 5
"""Images a draw, and draws."""


class Judge:
    """The test images of a data set as a classifier sees them; scores sets of images."""

    def __init__(self, data: Dataset, classifier: Classifier) -> None:
        self.data, self.classifier = data, classifier
        self.real = classifier.features(data.test)
        self.manifold = generation.Manifold(self.real)

    def scores(self, images: np.ndarray) -> dict[str, float]:
        """Every score of images [N, H, W] that needs no category."""
        features, classes = self.classifier.features(images), self.classifier.classify(images)
        return {
            "frechet": generation.frechet_distance(self.real, features),
            **self.manifold.scores(features),
            "class_entropy": generation.class_entropy(classes),
        }

    def purity(self, images: np.ndarray, categories: np.ndarray) -> float:
        """The share of a category's images that are of its main class, see `generation.purity`."""
        return generation.purity(self.classifier.classify(images), categories)


def score(
    params: Params,
    judge: Judge,
    key: jax.Array,
    *,
    num: int = NUM,
    draws: int = DRAWS,
    weights: str | None = None,
) -> dict[str, Any]:
    """The scores of a model's samples: mean and standard deviation over `draws` of `num` each.

    `weights` of the categories are as `cpvae_jax.sample` takes them. For `purity` the categories are drawn equally often; it is left out where there are none.
    """

    white = grey.white(params.config, judge.data.test)

    def drawn(key: jax.Array, **how: Any) -> np.ndarray:
        return np.asarray(cpvae_jax.sample(params, key, num=num, **how)) / white

    def once(key: jax.Array) -> dict[str, float]:
        key_all, key_each = jax.random.split(key)
        result = judge.scores(drawn(key_all, weights=weights))
        if not priors.of(params.config).single:
            categories = np.arange(num) % params.config.K
            result["purity"] = judge.purity(drawn(key_each, category=categories), categories)
        return result

    return spread([once(k) for k in jax.random.split(key, draws)])


def ceiling(judge: Judge, seed: int, *, num: int = NUM, draws: int = DRAWS) -> dict[str, Any]:
    """The scores of held-out images: those of the validation part, which neither a model nor the
    classifier was fitted to. Where there are no more than `num` of them, they are scored once."""
    return _of_real(judge, judge.data.valid, seed, num, draws, lambda rng, x: x)


def seen(judge: Judge, seed: int, *, num: int = NUM, draws: int = DRAWS) -> dict[str, Any]:
    """The scores of training images, which models and classifier have seen, another choice a draw."""
    return _of_real(judge, sample_of(judge.data.train), seed, num, draws, lambda rng, x: x)


def floor(judge: Judge, seed: int, *, num: int = NUM, draws: int = DRAWS) -> dict[str, Any]:
    """The scores of training images whose pixels are shuffled, each image in its own way."""

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
    """Mean and standard deviation of each score, over draws or over seeds; None of a single one.

    >>> spread([{"purity": 0.5}, {"purity": 0.75}])
    {'purity': {'mean': 0.625, 'std': 0.1767766952966369}}
    """
    result = {}
    for name in scores[0]:
        values = [one[name] for one in scores]
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
        result[name] = {"mean": float(np.mean(values)), "std": deviation}
    return result
