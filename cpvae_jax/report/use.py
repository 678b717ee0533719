"""How a model uses its categories."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import checks, priors
from cpvae_jax.evaluation import aggregate, categories
from cpvae_jax.keys import purpose
from cpvae_jax.models import category
from cpvae_jax.types import Params

DRAWS = 64
"""Draws of z per example for I(x; c) where c is summed out. An average of few draws has less entropy
than q(c|x), so I(x; c) is too large: by 1 / 128 nats where the draws of each x fall into two
components, and by nothing where they fall into one."""


def of_categories(
    params: Params, key: jax.Array, test: np.ndarray, decomposed: dict[str, float] | None
) -> dict[str, Any]:
    """How often the training data use each category, and how much it says about test examples.

    Args:
      params: the model.
      key: a random key.
      test: test examples [N, *shape].
      decomposed: what `decomposition` returns for them, if the model has it. Its I(x; c) is exact
        where the model infers c. Where c is summed out, it is computed here from an average of
        p(c|z) over draws of z.

    Returns:
      "aggregate", q(c) over the training data; "effective_number", exp of its entropy;
      "largest_share", its maximum; "information", I(x; c) over the test examples in nats; and
      "prior", p(c), where it is learned. In a merged model c is the category, not the component.
    """
    q = np.asarray(params.shares, np.float64)
    merged = params.config.groups is not None
    if len(q) == 1:
        information = 0.0
    elif decomposed is not None and priors.of(params.config).inferred and not merged:
        information = max(0.0, decomposed["mutual_information_c"])
    else:
        examples = checks.data(params, test, "data")
        probs = aggregate.probs(params, purpose(key, "categories"), examples, draws=DRAWS)
        information = categories.information(np.asarray(params.by_category(probs)))
    learned = {"prior": shares_of_prior(params).tolist()} if category.learned(params.config) else {}
    return {
        "aggregate": q.tolist(),
        "effective_number": categories.effective_number(q),
        "largest_share": float(q.max()),
        "information": information,
        **learned,
    }


def shares_of_prior(params: Params) -> np.ndarray:
    """p(c) by category, [G]."""
    return np.asarray(params.by_category(jnp.exp(category.log_probs(params))), np.float64)


def summary(found: dict[str, Any]) -> str:
    """How many categories are in use, and what they say about x, as a line to print."""
    K = len(found["aggregate"])
    line = f"effective number of categories {found['effective_number']:.1f}"
    if K == 1:
        return line
    return (
        f"{line}; they carry I(x; c) = {found['information']:.3f} of at most {np.log(K):.3f} nats"
    )
