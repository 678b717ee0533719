"""How well the categories of a model agree with labels."""

from __future__ import annotations

import warnings
from typing import Any

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


def with_labels(params: Params, data: Dataset, seed: int) -> dict[str, Any]:
    """Compares the categories of the test part with its labels.

    Majority accuracy fits its map from category to label to at most 50,000 labelled training
    examples, chosen at random; to validation examples if no training example has a label; and if
    neither has one, to a random half of the test part, and is then scored on the other half.

    Args:
      params: a model with categories.
      data: the data set; its test part has labels.
      seed: decides the random choice.

    Returns:
      "unlabelled", the number of test examples without a label, which are left out. If others have
      one, also what `clustering.clustering` returns, "majority_from" ("training", "validation" or
      "half of test") and "majority_examples", how many examples the map was fitted to.

    Raises:
      UserError: labels are invalid, or not as many as examples.
    """
    of_test = predicted(params, data.test, np.arange(len(data.test)))
    found = clustering.labelled(of_test, data.test_labels)
    result: dict[str, Any] = {"unlabelled": found.unlabelled}
    if not len(found.labels):
        return result
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
            fit = predicted(params, x, chosen), labels[chosen]
            scores = clustering.clustering(found.categories, found.labels, *fit)
            return {**result, **scores, "majority_from": part, "majority_examples": len(chosen)}
    scores = clustering.clustering(found.categories, found.labels)
    if "accuracy_majority" not in scores:  # a single example
        return {**result, **scores}
    half = len(found.labels) // 2
    return {**result, **scores, "majority_from": "half of test", "majority_examples": half}


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
