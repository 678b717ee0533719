"""What the tests of training share: picking one seed of a state, and setting fields of one."""

from functools import partial

import jax
import jax.numpy as jnp

copy = jax.jit(partial(jax.tree.map, jnp.copy))


@jax.jit
def only(tree, seed=0):
    """The part of a tree that belongs to one seed."""
    return jax.tree.map(lambda a: a[seed], tree)


def with_seed(state, seed, **values):
    """A state with some fields of one seed set."""
    return state.replace(
        **{name: getattr(state, name).at[seed].set(value) for name, value in values.items()}
    )


def without_aggregate(params):
    """Parameters without q(c), which is not trained."""
    return params.replace(stats={**params.stats, "aggregate": None})
