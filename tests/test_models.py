"""The contract of every model: one set of tests over all priors, one level and two."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Training, UserError, epoch, initialise, priors
from cpvae_jax.interface import ESTIMATORS
from cpvae_jax.models import cpvae

B, X, D, S = 5, 3, 2, 7
KEYS = jax.random.split(jax.random.key(5), 20)


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


# Through the public interface, on numbers


@pytest.fixture(scope="module")
def data():
    return (np.random.default_rng(0).random((60, X)) < 0.4).astype(np.float32)


@pytest.fixture(scope="module", params=priors.names())
def fitted(request, data):
    """A model after two epochs, of two seeds side by side."""
    config = config_of(request.param, hidden=(4,))
    training = Training(epochs=2, batch_size=20, learning_rate=1e-2, warmup=1)
    keys = jax.random.split(jax.random.key(0), 2)
    return cpvae_jax.fit(keys, config, data[:40], data[40:], training=training)


def test_every_model_trains_scores_samples_and_comes_back_from_disk(fitted, data, tmp_path):
    params, K = fitted.params, fitted.params.config.K
    assert fitted.state.best_bound.shape == (2,)
    assert len({float(b) for b in fitted.state.best_bound}) == 2
    chex.assert_tree_all_finite(params)
    chex.assert_shape(cpvae_jax.predict(params, data), (60, K))
    np.testing.assert_allclose(cpvae_jax.predict(params, data).sum(axis=1), 1, rtol=1e-5)
    chex.assert_shape(cpvae_jax.encode(params, data).mean, (60, K, D))
    chex.assert_shape(cpvae_jax.reconstruct(params, data), (60, X))
    np.testing.assert_allclose(params.aggregate.sum(), 1, rtol=1e-5)

    bound = np.mean([cpvae_jax.bound(params, k, data).bound for k in KEYS])
    likelihood = cpvae_jax.log_likelihood(params, KEYS[0], data, samples=200)
    assert bound < likelihood.mean() + 0.05
    found = cpvae_jax.decomposition(params, KEYS[0], data, draws=2000)
    if priors.levels(params.config) == 1:
        kl = np.mean([sum(divergences(cpvae_jax.bound(params, k, data))) for k in KEYS])
        assert abs(found["kl"] - kl) < 6 * found["standard_error"] + 0.02

    cpvae_jax.save(tmp_path / "model", params)
    loaded = cpvae_jax.load(tmp_path / "model")
    assert loaded.config == params.config
    np.testing.assert_array_equal(
        cpvae_jax.sample(loaded, KEYS[1], num=4), cpvae_jax.sample(params, KEYS[1], num=4)
    )


def divergences(terms):
    return terms.kl_c.mean(), terms.kl_z.mean()


def test_a_category_can_be_asked_for_where_there_are_any(fitted):
    params, z = fitted.params, np.zeros((2, D), np.float32)
    if priors.of(params.config).single:
        for call in (cpvae_jax.sample, lambda *_, category: cpvae_jax.decode(params, z, category)):
            with pytest.raises(UserError, match="has no categories; leave it out"):
                call(params, KEYS[0], category=0)
        chex.assert_shape(cpvae_jax.decode(params, z), (2, X))
        return
    means = [cpvae_jax.sample(params, KEYS[0], category=k, num=300).mean(axis=0) for k in range(2)]
    assert np.any(np.abs(means[0] - means[1]) > 1e-6)
    with pytest.raises(UserError, match="this model has 4 categories, 0 to 3"):
        cpvae_jax.sample(params, KEYS[0], category=4)
    if priors.of(params.config).inferred:
        with pytest.raises(UserError, match=r"decoder of the model .* needs one"):
            cpvae_jax.decode(params, z)


def test_every_array_that_is_no_constant_gets_a_gradient(fitted, data):
    params, one = fitted.params, jnp.array(1.0)

    @jax.jit
    def gradient(params):
        return jax.grad(epoch.loss, has_aux=True)(params, KEYS[0], data, one, one, "relaxed")[0]

    found = gradient(params)
    for path, leaf in jax.tree.leaves_with_path((found.encoder, found.decoder)):
        assert np.any(leaf != 0), jax.tree_util.keystr(path)
    for path, leaf in jax.tree.leaves_with_path(found.prior):
        assert np.any(leaf != 0) != priors.of(params.config).single, jax.tree_util.keystr(path)


@pytest.mark.parametrize("name", ["mg", "cp"])
def test_samples_without_a_category_follow_the_weights_of_the_paper(name, shaken):
    """q(c) where c is inferred, equal weights where it is summed out."""
    params = shaken(config_of(name, latent=1))
    far = jnp.arange(4.0)[:, None] * 100
    params = params.replace(
        prior={"mean": far, "log_var": jnp.full((4, 1), -9.0)},
        aggregate=jnp.array([0.0, 0.0, 1.0, 0.0]),
    )
    each = [cpvae_jax.sample(params, KEYS[0], category=k, num=1)[0] for k in range(4)]
    x = cpvae_jax.sample(params, KEYS[1], num=400)
    nearest = np.argmin(np.abs(x[:, None] - np.stack(each)).sum(axis=-1), axis=1)
    chosen = np.bincount(nearest, minlength=4)
    if name == "cp":
        assert chosen.tolist() == [0, 0, 400, 0]
    else:
        assert chosen.min() > 60
