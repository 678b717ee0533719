"""The implementations of the random keys in a checkpoint: numbers of one are no keys of another."""

from __future__ import annotations

from pathlib import Path

import jax

from cpvae_jax import keys
from cpvae_jax.errors import UserError
from cpvae_jax.storage import arrays, files, manifest
from cpvae_jax.types import Tree

_BY_SIZE = {2: "threefry2x32", 4: "rbg"}
"""JAX's implementations by the size of a key, for runs that do not name theirs."""


def names(tree: Tree) -> list[str]:
    """The implementations of the random keys in a tree, sorted.

    >>> names({"key": jax.random.key(0, impl="rbg"), "epoch": jax.numpy.zeros(())})
    ['rbg']
    """
    leaves = [leaf for leaf in jax.tree.leaves(tree) if keys.is_key(leaf)]
    return sorted({str(jax.random.key_impl(leaf)) for leaf in leaves})


def differ(made: str, now: str) -> str:
    """The sentence on a run whose keys have one implementation, where JAX now makes another."""
    return (
        f"the run was made with jax_default_prng_impl={made}, and now the random keys are {now}; "
        f"set JAX_DEFAULT_PRNG_IMPL={made}, or make keys with impl={made!r}"
    )


def check(folder: Path, made: list[str] | None, template: Tree) -> None:
    """Raise `UserError` unless the keys in a folder of arrays are of the template's implementations.

    Args:
      folder: The folder.
      made: The names of the implementations of its keys; None if they are not known.
      template: A tree with keys.
    """
    now = names(template)
    made = _by_size(folder, template) if made is None else made
    if made and now and made != now:
        raise UserError(f"{differ(', '.join(made), ', '.join(now))}.")


def _by_size(folder: Path, template: Tree) -> list[str]:
    """The implementation of keys whose size is not that of the template's keys, if there are any."""
    there, found = manifest.stored(folder), set()
    for name, leaf in arrays.named(template).items():
        if keys.is_key(leaf) and name in there:
            about = files.read_json(there[name])
            shape = about.get("shape") if isinstance(about, dict) else None
            size = shape[-1] if isinstance(shape, list) and shape else None
            if size != keys.to_numbers(leaf).shape[-1]:
                found.add(_BY_SIZE.get(size) if isinstance(size, int) else None)
    return sorted(name for name in found if name is not None)
