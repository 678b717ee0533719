"""Training, validation and test parts: the user's own, and those that are drawn for them."""

import re
from collections.abc import Collection, Sequence
from pathlib import PurePath
from typing import NamedTuple

import numpy as np

from cpvae_jax.data.dataset import split, tenth
from cpvae_jax.errors import UserError

PARTS = ("train", "valid", "test")

_SPELLINGS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "validate", "dev"), "valid"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
}
# A prefix, a part, and what may follow it: "train", "Training_Set", "seg_test", "val2017".
_NAME = re.compile(
    rf"(?:(?P<prefix>.+)[ _.-])?(?P<part>{'|'.join(sorted(_SPELLINGS, key=len, reverse=True))})"
    r"(?:[ _.-]?(?:sets?|data|images?|imgs?|split|part|samples))?(?:[ _.-]?\d{4})?",
    re.IGNORECASE,
)
_DEEPEST = 3
"""Folders from the top in which parts are looked for, as in `data/images/train`."""


class Split(NamedTuple):
    """The user's own split of a folder."""

    parts: np.ndarray
    """The part of each file, `[N]`"""
    classes: list[tuple[str, ...]]
    """The folders of each file, without those of the part and those that all files share"""
    spelled: dict[str, str]
    """The names of the folders of each part"""


def own_split(files: Sequence[PurePath], of: object) -> Split | None:
    """Returns the split that folders such as `train` and `test` make, or None if there are none.

    The folders of the parts may contain those of the classes, or be in them.

    Args:
      files: The files, relative to the folder of the data set.
      of: The folder of the data set, for the error message.

    Raises:
      UserError: Only some of the files are in such folders, or none is in one for training.

    >>> found = own_split([PurePath("Train/cat/1.png"), PurePath("test/cat/1.png")], "here")
    >>> found.parts.tolist(), found.classes
    (['train', 'test'], [('cat',), ('cat',)])
    >>> own_split([PurePath("cat/1.png"), PurePath("dog/1.png")], "here")
    """
    folders = [file.parts[:-1] for file in files]
    for depth in range(_DEEPEST):
        names = {names[depth] for names in folders if len(names) > depth}
        spelled = _spelled(names)
        shared = {names[:depth] for names in folders}
        # Deeper, a single name may be that of a class or of anything else.
        if not spelled or (depth > 0 and not {"train"} < set(spelled.values())):
            continue
        _check(spelled, names, any(len(names) <= depth for names in folders), of)
        wrapper = depth if len(shared) == 1 else 0
        return Split(
            np.array([spelled[names[depth]] for names in folders]),
            [(names[:depth] + names[depth + 1 :])[wrapper:] for names in folders],
            {part: ", ".join(sorted(n for n in spelled if spelled[n] == part)) for part in PARTS},
        )
    return None


def carve(num: int, missing: Collection[str], *, of: object) -> dict[str, np.ndarray]:
    """Returns the indices of `num` training examples by part, a tenth for each part that is missing.

    Args:
      num: The number of training examples.
      missing: The parts to draw, by a fixed permutation: "valid", "test".
      of: What is split, for the error message.

    Raises:
      UserError: No example would be left for training.

    >>> {part: len(index) for part, index in carve(50, ["valid"], of="these").items()}
    {'train': 45, 'valid': 5}
    """
    size = tenth(num)
    cut = split(num, valid=size * ("valid" in missing), test=size * ("test" in missing), of=of)
    return {p: i for p, i in zip(PARTS, cut, strict=True) if p == "train" or p in missing}


def _spelled(names: Collection[str]) -> dict[str, str]:
    """Returns the part of each name that stands for one.

    A prefix counts only if the names of two parts share it: `seg_train` and `seg_test` are parts,
    but `bullet_train` and `crash_test` are classes.
    """
    matches = {name: found for name in names if (found := _NAME.fullmatch(name))}
    by_prefix: dict[str | None, dict[str, str]] = {}
    for name, found in matches.items():
        parts = by_prefix.setdefault(found["prefix"], {})
        parts[name] = _SPELLINGS[found["part"].lower()]
    if None in by_prefix:
        return by_prefix[None]
    several = (parts for parts in by_prefix.values() if {"train"} < set(parts.values()))
    return next(several, {})


def _check(spelled: dict[str, str], names: Collection[str], loose: bool, of: object) -> None:
    """Raises a `UserError` unless all files are in folders of parts, and some for training."""
    parts = ", ".join(sorted(spelled))
    others = [*sorted(set(names) - set(spelled))[:5], *(["images outside them"] if loose else [])]
    if others:
        raise UserError(
            f"The folder {of} holds {parts}, which may be parts of the data or classes, beside "
            f"{', '.join(others)}: give a folder that holds only parts (train, valid, test) or only "
            f"classes; rename a class, such as to {sorted(spelled)[0]}_class."
        )
    if "train" not in spelled.values():
        raise UserError(
            f"The folder {of} holds {parts}, but no part for training: name one folder train, or "
            f"give the folder of the images itself, such as {sorted(spelled)[0]}."
        )
