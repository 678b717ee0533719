"""How well categories agree with labels: those of a model, or of a baseline."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, Protocol

import numpy as np

from cpvae_jax import api
from cpvae_jax.data import Dataset
from cpvae_jax.data.labels import known
from cpvae_jax.data.rows import Rows
from cpvae_jax.evaluation import clustering
from cpvae_jax.evaluation.estimates import BATCH
from cpvae_jax.types import Params

FITTED = 50_000
"""The most examples that the map from category to label is fitted to: all of MNIST's training part,
and of larger data as many as a few seconds allow. With 500 categories that is 100 for each."""


class Assign(Protocol):
    def __call__(self, x: np.ndarray | Rows, chosen: np.ndarray) -> np.ndarray:
        """The category of chosen examples, [M].

        Args:
          x: Examples [N, *shape] in the user's unit.
          chosen: the places of M of them.
        """


class Agreement(NamedTuple):
    """Scores against labels, and the examples behind them."""

    scores: dict[str, Any]
    """The scores that `with_labels` describes, in JSON form"""
    correct: np.ndarray
    """Which labelled test examples the best one-to-one matching gets right, [M]"""


def with_labels(assign: Assign, data: Dataset, seed: int) -> Agreement:
    """Compares the categories of the test part with its labels.

    Majority accuracy fits its map from category to label to at most 50,000 labelled training
    examples, chosen at random; to validation examples if no training example has a label; and if
    neither has one, to a random half of the test part, and is then scored on the other half.

    Args:
      assign: gives examples their categories; `predicted` of a model does.
      data: the data set; its test part has labels.
      seed: decides the random choice.

    Returns:
      The scores, and which examples are correct. The scores are "unlabelled", the number of test
      examples without a label, which are left out. If others have one, also what
      `clustering.clustering` returns, "majority_from" ("training", "validation" or "half of test")
      and "majority_examples", how many examples the map was fitted to.

    Raises:
      UserError: labels are invalid, or not as many as examples.
    """
    of_test = assign(data.test, np.arange(len(data.test)))
    found = clustering.labelled(of_test, data.test_labels)
    result: dict[str, Any] = {"unlabelled": found.unlabelled}
    if not len(found.labels):
        return Agreement(result, np.zeros(0, bool))
    result |= _scores(assign, data, found, seed)
    return Agreement(result, clustering.matched(found.categories, found.labels))


def _scores(assign: Assign, data: Dataset, found: clustering.Labelled, seed: int) -> dict[str, Any]:
    """All scores of the labelled test examples, with what the majority map was fitted to."""
    for part, x, given in (
        ("training", data.train, data.train_labels),
        ("validation", data.valid, data.valid_labels),
    ):
        if given is None:
            continue
        labels, has = known(f"{data.name}: the {part} labels", given)
        chosen = np.flatnonzero(has)
        if len(chosen) > FITTED:
            chosen = np.sort(np.random.default_rng(seed).choice(chosen, FITTED, replace=False))
        if len(chosen):
            fit = assign(x, chosen), labels[chosen]
            scores: dict[str, Any] = clustering.clustering(found.categories, found.labels, *fit)
            return {**scores, "majority_from": part, "majority_examples": len(chosen)}
    scores = clustering.clustering(found.categories, found.labels)
    if "accuracy_majority" not in scores:  # a single example
        return scores
    half = len(found.labels) // 2
    return {**scores, "majority_from": "half of test", "majority_examples": half}


def predicted(params: Params, x: np.ndarray | Rows, chosen: np.ndarray) -> np.ndarray:
    """The most probable category of chosen examples, [M], in batches of one size."""
    size = min(BATCH, len(chosen))
    parts = []
    with warnings.catch_warnings():
        # A batch of sorted data need not be like the whole, which `evaluate` has compared.
        warnings.filterwarnings("ignore", ".* another unit", UserWarning)
        for start in range(0, len(chosen), size):
            at = np.arange(start, start + size) % len(chosen)  # the last one is filled up
            probs = np.asarray(api.predict(params, x[chosen[at]]))
            parts.append(np.argmax(probs, axis=1))
    return np.concatenate(parts)[: len(chosen)]


def summary(scores: dict[str, Any]) -> str:
    """The scores as a line to print."""
    count = scores["unlabelled"]
    if "nmi" not in scores:
        return f"no scores against labels: none of the {count} test examples has a label"
    line = f"accuracy {scores['accuracy_hungarian']:.3f} (Hungarian)"
    if "accuracy_majority" in scores:
        line += f", {scores['accuracy_majority']:.3f} (majority)"
    line += f", NMI {scores['nmi']:.3f}, ARI {scores['ari']:.3f}"
    if scores.get("majority_from") == "half of test":
        line += "; majority fitted on half of the test part"
    if count:
        line += f"; {count} test example{'s' * (count != 1)} without a label left out"
    return line
