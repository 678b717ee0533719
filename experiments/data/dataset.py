"""What every data source hands over: one record, one way to split it, one check."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cpvae_jax.errors import UserError
from cpvae_jax.rows import Rows, sample_of


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in three parts, as plain arrays in memory.

    Attributes:
      name: short name, used in messages and file names.
      train, valid, test: `[N, *shape]`, uint8 grey levels 0..255 or float32; `train` may be
        `Rows`, which stay on the disk.
      train_labels, valid_labels, test_labels: `[N]` int32, or None where unknown.
        They serve for scoring only.
      likelihood: "bernoulli" or "gaussian", whichever suits the values.
      source: one sentence: where the data come from and how they were split.
      class_names: the name of each label, or None.
      training: settings that suit it where the paper's do not, by the names of
        `cpvae_jax.Training`; a flag of the command goes before them.
    """

    name: str
    train: np.ndarray | Rows
    valid: np.ndarray
    test: np.ndarray
    train_labels: np.ndarray | None
    valid_labels: np.ndarray | None
    test_labels: np.ndarray | None
    likelihood: str
    source: str
    class_names: tuple[str, ...] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return self.train.shape[1:]


def split(
    num: int, *, valid: int, test: int, seed: int = 0, of: object = "The data set"
) -> tuple[np.ndarray, ...]:
    """Returns the indices of a training, validation and test part of `num` examples.

    A fixed permutation, drawn from `seed` alone, is cut into `num - valid - test`,
    `valid` and `test` indices.

    Raises:
      UserError: nothing would be left for training; `of` is whose examples they are.

    >>> [len(part) for part in split(100, valid=10, test=20)]
    [70, 10, 20]
    """
    train = num - valid - test
    if train < 1:
        raise UserError(
            f"{of} has {num} example(s), which cannot be split into training, validation ({valid}) "
            f"and test ({test}) parts: at least {valid + test + 1} are needed, so give more examples."
        )
    order = np.random.default_rng(seed).permutation(num)
    return order[:train], order[train : train + valid], order[train + valid :]


def gather(x: np.ndarray, labels: np.ndarray | None, parts: Sequence[np.ndarray]) -> dict[str, Any]:
    """Returns the six array fields of a `Dataset`, from the three index arrays of `split`.

    >>> x = np.arange(4) * 10
    >>> gather(x, None, split(4, valid=1, test=1))["train"].shape
    (2,)
    """
    fields: dict[str, Any] = {}
    for part, index in zip(("train", "valid", "test"), parts, strict=True):
        fields[part] = x[index]
        fields[f"{part}_labels"] = None if labels is None else labels[index]
    return fields


def tenth(num: int) -> int:
    """Returns the size of a tenth of `num` examples, the share kept for one held-out part.

    >>> tenth(1000), tenth(5)
    (100, 1)
    """
    return max(1, num // 10)


def check(dataset: Dataset, likelihood: str) -> None:
    """Raises a UserError unless `dataset` can be learned under `likelihood`.

    Looks for parts that are empty, of different shapes or of a type other than uint8 and
    float, for NaN and infinite values, for labels of a wrong length, and, under
    "bernoulli", for values that are no probabilities. Integers are left as they are: uint8
    holds grey levels, which are a probability once divided by 255.

    >>> x = np.zeros((3, 2), np.float32)
    >>> check(Dataset("tiny", x, x, x, None, None, None, "bernoulli", ""), "bernoulli")
    >>> check(Dataset("tiny", x + 7, x, x, None, None, None, "bernoulli", ""), "bernoulli")
    Traceback (most recent call last):
        ...
    cpvae_jax.errors.UserError: tiny: the training values lie between 7 and 7, but the Bernoulli \
likelihood needs values in [0, 1]: choose --likelihood gaussian or rescale the data.
    """
    parts = {
        "training": (dataset.train, dataset.train_labels),
        "validation": (dataset.valid, dataset.valid_labels),
        "test": (dataset.test, dataset.test_labels),
    }
    for part, (given, labels) in parts.items():
        x = sample_of(given)  # of data on the disk; training looks at all of them
        _check_values(f"{dataset.name}: the {part}", x)
        if x.shape[1:] != dataset.shape:
            raise UserError(
                f"{dataset.name}: a {part} example has the shape {x.shape[1:]} and a training "
                f"example {dataset.shape}: give all parts the same shape."
            )
        if labels is not None and labels.shape != (len(given),):
            raise UserError(
                f"{dataset.name}: the {part} labels have the shape {labels.shape}, but there are "
                f"{len(x)} examples: give one whole number per example, or no labels."
            )
        if likelihood == "bernoulli" and x.dtype != np.uint8:
            low, high = x.min(), x.max()
            if low < 0 or high > 1:
                raise UserError(
                    f"{dataset.name}: the {part} values lie between {low:.6g} and {high:.6g}, but "
                    "the Bernoulli likelihood needs values in [0, 1]: choose --likelihood gaussian "
                    "or rescale the data."
                )


def _check_values(what: str, x: np.ndarray) -> None:
    """Raises a UserError, begun with `what`, unless `x` is a filled array of finite numbers."""
    if x.size == 0:
        raise UserError(
            f"{what} part is empty (shape {x.shape}): give it at least one example of at least "
            "one value."
        )
    if x.dtype == np.uint8:
        return
    if not np.issubdtype(x.dtype, np.floating):
        raise UserError(
            f"{what} part has the type {x.dtype}, but uint8 or float32 is expected: convert it."
        )
    # `min` and `max` pass on any NaN, and cost no mask: the mask is made only for the message.
    if not (np.isfinite(x.min()) and np.isfinite(x.max())):
        bad = ~np.isfinite(x).reshape(len(x), -1)
        raise UserError(
            f"{what} part has {bad.sum()} value(s) that are NaN or infinite, the first in example "
            f"{int(bad.any(axis=1).argmax())}: replace them or leave those examples out."
        )
