"""The decomposition of the expected divergence, section 3.3.1 of the paper."""

from __future__ import annotations

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax import checks, models, posteriors, priors
from cpvae_jax.distributions import categorical
from cpvae_jax.distributions.precision import exact
from cpvae_jax.errors import UserError
from cpvae_jax.evaluation.estimates import encoding_of_draw
from cpvae_jax.evaluation.means import standard_error
from cpvae_jax.models import category
from cpvae_jax.types import Params


def decomposition(
    params: Params, key: jax.Array, data: jax.typing.ArrayLike, *, draws: int = 1000
) -> dict[str, float]:
    """Eq. (13): E KL = I_q((z, c), x) + E_q(c) KL(q(z|c) || p(z|c)) + KL(q(c) || p(c)).

    With the uniform p(c) of the paper, the last term is log K − H(q(c)).

    p(x) is the empirical distribution of the N examples given, so the mutual information is at most
    log N. The entropies of c are exact. Terms with log q(z|c), the mixture of all N posteriors of
    category c, are averaged over draws of (x, c, z). With two levels z is the top code; where c is
    summed out, log K and all terms of c are 0. In a merged model c is the component.

    Args:
      params: The model.
      key: A random key.
      data: Examples [N, *shape].
      draws: Draws of (x, c, z).

    Returns:
      In nats: "mutual_information" and its parts "mutual_information_c" (of c and x) and
      "mutual_information_z" (of z and x given c), "prior_match" (of z), "prior_match_c", which is
      KL(q(c) || p(c)), "entropy_c", "log_K", "kl" (the sum of the right-hand side), and
      "standard_error" of that sum.

    Raises:
      UserError: The data do not suit the model, or its posterior has no density.
    """
    checks.model(params)
    checks.at_least("draws", draws, 1)
    if posteriors.of(params.config).log_prob is None:
        raise UserError(
            f"the posterior {params.config.posterior!r} does not give its density at any z, which "
            "the decomposition needs; leave it out for this model."
        )
    examples = checks.data(params, data, "data")
    found = _decomposition(params, checks.key(key), examples, draws=draws)
    of_draws = np.asarray(found.pop("of_draws"))
    return {**jax.tree.map(float, found), "standard_error": standard_error(of_draws)}


@partial(jax.jit, static_argnames="draws")
@exact
def _decomposition(
    params: Params, key: jax.Array, data: jax.Array, *, draws: int
) -> dict[str, jax.Array]:
    key_x, key_i, key_c, key_z = jax.random.split(key, 4)
    model, family = models.of(params.config), posteriors.of(params.config)
    weights = params.weights["posterior"]
    log_prob = family.log_prob
    assert log_prob is not None  # checked by the caller
    encoding = encoding_of_draw(params, key_x, data)
    N, K = encoding.logits.shape
    log_probs = jax.nn.log_softmax(encoding.logits)
    log_aggregate = jax.nn.logsumexp(log_probs, axis=0) - math.log(N)
    entropy_c = categorical.entropy(log_aggregate)
    mutual_c = entropy_c - jnp.mean(categorical.entropy(encoding.logits))
    # Where c is summed out there is a single category here.
    inferred = priors.of(params.config).inferred
    log_p_c = category.log_probs(params) if inferred else jnp.zeros(1, jnp.float32)
    match_c = categorical.kl(log_aggregate, log_p_c)

    def draw(at: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """log q(z|x, c) − log q(z|c) and log q(z|c) − log p(z|c) at one draw of x, c, z."""
        i, key_c, key_z = at
        c = jax.random.categorical(key_c, encoding.logits[i]).astype(jnp.int32)
        conditional = family.at(encoding.code, model.seen(jnp.full(N, c)))
        z, _ = family.sample(weights, key_z, jax.tree.map(lambda a: a[i], conditional))
        of_each = log_prob(weights, conditional, z)
        log_q = jax.nn.logsumexp(log_probs[:, c] + of_each) - log_aggregate[c] - math.log(N)
        log_p = model.log_prior(params, z, model.seen(c)) - log_p_c[c]
        return of_each[i] - log_q, log_q - log_p

    i = jax.random.randint(key_i, (draws,), 0, N, jnp.int32)
    keys_c, keys_z = jax.random.split(key_c, draws), jax.random.split(key_z, draws)
    mutual_z, match = jax.lax.map(draw, (i, keys_c, keys_z))
    result = {
        "mutual_information": mutual_c + jnp.mean(mutual_z),
        "mutual_information_c": mutual_c,
        "mutual_information_z": jnp.mean(mutual_z),
        "prior_match": jnp.mean(match),
        "prior_match_c": match_c,
        "entropy_c": entropy_c,
        "log_K": jnp.log(jnp.float32(K)),
    }
    kl = result["mutual_information"] + result["prior_match"] + match_c
    return {**result, "kl": kl, "of_draws": mutual_z + match}
