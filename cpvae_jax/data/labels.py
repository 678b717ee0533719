"""Class labels from the user's files, given as whole numbers or as strings."""

from collections.abc import Mapping

import numpy as np

from cpvae_jax.errors import UserError

Labels = dict[str, np.ndarray | None]
"""Labels `[N]` int32 by part; None for a part without labels."""


def as_labels(
    what: str, given: Mapping[str, np.ndarray | None]
) -> tuple[Labels, tuple[str, ...] | None]:
    """Returns the labels of each part as int32, and the class names if they were strings.

    Args:
      what: The source of the labels, for the error message.
      given: For each part an array of whole numbers or strings, `[N]` or `[N, 1]`, or None.

    Raises:
      UserError: Labels have another type, or do not fit in 32 bits.

    >>> labels, names = as_labels("here", {"train": np.array(["b", "a", "b"]), "test": None})
    >>> labels["train"].tolist(), labels["test"], names
    ([1, 0, 1], None, ('a', 'b'))
    """
    flat = {
        part: a.reshape(-1) if a.size == len(a) else a for part, a in given.items() if a is not None
    }
    unlabelled: Labels = dict.fromkeys(given)
    if flat and all(a.dtype.kind in "US" for a in flat.values()):
        names, numbers = np.unique(np.concatenate(list(flat.values())), return_inverse=True)
        ends = np.cumsum([len(a) for a in flat.values()])[:-1]
        pieces = np.split(numbers.astype(np.int32), ends)
        return (
            unlabelled | dict(zip(flat, pieces, strict=True)),
            tuple(names.astype(str).tolist()),
        )
    for part, a in flat.items():
        if not _are_whole(a):
            raise UserError(
                f"{what}: the {part} labels have dtype {a.dtype}: give 32-bit whole numbers only, "
                "or strings for every part."
            )
    return unlabelled | {part: a.astype(np.int32) for part, a in flat.items()}, None


def _are_whole(a: np.ndarray) -> bool:
    """Returns whether `a` holds whole numbers that fit int32; NaN and infinity do not."""
    if a.dtype.kind not in "biuf":
        return False
    return bool(((np.rint(a) == a) & (a > -(2**31)) & (a < 2**31)).all())
