"""Seeds of scikit-learn's estimators from random keys."""

import jax
import numpy as np


def of(key: jax.Array) -> int:
    """A whole number that scikit-learn takes as random_state.

    >>> of(jax.random.key(0)) == of(jax.random.key(0))
    True
    """
    return int(np.asarray(jax.random.key_data(key)).ravel()[-1])
