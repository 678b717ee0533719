"""Categories made of several components, and categories taken away.

The model stays that of its K components, and so does its bound. `Config.groups` says which
category each component belongs to, and whatever a user sees follows it: predictions, samples by
category, scores and pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from cpvae_jax import checks, values
from cpvae_jax.errors import UserError
from cpvae_jax.registry import PRIORS
from cpvae_jax.types import Params


def merge(params: Params, groups: Sequence[int] | Sequence[Sequence[int]]) -> Params:
    """The model with some of its categories as one.

    q(g|x) = Σ_{c in g} q(c|x), and a sample of g is one of a component c of it, in proportion to
    q(c) over the training data. The bound stays the same. Training can go on from the result: give
    `fit` its configuration, and the model itself as `init`.

    Args:
      params: The model; it may be merged or pruned already.
      groups: Lists of categories to merge, such as [[0, 3], [5, 7]]: the others stay single, and
        the new categories are numbered in the order of their first members. Or the new category
        of each, such as [0, 1, 2, 0], from 0 without a gap.

    Returns:
      The same arrays with `config.groups`.

    Raises:
      UserError: A category does not exist or is in two groups, or the model has none.

    >>> import jax, cpvae_jax
    >>> config = cpvae_jax.Config(shape=(8, 8), K=4)
    >>> params = cpvae_jax.initialise(jax.random.key(0), config)
    >>> merged = merge(params, [[0, 3]])
    >>> merged.config.groups, cpvae_jax.predict(merged, np.zeros((2, 8, 8))).shape
    ((0, 1, 2, 0), (2, 3))
    """
    G = _categories(params)
    given = groups.tolist() if hasattr(groups, "tolist") else groups
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        given = list(given)
    if isinstance(given, list) and all(isinstance(item, Iterable) for item in given):
        return _moved(params, _map_of_lists(G, given))
    new = values.whole_tuple("groups", given, "[[0, 3], [5, 7]]")
    if len(new) != G or set(new) != set(range(len(set(new)))):
        raise UserError(
            f"groups is {list(new)}; give lists of categories, such as [[0, 3]], or the new category "
            f"of each of the {G}, numbered from 0 without a gap."
        )
    return _moved(params, new)


def _map_of_lists(G: int, groups: Sequence[Any]) -> Sequence[int]:
    """The new category of each of G, where some lists of them become one."""
    leader = list(range(G))  # the first member of each category's group
    taken: set[int] = set()
    for group in groups:
        members = sorted(set(_existing(G, "groups", group)))
        if twice := taken & set(members):
            raise UserError(
                f"groups has category {min(twice)} in two groups; give each category once."
            )
        taken |= set(members)
        for member in members:
            leader[member] = members[0]
    number = {first: new for new, first in enumerate(sorted(set(leader)))}
    return [number[first] for first in leader]


def prune(
    params: Params, *, keep: Iterable[int] | None = None, below: float | None = None
) -> Params:
    """The model without some of its categories.

    q(c|x) and p(c) are renormalised over the rest, so the bound is a lower bound on log p(x) of the
    model that is left. q(c) over the training data (`params.aggregate`) is renormalised as a whole;
    `aggregated_posterior` computes it from data.

    Args:
      params: The model; it may be merged or pruned already.
      keep: The categories that stay.
      below: Or: the share of the training data, 0 to 1, from which a category stays.

    Returns:
      The same arrays with `config.groups` and the new q(c). Categories keep their order.

    Raises:
      UserError: Neither or both of the two are given, a category does not exist, none is left, or
        the model has none.

    >>> import jax, cpvae_jax
    >>> config = cpvae_jax.Config(shape=(8, 8), K=4)
    >>> params = cpvae_jax.initialise(jax.random.key(0), config)
    >>> prune(params, keep=[1, 3]).config.groups
    (-1, 0, -1, 1)
    """
    G = _categories(params)
    if (keep is None) == (below is None):
        raise UserError("give prune either keep, a list of categories, or below, such as 0.01.")
    if below is not None:
        share, shares = values.positive("below", below), np.asarray(params.shares)
        kept = set(np.flatnonzero(shares >= share).tolist())
        if not kept:
            raise UserError(
                f"below is {share:g}, but no category has that share of the training data; the "
                f"largest has {shares.max():.3g}."
            )
    else:
        kept = set(_existing(G, "keep", keep))
        if not kept:
            raise UserError("keep is empty; give the categories that stay, such as [0, 2].")
    number = {old: new for new, old in enumerate(sorted(kept))}
    return _moved(params, [number.get(old, -1) for old in range(G)])


def _categories(params: Params) -> int:
    """How many categories a model has."""
    checks.model(params)
    config = params.config
    if PRIORS[config.prior].single:
        raise UserError(
            f"the model {config.model!r} has no categories; train a model that has some, such as 'cp'."
        )
    return config.categories


def _existing(G: int, name: str, given: Any) -> tuple[int, ...]:
    """A list of categories, each from 0 to G − 1."""
    ordered = sorted(given) if isinstance(given, set | frozenset) else given
    found = values.whole_tuple(name, ordered, "[0, 3]")
    if found:
        checks.category(G, np.asarray(found))
    return found


def _moved(params: Params, new: Sequence[int]) -> Params:
    """The model whose category c becomes the category new[c], or is pruned if that is −1."""
    config = params.config
    old = range(config.K) if config.groups is None else config.groups
    groups = tuple(-1 if g < 0 else int(new[g]) for g in old)
    if -1 in groups:
        kept = np.asarray(groups) >= 0
        q = kept * np.asarray(params.aggregate, np.float64)
        q = q if q.any() else kept  # no training example uses what is left: all alike
        params = params.with_stats(aggregate=jnp.asarray(q / q.sum(), jnp.float32))
    return replace(params, config=replace(config, groups=groups))
