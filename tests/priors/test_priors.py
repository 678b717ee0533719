"""The priors of the code z: their densities, their gradients, their start, and ones of your own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp
from scipy.stats import multivariate_normal

import cpvae_jax
from cpvae_jax import Config, Training, UserError, initialise, models, priors
from cpvae_jax.distributions.mixture import Diagonal
from cpvae_jax.models import marginal, parts
from cpvae_jax.registry import LIKELIHOODS, PRIORS, parts_of_model
from cpvae_jax.training import program

B, X, K, D = 5, 3, 4, 2
KEY = jax.random.key(0)


def config_of(name, **changes):
    prior, _ = parts_of_model(name)
    defaults = {"shape": (X,), "K": 1 if PRIORS[prior].single else K, "latent": D}
    if changes.get("likelihood", "bernoulli") == "bernoulli":
        defaults["binarise"] = "none"
    return Config.of_model(name, **{**defaults, "hidden": (6, 5), **changes})


def prior_of(params):
    return params.weights["prior"]


def with_weights(params, **changes):
    """A model with some parts of its weights replaced."""
    return params.replace(weights={**params.weights, **changes})


def limited(log_var):
    return 10 * np.tanh(log_var / 10)


def encoded(params, inputs):
    """Mean and log-variance of q(z|x) at encoder inputs, in float64 from the arrays alone."""
    h = inputs
    weights = jax.tree.map(lambda a: np.asarray(a, np.float64), params.weights)
    for layer in weights["encoder"]:
        value, gate = np.split(h @ layer["kernel"] + layer["bias"], 2, axis=-1)
        h = value * expit(gate)
    heads = weights["heads"]
    mean, log_var = (h @ heads[n]["kernel"] + heads[n]["bias"] for n in ("mean", "log_var"))
    return mean, limited(log_var)


def means_and_covariances(params):
    """Means [K, D] and covariances [K, D, D] that the weights of a prior stand for."""
    prior = {name: np.asarray(a, np.float64) for name, a in prior_of(params).items()}
    kind, eye = params.config.prior, np.eye(params.config.latent)
    if kind == "vae":
        return np.zeros((1, len(eye))), eye[None]
    if kind == "vp":
        bernoulli = params.config.likelihood == "bernoulli"
        inputs = expit(prior["pseudo_inputs"]) if bernoulli else prior["pseudo_inputs"]
        mean, log_var = encoded(params, inputs)
        return mean, np.exp(log_var)[..., None] * eye
    factor = np.exp(limited(prior["log_var"]) / 2)[..., None] * eye
    if kind == "full":
        factor = factor + np.tril(prior["below"], -1)
    return prior["mean"], factor @ np.swapaxes(factor, 1, 2)


def densities(params, z):
    """log N(z | component k), [..., K], by scipy."""
    each = zip(*means_and_covariances(params), strict=True)
    return np.stack([multivariate_normal(m, c).logpdf(z) for m, c in each], axis=-1)


# What the weights of each prior mean


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((h + name, {}) for h in ("", "h") for name in priors.names()),
        ("vp", {"likelihood": "gaussian"}),
    ],
)
def test_the_density_of_every_prior_equals_the_mixture_by_scipy(name, options, shaken):
    """With every category summed out, and with one given: p(z, c) = p(z|c) / K."""
    params = shaken(config_of(name, **options))
    count = params.config.K
    z = np.random.default_rng(0).normal(0, 1.5, (B, D)).astype(np.float32)
    category = np.arange(B) % count
    expected = densities(params, z)

    @jax.jit
    def log_prior(params, category):
        """Summed over c, whatever the model does with it, and given c."""
        gaussians = parts.components(params)
        of_category = gaussians.log_prob(z, category) - np.log(count)
        if priors.of(params.config).inferred:
            of_category = models.of(params.config).log_prior(params, z, category)
        return marginal.log_prior(params, z), of_category

    summed, given = log_prior(params, jnp.asarray(category))
    total = logsumexp(expected, axis=1) - np.log(count)
    np.testing.assert_allclose(summed, total, rtol=1e-4, atol=1e-5)
    of_category = expected[np.arange(B), category] - np.log(count)
    np.testing.assert_allclose(given, of_category, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["vp", "hvp"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_components_of_the_vampprior_equal_the_posteriors_of_its_pseudo_inputs(
    name, likelihood, shaken
):
    """By formulas in numpy, and by `encode` with the pseudo-inputs as data."""
    params = shaken(config_of(name, likelihood=likelihood))
    u = np.asarray(prior_of(params)["pseudo_inputs"])
    inputs = expit(u) if likelihood == "bernoulli" else u
    got = jax.jit(parts.components)(params)
    mean, log_var = encoded(params, inputs)
    np.testing.assert_allclose(got.mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got.log_var, log_var, rtol=1e-4, atol=1e-5)
    posterior = cpvae_jax.encode(params, inputs)
    for k in range(K):  # q(z|x) does not depend on the category
        np.testing.assert_allclose(posterior.mean[:, k], got.mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(posterior.log_var[:, k], got.log_var, rtol=1e-4, atol=1e-5)


def test_a_full_covariance_reads_only_what_is_below_its_diagonal(shaken):
    params = shaken(config_of("full"))
    below = np.asarray(prior_of(params)["below"])
    changed = {"below": jnp.tril(below, -1) + np.triu(7 + below)}
    above = with_weights(params, prior=prior_of(params) | changed)
    got, expected = (jax.jit(parts.components)(p).factor for p in (above, params))
    np.testing.assert_array_equal(got, expected)


# What trains them


@pytest.mark.parametrize("name", ["vp", "hvp"])
def test_gradients_of_the_vampprior_reach_the_pseudo_inputs_and_the_encoder(name, shaken):
    """Through log p(z) alone, to every array that makes q(z|u), by central differences."""
    params = shaken(config_of(name))
    z = np.random.default_rng(1).normal(size=(B, D)).astype(np.float32)

    @jax.jit
    @jax.grad
    def slopes(weights):
        return jnp.sum(marginal.log_prior(params.replace(weights=weights), z))

    names = ("prior", "encoder", "heads")
    found = {part: slopes(params.weights)[part] for part in names}
    for path, leaf in jax.tree.leaves_with_path(found):
        assert np.all(np.isfinite(leaf)), jax.tree_util.keystr(path)
        assert np.any(leaf != 0), jax.tree_util.keystr(path)

    rng, step = np.random.default_rng(2), 1e-4
    for moving in (("prior",), ("encoder", "heads")):
        along = {
            part: jax.tree.map(lambda a: rng.normal(size=a.shape), params.weights[part])
            for part in moving
        }

        def value(size, along=along):
            moved = {
                part: jax.tree.map(
                    lambda a, d: np.float64(a) + size * d, params.weights[part], direction
                )
                for part, direction in along.items()
            }
            return np.sum(logsumexp(densities(with_weights(params, **moved), z), axis=1))

        slope = (value(step) - value(-step)) / (2 * step)
        products = jax.tree.map(
            lambda d, g: np.sum(d * np.float64(g)), along, {part: found[part] for part in moving}
        )
        assert abs(slope) > 0.1
        assert sum(jax.tree.leaves(products)) == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("name", ["vae", "hvae"])
def test_the_prior_of_the_vae_is_standard_normal_and_has_no_weights(name, shaken):
    params = shaken(config_of(name))
    assert jax.tree.leaves(prior_of(params)) == []
    prior = parts.components(params)
    np.testing.assert_array_equal(prior.mean, np.zeros((1, D)))
    np.testing.assert_array_equal(prior.log_var, np.zeros((1, D)))


@pytest.mark.parametrize(
    ("name", "count"), [("cp", K), ("cp", 1), ("full", K), ("mg", K), ("vp", K)]
)
def test_one_step_of_training_moves_every_array_of_a_prior(name, count, pixels):
    """From the start that `fit` makes, with one batch. With K = 1, Eq. (15): a learned Gaussian."""
    config = config_of(name, K=count, hidden=(4,))
    settings = Training(learning_rate=1e-2, batch_size=8, warmup=0, estimator="exact")
    trainer = program.program(settings, 1)
    state = program.begin(trainer, KEY[None], config, pixels)
    before = jax.tree.map(np.array, prior_of(state.params))  # the state is used up
    state, _ = trainer.run(state, jnp.asarray(pixels))
    assert before
    for array, values in before.items():
        # Adam's first step has the size of the learning rate, whatever the gradient's.
        moved = np.abs(prior_of(state.params)[array] - values)
        below = np.ones(values.shape[-1:], bool)
        if array == "below":
            below = np.tril(np.ones((D, D)), -1) > 0
        assert np.all(moved[..., below] > 5e-3), array
        np.testing.assert_array_equal(moved[..., ~below], 0)


# How they start


def test_conditional_priors_start_at_the_standard_normal_and_free_means_start_apart():
    """Equal free components would get equal gradients; conditional ones differ by their tables."""
    for name in ("cp", "full"):
        params = initialise(KEY, config_of(name))
        mean, covariance = means_and_covariances(params)
        np.testing.assert_array_equal(mean, np.zeros((K, D)))
        np.testing.assert_array_equal(covariance, np.broadcast_to(np.eye(D), (K, D, D)))
    mean, covariance = means_and_covariances(initialise(KEY, config_of("mg", K=500)))
    np.testing.assert_array_equal(covariance, np.broadcast_to(np.eye(D), (500, D, D)))
    assert len(np.unique(mean, axis=0)) == 500
    assert mean.std() == pytest.approx(0.5, rel=0.1)


DATA = np.random.default_rng(3).integers(0, 256, (20, X)).astype(np.uint8)
DATA[:4] = [[0, 0, 0], [255, 255, 255], [0, 255, 0], [255, 0, 255]]


@pytest.mark.parametrize("name", ["vp", "hvp"])
@pytest.mark.parametrize("form", ["grey levels", "floats"])
def test_pseudo_inputs_start_at_examples_of_the_data(name, form):
    """To 0.01: black and white are clipped by that much, so that a gradient can move them."""
    config = config_of(name, K=50, binarise="dynamic")
    data = DATA if form == "grey levels" else (DATA / 255).astype(np.float32)
    u = np.asarray(prior_of(initialise(KEY, config, data))["pseudo_inputs"])
    assert u.shape == (50, X)
    assert np.all(np.isfinite(u))
    off = np.abs(expit(np.float64(u))[:, None] - DATA / 255).max(axis=2)  # [K, examples]
    assert np.all(off.min(axis=1) <= 0.01 + 1e-6)
    assert len(set(off.argmin(axis=1))) > 10  # 50 draws of 20 with replacement: 18.5 on average
    other = prior_of(initialise(jax.random.key(1), config, data))["pseudo_inputs"]
    assert np.any(other != u)


def test_pseudo_inputs_of_real_valued_data_start_at_standardised_examples():
    data = np.random.default_rng(4).normal([5, -300, 0], [0.1, 40, 1], (20, X))
    config = config_of("vp", K=50, likelihood="gaussian")
    u = np.asarray(prior_of(initialise(KEY, config, data))["pseudo_inputs"])
    standard = (data - data.mean(axis=0)) / data.std(axis=0)
    assert np.abs(u[:, None] - standard).max(axis=2).min(axis=1).max() < 1e-3


def test_pseudo_inputs_start_at_noise_without_data():
    u = np.asarray(prior_of(initialise(KEY, config_of("vp", K=500)))["pseudo_inputs"])
    assert u.shape == (500, X)
    assert (u.mean(), u.std()) == (pytest.approx(0, abs=0.15), pytest.approx(1, abs=0.1))


def test_learned_inputs_stay_in_the_range_of_the_data_and_invert_it():
    """`to_input` and `from_input` are inverses inside the range, and finite at its ends."""
    like = LIKELIHOODS["bernoulli"]
    inside = np.linspace(0.01, 0.99, 99).astype(np.float32)
    np.testing.assert_allclose(like.to_input(like.from_input(inside)), inside, rtol=1e-5)
    free = np.linspace(-4.5, 4.5, 91).astype(np.float32)
    np.testing.assert_allclose(like.from_input(like.to_input(free)), free, rtol=1e-4, atol=1e-5)
    ends = like.from_input(np.array([0.0, 1.0], np.float32))
    np.testing.assert_allclose(like.to_input(ends), [0.01, 0.99], rtol=1e-4)
    far = np.array([-1e6, 1e6], np.float32)
    np.testing.assert_array_equal(like.to_input(far), [0, 1])

    real = LIKELIHOODS["gaussian"]
    numbers = np.array([-1e6, -1.5, 0, 1, 3e4], np.float32)
    np.testing.assert_array_equal(real.to_input(numbers), numbers)
    np.testing.assert_array_equal(real.from_input(numbers), numbers)


# Priors of your own


def ring(radius, *, inferred=False):
    """K Gaussians of a learned width around a circle of a given radius."""

    def init(key, config, start):
        del key, config, start
        return {"log_var": jnp.full((), -4.0)}

    def components(config, weights, encode):
        del encode
        angle = 2 * jnp.pi * jnp.arange(config.K) / config.K
        mean = radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
        return Diagonal(mean, jnp.broadcast_to(weights["log_var"], mean.shape))

    return priors.base.Prior(init, components, inferred)


@pytest.fixture
def forgets():
    """Forgets the priors that a test registers."""
    yield
    for name in ("ring", "hello", "eager"):
        PRIORS.forget(name)


@pytest.mark.slow
@pytest.mark.usefixtures("forgets")
@pytest.mark.parametrize(("levels", "inferred"), [(1, False), (2, True)])
def test_a_registered_prior_trains_and_samples_with_one_level_and_with_two(
    levels, inferred, pixels, assert_mean
):
    priors.register("ring", ring(3.0, inferred=inferred))
    assert "ring" in priors.names()
    config = Config((X,), K, 2, (4,), likelihood="gaussian", scale=1.0, prior="ring", levels=levels)
    assert config.model == ("ring" if levels == 1 else "hring")
    params = initialise(KEY, config, pixels)
    assert set(prior_of(params)) == {"log_var"}
    training = Training(learning_rate=1e-2, batch_size=4, warmup=0, epochs=1)
    result = cpvae_jax.fit(KEY, config, pixels, pixels, recipe=training)
    assert prior_of(result.params)["log_var"] != -4
    assert np.isfinite(result.history[-1]["valid_bound"])
    images = cpvae_jax.sample(result.params, KEY, category=2, num=4)
    assert images.shape == (4, X)
    assert np.all(np.isfinite(images))
    # Category 1 of 4 is a quarter of the way round.
    z = parts.components(params).sample(KEY, jnp.full(2000, 1))
    assert_mean(z, np.array([0.0, 3.0]))


@pytest.mark.usefixtures("forgets")
def test_a_prior_may_start_from_the_data_and_the_encoder_with_plain_numpy(pixels, tmp_path):
    """Components at the posteriors of three examples, which no traced program could choose."""

    def init(key, config, start):
        if start.data is None:
            mean, log_var = np.zeros((config.K, config.latent)), np.zeros(())
        else:
            whitest = np.argsort(-np.asarray(start.data).reshape(len(start.data), -1).sum(axis=1))
            mean, log_var = start.encode(start.inputs(np.asarray(start.data)[whitest[: config.K]]))
            assert isinstance(float(mean[0, 0]), float)
            log_var = np.asarray(log_var).mean()
        return {"mean": jnp.asarray(mean, jnp.float32), "log_var": jnp.float32(log_var)}

    def components(config, weights, encode):
        return Diagonal(
            weights["mean"], jnp.broadcast_to(weights["log_var"], weights["mean"].shape)
        )

    priors.register("eager", priors.base.Prior(init, components, inferred=True))
    config = config_of("eager", K=3)
    params = initialise(KEY, config, pixels)
    order = np.argsort(-pixels.sum(axis=1))[:3]
    expected, _ = encoded(params, pixels[order])
    np.testing.assert_allclose(prior_of(params)["mean"], expected, rtol=1e-4, atol=1e-5)
    cpvae_jax.save(tmp_path / "model", params)  # which makes the template without any data
    loaded = cpvae_jax.load(tmp_path / "model")
    np.testing.assert_array_equal(prior_of(loaded)["mean"], prior_of(params)["mean"])


@pytest.mark.usefixtures("forgets")
def test_registering_the_same_prior_again_changes_nothing():
    ours = ring(3.0)
    priors.register("ring", ours)
    names = priors.names()
    priors.register("ring", ours)
    assert priors.names() == names
    assert PRIORS["ring"] is ours


@pytest.mark.usefixtures("forgets")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("cp", id="the name of a built-in prior"),
        "",
        "two words",
        "1st",
    ],
)
def test_a_name_that_is_taken_or_not_one_word_is_refused_and_nothing_changes(name):
    priors.register("ring", ring(3.0))
    before = priors.names()
    with pytest.raises(UserError, match=f"a prior cannot be registered as '{name}'") as error:
        priors.register(name, ring(1.0))
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert message.count(". ") == 0
    assert before == priors.names()
