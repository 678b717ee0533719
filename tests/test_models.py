"""The contract of every model: one set of tests over all priors, one level and two."""

import chex
import jax
import jax.numpy as jnp
import pytest

from cpvae_jax import Config, UserError, initialise, priors
from cpvae_jax.interface import ESTIMATORS
from cpvae_jax.models import cpvae

B, X, D, S = 5, 3, 2, 7


def config_of(name, **changes):
    single = priors.PRIORS[name.removeprefix("h") if name not in priors.PRIORS else name].single
    defaults = {"shape": (X,), "K": 1 if single else 4, "latent": D, "hidden": (6, 5)}
    return Config(**{**defaults, "model": name, **changes})


def test_an_unknown_model_lists_the_known():
    with pytest.raises(UserError, match="'gan'; choose one of cp"):
        initialise(jax.random.key(0), Config(shape=(3,), model="gan"))


@pytest.mark.parametrize("name", priors.names())
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_shapes_of_every_model(name, likelihood):
    """Traced, not run: numbers are the matter of the other tests."""
    config = config_of(name, likelihood=likelihood)

    def everything(key, x):
        params, category = cpvae.init(key, config, None), jnp.zeros(B, jnp.int32)
        seen = cpvae.networks_see(params, category)
        heads, prior = cpvae.infer(params, x), cpvae.components(params)
        z = prior.sample(key, category)
        chex.assert_shape(cpvae.category_logits(params, heads), (B, config.K))
        chex.assert_shape([z, *cpvae.conditional_posterior(heads, seen)], (B, D))
        chex.assert_shape(cpvae.decode(params, key, z, category), (B, X))
        chex.assert_shape(cpvae.reconstruct(params, x), (B, X))
        chex.assert_shape(cpvae.log_prior(params, z, seen), (B,))
        chex.assert_shape(cpvae.log_weights(params, key, x, heads, S), (S, B))
        for estimator in ESTIMATORS:
            got = cpvae.terms(params, key, x, estimator, 0.5)
            chex.assert_shape([got.bound, *got.named().values()], (B,))
        return params

    params = jax.eval_shape(everything, jax.random.key(0), jnp.zeros((B, X)))
    assert params.config == config
    chex.assert_shape(params.aggregate, (config.K,))
