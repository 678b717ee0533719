"""Values of configurations: what users and JSON files give, as plain Python numbers."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cpvae_jax.errors import UserError


def replace(record: Any, name: str, value: Any) -> None:
    """Set a field of a frozen record while it is being made."""
    object.__setattr__(record, name, value)


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


def positive(name: str, value: Any, otherwise: str = "") -> float:
    """A positive, finite number as `float`."""
    number = _number(value)
    if not (number > 0 and math.isfinite(number)):
        raise UserError(f"{name} is {value!r}; it must be a positive number{otherwise}.")
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
