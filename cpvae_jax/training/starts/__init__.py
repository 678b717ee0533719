"""Where the categories start: a partition of the data, the regularisers alone, or both.

A start of your own is a function (key, config, x) that returns a category for each example, or a
`Start` record, registered under a name: see docs/extending.md.
"""

from cpvae_jax.registry import STARTS
from cpvae_jax.training.starts.base import Start

register = STARTS.register
names = STARTS.names


def of(name: str) -> Start:
    """The start of a name; a registered function is a partition."""
    part = STARTS[name]
    return part if isinstance(part, Start) else Start((part,))
