"""Which numbers of categories to try, and which one the validation bounds speak for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cpvae_jax import values
from cpvae_jax.errors import UserError
from cpvae_jax.evaluation.means import standard_error
from cpvae_jax.registry import PRIORS

AUTO = "auto"

ROWS = 20
"""Training examples per category, on average, that the largest number tried by default leaves."""

MOST = 100
"""The largest number tried by default."""

BEHIND = 3
"""Numbers in a row, beyond the best, whose bounds are behind before larger ones are given up. One
or two can be due to a poor start."""

ALWAYS = 16
"""Numbers that grow are tried up to this one in any case. After a short training on five clusters of
two columns, two categories had a better bound than four, five or six."""

ERRORS = 1.0
"""Paired standard errors that a smaller number may be behind the best: the rule of one standard
error of Breiman et al., "Classification and regression trees", 1984."""


def given(K: Any) -> tuple[int, ...] | None:
    """The numbers to try in order, from "auto" (None), a number, a range or a list.

    Raises:
      UserError: They are no numbers of categories, or there are none.

    >>> given("auto"), given(range(2, 5)), given([8, 4, 4])
    (None, (2, 3, 4), (4, 8))
    """
    if isinstance(K, str) and K == AUTO:
        return None
    if not isinstance(K, str) and not hasattr(K, "__iter__"):
        K = (K,)
    try:
        found = values.whole_tuple("K", K, "range(2, 13), or 'auto'")
    except UserError:
        raise UserError(
            f"K is {K!r}; give the numbers of categories to try, such as range(2, 13), or 'auto'."
        ) from None
    if not found or min(found) < 1:
        raise UserError(
            f"K is {K!r}; give numbers of categories of at least 1, such as range(2, 13)."
        )
    return tuple(sorted(set(found)))


def check_prior(prior: str) -> None:
    """Raise `UserError` for a prior that has a single component whatever K is."""
    if PRIORS[prior].single:
        raise UserError(
            f"the prior {prior!r} has a single component, so there is no K to choose; choose a prior "
            "with categories, such as 'cp'."
        )


def growing(least: int, most: int) -> tuple[int, ...]:
    """Numbers that grow by a half and by a third in turn, from `least` to `most`.

    >>> growing(2, 40)
    (2, 3, 4, 6, 8, 12, 16, 24, 32, 40)
    """
    found = {2**i for i in range(most.bit_length())} | {3 * 2**i for i in range(most.bit_length())}
    return tuple(sorted({k for k in found if least <= k <= most} | {least, most}))


def most(rows: int) -> int:
    """The largest number that "auto" tries on so many training examples."""
    return max(2, min(MOST, rows // ROWS))


def table(bounds: Mapping[int, np.ndarray]) -> list[dict[str, float]]:
    """Compares the bounds of the same examples under models with different K.

    Args:
      bounds: The bound of each validation example [M], in nats, by K.

    Returns:
      One record per K, in order: "K", the mean "bound" with its "bound_error", and "behind", how
      far that mean is below the best one, with the standard error of this difference,
      "behind_error". The errors of differences are those of the mean difference per example.

    >>> table({2: np.array([-3.0, -5.0]), 3: np.array([-2.0, -4.0])})[0]["behind"]
    1.0
    """
    best = max(bounds, key=lambda K: (float(np.mean(bounds[K])), -K))
    rows = []
    for K in sorted(bounds):
        gap = bounds[best].astype(np.float64) - bounds[K]
        rows.append(
            {
                "K": K,
                "bound": float(np.mean(bounds[K], dtype=np.float64)),
                "bound_error": standard_error(bounds[K]),
                "behind": float(np.mean(gap)),
                "behind_error": standard_error(gap),
            }
        )
    return rows


def chosen(rows: Sequence[Mapping[str, float]], errors: float = ERRORS) -> int:
    """The smallest K down to which, from the best on, none is behind by more than `errors` errors.

    A K far below the best may come close to it again, because few categories leave the modes to
    the code z. So the way down ends at the first number that is behind.

    Args:
      rows: What `table` returns, by growing K.
      errors: Paired standard errors.

    >>> errors = (0.2, 0.1, 0.2, 0)
    >>> behind = (0.1, 0.5, 0.1, 0)
    >>> chosen([{"K": K + 2, "behind": behind[K], "behind_error": errors[K]} for K in range(4)])
    4
    """
    place = min(range(len(rows)), key=lambda i: rows[i]["behind"])
    while place and not is_behind(rows[place - 1], errors):
        place -= 1
    return int(rows[place]["K"])


def is_behind(row: Mapping[str, float], errors: float = ERRORS) -> bool:
    """Whether a model is worse than the best beyond chance; an unknown error counts as 0."""
    return row["behind"] > errors * np.nan_to_num(row["behind_error"])


def following(bounds: Mapping[int, np.ndarray], least: int, largest: int) -> int | None:
    """The next K to try, or None when the search is over.

    First numbers that grow, until the last `BEHIND` of them, all beyond the best, are behind it.
    Then the middle between the chosen number and its neighbours, until both next to it are known.

    Args:
      bounds: What is known: the bounds of the validation examples by K.
      least: The smallest K.
      largest: The largest K.
    """
    grid = growing(least, largest)
    rows = {row["K"]: row for row in table(bounds)} if bounds else {}
    top = max(bounds, key=lambda K: rows[K]["bound"], default=0)
    beyond = [is_behind(rows[K]) for K in grid if top < K and K in rows]
    given_up = len(beyond) >= BEHIND and all(beyond[-BEHIND:])
    untried = [K for K in grid if K not in rows and (K <= ALWAYS or not given_up)]
    if untried:
        return untried[0]
    winner = chosen(list(rows.values()))
    known = sorted(bounds)
    place = known.index(winner)
    below, above = known[max(place - 1, 0)], known[min(place + 1, len(known) - 1)]
    gaps = {(winner + above) // 2: above - winner, (below + winner + 1) // 2: winner - below}
    middle = max(gaps, key=lambda K: gaps[K])
    return middle if gaps[middle] > 1 else None
