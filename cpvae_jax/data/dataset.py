"""The record that every loader returns, its check, and how data are split into parts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cpvae_jax.columns import Columns
from cpvae_jax.data.conversion import finite
from cpvae_jax.data.labels import known
from cpvae_jax.data.rows import Rows
from cpvae_jax.errors import UserError


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in three parts.

    Attributes:
      name: A short name, used in messages and file names.
      train, valid, test: Examples `[N, *shape]`, uint8 grey levels 0..255 or floats; `train`
        may be `Rows`, which stay on disk.
      train_labels, valid_labels, test_labels: Class labels `[N]`, or None if unknown: whole
        numbers from 0, with -1 for an example without a label. They are used for scoring only.
      kind: "grey" for black and white ink and its grey levels, "real" for photographs and other
        real numbers, "table" for coded rows (`cpvae_jax.columns`). It decides which likelihood is
        the default.
      source: Where the data come from and how they were split; if the kind was judged, the
        reason; what was converted or left out.
      class_names: The name of each label, or None.
      training: Default training settings of this data set, by field of `cpvae_jax.Training`.
        Flags of the command override them.
      columns: The columns of a table that has names, or None.
    """

    name: str
    train: np.ndarray | Rows
    valid: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None
    valid_labels: np.ndarray | None
    test_labels: np.ndarray | None
    kind: str
    source: str
    class_names: tuple[str, ...] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    columns: Columns | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.train.shape[1:]

    @property
    def parts(self) -> dict[str, np.ndarray | Rows]:
        """The examples by the name of their part: "training", "validation" and "test"."""
        return {"training": self.train, "validation": self.valid, "test": self.test}


def check(dataset: Dataset) -> None:
    """Raises a `UserError` unless the parts and the labels of `dataset` fit together.

    It checks that no part is empty, that all examples have one shape, and that there is one
    valid label per example. `checks.dataset` also checks the values.

    >>> x = np.zeros((3, 2), np.float32)
    >>> check(Dataset("tiny", x, x, x, None, None, None, "grey", ""))
    >>> check(Dataset("tiny", x, x, x[:0], None, None, None, "grey", ""))
    Traceback (most recent call last):
        ...
    cpvae_jax.errors.UserError: tiny: the test part has shape (0, 2): give at least one example \
with at least one value.
    """
    labels = {
        "training": dataset.train_labels,
        "validation": dataset.valid_labels,
        "test": dataset.test_labels,
    }
    for part, x in dataset.parts.items():
        if len(x.shape) == 0 or math.prod(x.shape) == 0:
            raise UserError(
                f"{dataset.name}: the {part} part has shape {x.shape}: give at least one example "
                "with at least one value."
            )
        if x.shape[1:] != dataset.shape:
            raise UserError(
                f"{dataset.name}: test and validation examples must have the shape of training "
                f"examples, {dataset.shape}, but the {part} examples have shape {x.shape[1:]}: "
                "reshape or resize them."
            )
        of_part = labels[part]
        if of_part is None:
            continue
        found, _ = known(f"{dataset.name}: the {part} labels", of_part)
        if len(found) != len(x):
            raise UserError(
                f"{dataset.name}: the {part} labels have shape {found.shape}, but there are "
                f"{len(x)} examples: give one whole number per example, or no labels."
            )


def split(
    num: int, *, valid: int, test: int, seed: int = 0, of: object = "The data set"
) -> tuple[np.ndarray, ...]:
    """Returns the indices of the training, validation and test parts of `num` examples.

    A random permutation, which depends on `seed` alone, is cut into `num - valid - test`,
    `valid` and `test` indices.

    Args:
      num: The number of examples.
      valid: The size of the validation part.
      test: The size of the test part.
      seed: Decides the permutation.
      of: What is split, for the error message.

    Raises:
      UserError: No example would be left for training.

    >>> [len(part) for part in split(100, valid=10, test=20)]
    [70, 10, 20]
    """
    train = num - valid - test
    if train < 1:
        raise UserError(
            f"{of} has {num} example{'s' * (num != 1)}, too few to split into training, validation ({valid}) and "
            f"test ({test}) parts: give at least {valid + test + 1} examples."
        )
    order = np.random.default_rng(seed).permutation(num)
    return order[:train], order[train : train + valid], order[train + valid :]


def gather(x: np.ndarray, labels: np.ndarray | None, parts: Sequence[np.ndarray]) -> dict[str, Any]:
    """Returns the six array fields of a `Dataset`, given the three index arrays of `split`.

    Raises:
      UserError: Some numbers are not finite. The message names their rows in `x`.

    >>> x = np.arange(4) * 10
    >>> gather(x, None, split(4, valid=1, test=1))["train"].shape
    (2,)
    """
    finite({"The data set": x})
    fields: dict[str, Any] = {}
    for part, index in zip(("train", "valid", "test"), parts, strict=True):
        fields[part] = x[index]
        fields[f"{part}_labels"] = None if labels is None else labels[index]
    return fields


def tenth(num: int) -> int:
    """Returns a tenth of `num` examples, rounded down but at least 1: the size of a held-out part.

    >>> tenth(1000), tenth(5)
    (100, 1)
    """
    return max(1, num // 10)
