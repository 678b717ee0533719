"""The contract of every model: the same tests over all priors, with one level and with two."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import (
    Config,
    Training,
    UserError,
    likelihoods,
    models,
    objectives,
    posteriors,
    priors,
)
from cpvae_jax.evaluation.estimates import ESTIMATORS
from cpvae_jax.models import cpvae, marginal, parts, start
from cpvae_jax.objectives.base import Progress, gradient
from cpvae_jax.registry import LIKELIHOODS, PRIORS, parts_of_model
from tests import tables

B, X, D, S = 5, 3, 2, 7
KEYS = jax.random.split(jax.random.key(5), 20)
MODELS = [levels + name for levels in ("", "h") for name in priors.names()]


def config_of(name, **changes):
    single = PRIORS[parts_of_model(name)[0]].single
    defaults = {"shape": (X,), "K": 1 if single else 4, "latent": D, "hidden": (6, 5)}
    return Config.of_model(name, **{**defaults, **changes})


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(UserError, match="'gan'; choose one of cp"):
        Config.of_model("gan", shape=(3,))


@pytest.mark.parametrize("name", MODELS)
def test_a_prior_with_an_inferred_category_gets_the_papers_model(name):
    config = config_of(name)
    inferred = priors.of(config).inferred
    assert models.of(config) is (cpvae.MODEL if inferred else marginal.MODEL)
    assert inferred == (config.prior in ("cp", "full"))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("likelihood", likelihoods.names())
@pytest.mark.parametrize("shape", [(X,), (2, 3)])
def test_the_shapes_of_every_model(name, likelihood, shape):
    """Traced, not run: other tests check the numbers."""
    columns = None
    if likelihood == "autoregressive":
        shape = (2, 3)
    if LIKELIHOODS[likelihood].coded:
        columns, shape = tables.COLUMNS, tables.CONFIG.shape
    config = config_of(name, likelihood=likelihood, shape=shape, columns=columns)
    output = (*shape, LIKELIHOODS[likelihood].channels)

    def everything(key, x):
        params, model = start.init(key, config), models.of(config)
        category = jnp.zeros(B, jnp.int32)
        seen = model.seen(category)
        encoding, prior = model.infer(params, x), parts.components(params)
        z = prior.sample(key, category)
        chex.assert_shape(model.logits(params, encoding), (B, config.K))
        mean, log_var = posteriors.of(config).at(encoding.code, seen)
        chex.assert_shape([z, mean, log_var], (B, D))
        chex.assert_shape(model.decode(params, key, z, category), (B, *output))
        chex.assert_shape(model.generate(params, key, category), (B, *output))
        chex.assert_shape(model.reconstruct(params, encoding), (B, *output))
        chex.assert_shape(model.log_prior(params, z, seen), (B,))
        chex.assert_shape(model.log_weights(params, key, x, encoding, S), (S, B))
        for estimator in ESTIMATORS:
            got = model.terms(params, key, x, encoding, estimator, 0.5)
            chex.assert_shape([got.bound, *got.named().values()], (B,))
        return params

    params = jax.eval_shape(everything, jax.random.key(0), jnp.zeros((B, *shape)))
    assert params.config == config
    chex.assert_shape(params.aggregate, (config.K,))
    chex.assert_trees_all_equal_shapes_and_dtypes(params, start.template(config))


@pytest.mark.parametrize("name", MODELS)
def test_the_mean_log_weight_is_the_bound_of_every_model(name, shaken, pixels, assert_mean):
    """Two independent routes through a model: draws with densities, and divergences."""
    params = shaken(config_of(name, binarise="none", latent=1))
    params = params.replace(weights=jax.tree.map(lambda a: 0.4 * a, params.weights))

    @jax.jit
    def both(params):
        model, x = models.of(params.config), jnp.asarray(pixels)
        encoding = model.infer(params, x)

        def bound(key):
            return model.terms(params, key, x, encoding, "hard").bound

        keys = jax.random.split(KEYS[0], 4000)
        return jax.vmap(bound)(keys), model.log_weights(params, KEYS[1], x, encoding, 4000)

    bounds, log_weights = (np.asarray(a, np.float64) for a in both(params))
    assert_mean(bounds - log_weights, np.zeros(8))


# Through the public interface, with numbers


@pytest.fixture(scope="module")
def data():
    return (np.random.default_rng(0).random((60, X)) < 0.4).astype(np.float32)


@pytest.fixture(scope="module", params=MODELS)
def fitted(request, data):
    """A model after two epochs, of two seeds side by side."""
    config = config_of(request.param, hidden=(4,))
    training = Training(epochs=2, batch_size=20, learning_rate=1e-2, warmup=1)
    keys = jax.random.split(jax.random.key(0), 2)
    return cpvae_jax.fit(keys, config, data[:40], data[40:], recipe=training)


@pytest.mark.slow
def test_every_model_trains_scores_samples_and_comes_back_from_disk(fitted, data, tmp_path):
    params, K = fitted.params, fitted.params.config.K
    assert fitted.state.best_bound.shape == (2,)
    assert len(fitted.seeds) == 2
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
    if params.config.levels == 1:
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


def test_a_category_can_be_requested_where_there_are_any(fitted):
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


def test_every_weight_gets_a_gradient(fitted, data):
    params = fitted.params
    objective = objectives.of(Training(warmup=1, temperature=1.0, temperature_end=1.0))

    @jax.jit
    def found(params):
        progress = Progress(jnp.array(1.0), 2)
        return gradient(objective, params, KEYS[0], jnp.asarray(data), progress)[0]

    weights = found(params)
    chex.assert_trees_all_equal_shapes(weights, params.weights)
    for path, leaf in jax.tree.leaves_with_path(weights):
        assert np.any(leaf != 0), jax.tree_util.keystr(path)
    assert bool(jax.tree.leaves(weights["prior"])) != priors.of(params.config).single


@pytest.mark.parametrize("name", ["mg", "cp"])
def test_samples_without_a_category_follow_the_weights_of_the_paper(name, shaken):
    """q(c) where c is inferred, equal weights where it is summed out."""
    params = shaken(config_of(name, latent=1))
    far = jnp.arange(4.0)[:, None] * 100
    prior = {"mean": far, "log_var": jnp.full((4, 1), -9.0)}
    params = params.replace(
        weights={**params.weights, "prior": prior},
        stats={**params.stats, "aggregate": jnp.array([0.0, 0.0, 1.0, 0.0])},
    )
    each = [cpvae_jax.sample(params, KEYS[0], category=k, num=1)[0] for k in range(4)]
    x = cpvae_jax.sample(params, KEYS[1], num=400)
    nearest = np.argmin(np.abs(x[:, None] - np.stack(each)).sum(axis=-1), axis=1)
    chosen = np.bincount(nearest, minlength=4)
    if name == "cp":
        assert chosen.tolist() == [0, 0, 400, 0]
    else:
        assert chosen.min() > 60
