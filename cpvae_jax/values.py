"""Values of configurations: what users and JSON files give, as plain Python numbers."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from cpvae_jax.errors import UserError

PRECISIONS = ("float32", "tensorfloat32", "bfloat16")
"""Ways to multiply float32 matrices, exact to fast. A device takes the nearest one it has."""


def setting(default: Any, help: str, **metadata: Any) -> Any:
    """A field of a record of settings; the commands make its flag from the help text."""
    return field(default=default, metadata={"help": help, **metadata})


def of_images(shape: Sequence[int]) -> bool:
    """Whether examples of a shape are images, [H, W] or [H, W, channels]."""
    return len(shape) in (2, 3)


def replace(record: Any, name: str, value: Any) -> None:
    """Set a field of a frozen record while it is being made."""
    object.__setattr__(record, name, value)


def changes(name: str, value: Any, known: Iterable[str], example: str) -> dict[str, Any]:
    """Settings by name, as a dictionary; None is an empty one, and an unknown name is an error."""
    if value is not None and not isinstance(value, Mapping):
        raise UserError(f"{name} is {value!r}; give settings by name, such as {example}.")
    found, names = dict(value or {}), sorted(known)
    for wrong in set(found) - set(names):
        close = difflib.get_close_matches(str(wrong), names, n=1, cutoff=0.75)
        hint = f"did you mean {close[0]!r}?" if close else f"choose among {', '.join(names)}."
        raise UserError(f"{name} has {wrong!r}, which is no setting; {hint}")
    return found


def whole(name: str, value: Any, *, least: int | None = None) -> int:
    """A whole number as `int`, of at least `least`; numpy's are fine, booleans are not."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise UserError(f"{name} is {value!r}; it must be a whole number.") from None
    if least is not None and number < least:
        raise UserError(f"{name} is {number}; it must be at least {least}.")
    return number


def whole_tuple(name: str, value: Any, example: str) -> tuple[int, ...]:
    """Whole numbers as a tuple of `int`."""
    try:
        if isinstance(value, str | bytes | set):
            raise TypeError
        numbers = tuple(value)
    except TypeError:
        raise UserError(f"{name} is {value!r}; give whole numbers, such as {example}.") from None
    return tuple(whole(name, n) for n in numbers)


def groups(K: int, value: Any) -> tuple[int, ...] | None:
    """The category of each of K components, 0 to G - 1, or -1 for none; None if all are their own.

    >>> groups(3, [0, 1, 0]), groups(2, [0, 1])
    ((0, 1, 0), None)
    """
    if value is None:
        return None
    found = whole_tuple("groups", value, "(0, 1, 0)")
    named = set(found) - {-1}
    if len(found) != K:
        raise UserError(
            f"groups is {found}; give a category for each of the {K} components, and -1 for none."
        )
    if not named or named != set(range(len(named))):
        raise UserError(
            f"groups is {found}; number the categories from 0 without a gap, with -1 for components "
            "that belong to none, and keep at least one."
        )
    return None if found == tuple(range(K)) else found


def single(prior: str, K: int, category_prior: str) -> None:
    """Raise `UserError` for several components, or a p(c) to learn, where the prior has just one."""
    remedy = "choose a prior with categories, such as 'cp'."
    if K != 1:
        raise UserError(
            f"K is {K}, but the prior {prior!r} has a single component; give K = 1, or {remedy}"
        )
    if category_prior != "uniform":
        raise UserError(
            f"category_prior is {category_prior!r}, but the prior {prior!r} has a single component; "
            f"leave it out, or {remedy}"
        )


def positive(name: str, value: Any, otherwise: str = "") -> float:
    """A positive, finite number as `float`."""
    number = _number(value)
    if not (number > 0 and math.isfinite(number)):
        raise UserError(f"{name} is {value!r}; it must be a positive number{otherwise}.")
    return number


def from_zero(name: str, value: Any, end: float = math.inf) -> float:
    """A finite number from 0 and below `end`, as `float`.

    >>> from_zero("averaging", 0, 1.0)
    0.0
    """
    number = _number(value)
    if not 0 <= number < end:
        below = "" if end == math.inf else f" and below {end:g}"
        raise UserError(f"{name} is {value!r}; it must be a finite number from 0{below}.")
    return number


def one_of(name: str, value: Any, choices: Sequence[str]) -> None:
    """Raise `UserError` unless a value is one of some words."""
    if value not in choices:
        raise UserError(f"{name} is {value!r}; choose one of {', '.join(choices)}.")


def weighted_names(name: str, value: Any) -> tuple[tuple[str, float], ...]:
    """Pairs of a name and a finite weight, from pairs or a mapping.

    >>> weighted_names("regularisers", {"balance": 2})
    (('balance', 2.0),)
    """
    pairs = value.items() if isinstance(value, Mapping) else value
    try:
        if isinstance(value, str | bytes) or not isinstance(pairs, Iterable):
            raise TypeError
        found = tuple((str(key), _number(weight)) for key, weight in pairs)
    except (TypeError, ValueError):
        raise UserError(
            f"{name} is {value!r}; give pairs of a name and a weight, such as ('balance', 10.0)."
        ) from None
    for key, weight in found:
        if not math.isfinite(weight):
            raise UserError(f"the weight of {key!r} in {name} is not finite; give a number.")
    return found


def _number(value: Any) -> float:
    try:
        return math.nan if isinstance(value, str | bytes | bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
