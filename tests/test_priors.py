"""The priors of the code z, one by one: their densities, what trains them, and how they start."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp
from scipy.stats import multivariate_normal

import cpvae_jax
from cpvae_jax import Config, Training, UserError, epoch, initialise, likelihoods, priors, train
from cpvae_jax.mixture import Diagonal
from cpvae_jax.models import cpvae

B, X, K, D = 5, 3, 4, 2
KEY = jax.random.key(0)


def config_of(name, **changes):
    single = priors.PRIORS[name if name in priors.PRIORS else name.removeprefix("h")].single
    defaults = {"shape": (X,), "K": 1 if single else K, "latent": D, "hidden": (6, 5)}
    return Config(**{**defaults, "model": name, "binarise": "none", **changes})


def limited(log_var):
    return 10 * np.tanh(log_var / 10)


def encoded(params, inputs):
    """Mean and log-variance of q(z|x) at encoder inputs, in float64 from the arrays alone."""
    h, encoder = inputs, jax.tree.map(lambda a: np.asarray(a, np.float64), params.encoder)
    for layer in encoder["trunk"]:
        value, gate = np.split(h @ layer["kernel"] + layer["bias"], 2, axis=-1)
        h = value * expit(gate)
    mean, log_var = (h @ encoder[n]["kernel"] + encoder[n]["bias"] for n in ("mean", "log_var"))
    return mean, limited(log_var)


def means_and_covariances(params):
    """What the arrays of a prior stand for, [K, D] and [K, D, D]."""
    prior = {name: np.asarray(a, np.float64) for name, a in params.prior.items()}
    kind, eye = params.config.model.removeprefix("h"), np.eye(params.config.latent)
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


# What the arrays of each prior mean


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in priors.names()), ("vp", {"likelihood": "gaussian"})],
)
def test_the_density_of_every_prior_is_that_of_scipys_mixture(name, options, shaken):
    """With every category summed out, and with one given: p(z, c) = p(z|c) / K."""
    params = shaken(config_of(name, **options))
    count = params.config.K
    z = np.random.default_rng(0).normal(0, 1.5, (B, D)).astype(np.float32)
    category = np.arange(B) % count
    expected = densities(params, z)

    @jax.jit
    def log_prior(params, category):
        summed, given = (cpvae.log_prior(params, z, c) for c in (None, category))
        return summed, given

    summed, given = log_prior(params, jnp.asarray(category))
    total = logsumexp(expected, axis=1) - np.log(count)
    np.testing.assert_allclose(summed, total, rtol=1e-4, atol=1e-5)
    of_category = expected[np.arange(B), category] - np.log(count)
    np.testing.assert_allclose(given, of_category, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["vp", "hvp"])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_the_components_of_the_vampprior_are_the_posteriors_of_its_pseudo_inputs(
    name, likelihood, shaken
):
    """By numbers in numpy; and by `encode` of the pseudo-inputs, as if they were data."""
    params = shaken(config_of(name, likelihood=likelihood))
    u = np.asarray(params.prior["pseudo_inputs"])
    inputs = expit(u) if likelihood == "bernoulli" else u
    got = jax.jit(cpvae.components)(params)
    mean, log_var = encoded(params, inputs)
    np.testing.assert_allclose(got.mean, mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got.log_var, log_var, rtol=1e-4, atol=1e-5)
    posterior = cpvae_jax.encode(params, inputs)
    for k in range(K):  # q(z|x) knows no category: the same for all
        np.testing.assert_allclose(posterior.mean[:, k], got.mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(posterior.log_var[:, k], got.log_var, rtol=1e-4, atol=1e-5)


def test_a_full_covariance_reads_only_what_is_below_its_diagonal(shaken):
    params = shaken(config_of("full"))
    below = np.asarray(params.prior["below"])
    above = params.replace(prior=params.prior | {"below": jnp.tril(below, -1) + np.triu(7 + below)})
    got, expected = (jax.jit(cpvae.components)(p).factor for p in (above, params))
    np.testing.assert_array_equal(got, expected)


# What trains them


@pytest.mark.parametrize("name", ["vp", "hvp"])
def test_gradients_of_the_vampprior_reach_the_pseudo_inputs_and_the_encoder(name, shaken):
    """Through log p(z) alone, to every array that makes q(z|u), by central differences."""
    params = shaken(config_of(name))
    z = np.random.default_rng(1).normal(size=(B, D)).astype(np.float32)
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(cpvae.log_prior(p, z, None))))(params)
    own = {name: gradient.encoder[name] for name in ("trunk", "mean", "log_var")}
    for path, leaf in jax.tree.leaves_with_path([gradient.prior, own]):
        assert np.all(np.isfinite(leaf)), jax.tree_util.keystr(path)
        assert np.any(leaf != 0), jax.tree_util.keystr(path)

    rng = np.random.default_rng(2)

    def along(prior, encoder, step=1e-4):
        """The slope of log p(z) in numpy along a direction, and that which the gradient says."""

        def moved(size):
            def move(array, direction):
                return np.float64(array) + size * direction

            return params.replace(
                prior=jax.tree.map(move, params.prior, prior),
                encoder=jax.tree.map(move, params.encoder, encoder),
            )

        up, down = (np.sum(logsumexp(densities(p, z), axis=1)) for p in (moved(step), moved(-step)))
        directions = jax.tree.leaves([prior, encoder])
        slopes = jax.tree.leaves([gradient.prior, gradient.encoder])
        told = sum(np.sum(d * np.float64(g)) for d, g in zip(directions, slopes, strict=True))
        return (up - down) / (2 * step), told

    nowhere = jax.tree.map(np.zeros_like, params)
    anywhere = jax.tree.map(lambda a: rng.normal(size=a.shape), params)
    for prior, encoder in ((anywhere, nowhere), (nowhere, anywhere)):
        slope, told = along(prior.prior, encoder.encoder)
        assert abs(slope) > 0.1
        assert told == pytest.approx(slope, rel=1e-3)


@pytest.mark.parametrize("name", ["vae", "hvae"])
def test_the_prior_of_the_vae_is_the_standard_normal_whatever_its_array_holds(name, shaken, pixels):
    params = shaken(config_of(name))
    assert np.all(params.prior["mean"] != 0)
    prior = cpvae.components(params)
    np.testing.assert_array_equal(prior.mean, np.zeros((1, D)))
    np.testing.assert_array_equal(prior.log_var, np.zeros((1, D)))

    @jax.jit
    @partial(jax.grad, has_aux=True)
    def gradient(params):
        return epoch.loss(params, KEY, pixels, jnp.array(1.0), jnp.array(1.0), "exact")

    np.testing.assert_array_equal(gradient(params)[0].prior["mean"], 0)


@pytest.mark.parametrize(
    ("name", "count"), [("cp", K), ("cp", 1), ("full", K), ("mg", K), ("vp", K), ("vae", 1)]
)
def test_one_step_of_training_moves_every_array_of_a_prior_but_the_standard_one(
    name, count, pixels
):
    """From the start that `fit` makes, with one batch. With K = 1, Eq. (15): a learned Gaussian."""
    config = config_of(name, K=count, hidden=(4,))
    program = train.program(
        config, Training(learning_rate=1e-2, batch_size=8, warmup=0, estimator="exact"), pixels
    )
    state = program.init(jax.random.split(KEY, 1))
    before = jax.tree.map(np.array, state.params.prior)  # the state is used up
    state, _ = program.run(state, jnp.asarray(pixels))
    after = state.params.prior
    for array, values in before.items():
        if name == "vae":
            np.testing.assert_array_equal(after[array], values)
        else:
            # Adam's first step has the size of the learning rate, whatever the gradient's.
            moved = np.abs(after[array] - values)
            below = np.ones(values.shape[-1:], bool)
            if array == "below":
                below = np.tril(np.ones((D, D)), -1) > 0
            assert np.all(moved[..., below] > 5e-3), array
            np.testing.assert_array_equal(moved[..., ~below], 0)


# How they start


def test_conditional_priors_start_at_the_standard_normal_and_free_means_apart():
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
    """Within 0.01, where black and white are held back so that a gradient can move them."""
    config = config_of(name, K=50, binarise="dynamic")
    data = DATA if form == "grey levels" else (DATA / 255).astype(np.float32)
    u = np.asarray(initialise(KEY, config, data).prior["pseudo_inputs"])
    assert u.shape == (50, X)
    assert np.all(np.isfinite(u))
    off = np.abs(expit(np.float64(u))[:, None] - DATA / 255).max(axis=2)  # [K, examples]
    assert np.all(off.min(axis=1) <= 0.01 + 1e-6)
    assert len(set(off.argmin(axis=1))) > 10  # 50 of 20 with replacement: 18.5 in the mean
    other = initialise(jax.random.key(1), config, data).prior["pseudo_inputs"]
    assert np.any(other != u)


def test_pseudo_inputs_of_real_valued_data_start_at_standardised_examples():
    data = np.random.default_rng(4).normal([5, -300, 0], [0.1, 40, 1], (20, X))
    config = config_of("vp", K=50, likelihood="gaussian")
    u = np.asarray(initialise(KEY, config, data).prior["pseudo_inputs"])
    standard = (data - data.mean(axis=0)) / data.std(axis=0)
    assert np.abs(u[:, None] - standard).max(axis=2).min(axis=1).max() < 1e-3


def test_pseudo_inputs_start_at_noise_where_there_are_no_data():
    u = np.asarray(initialise(KEY, config_of("vp", K=500)).prior["pseudo_inputs"])
    assert u.shape == (500, X)
    assert (u.mean(), u.std()) == (pytest.approx(0, abs=0.15), pytest.approx(1, abs=0.1))


def test_learned_inputs_stay_in_the_range_of_the_data_and_start_where_they_are_told():
    """`to_input` and `from_input` are inverses inside the range, and finite at its ends."""
    like = likelihoods.LIKELIHOODS["bernoulli"]
    inside = np.linspace(0.01, 0.99, 99).astype(np.float32)
    np.testing.assert_allclose(like.to_input(like.from_input(inside)), inside, rtol=1e-5)
    free = np.linspace(-4.5, 4.5, 91).astype(np.float32)
    np.testing.assert_allclose(like.from_input(like.to_input(free)), free, rtol=1e-4, atol=1e-5)
    ends = like.from_input(np.array([0.0, 1.0], np.float32))
    np.testing.assert_allclose(like.to_input(ends), [0.01, 0.99], rtol=1e-4)
    far = np.array([-1e6, 1e6], np.float32)
    np.testing.assert_array_equal(like.to_input(far), [0, 1])

    real = likelihoods.LIKELIHOODS["gaussian"]
    numbers = np.array([-1e6, -1.5, 0, 1, 3e4], np.float32)
    np.testing.assert_array_equal(real.to_input(numbers), numbers)
    np.testing.assert_array_equal(real.from_input(numbers), numbers)


# A number of categories that a prior has no room for


@pytest.mark.parametrize("name", ["vae", "hvae"])
def test_a_single_prior_with_several_categories_is_told(name):
    with pytest.raises(UserError, match=f"K is 3, but the model '{name}'") as error:
        initialise(KEY, config_of(name, K=3))
    assert "\n" not in str(error.value)
    assert initialise(KEY, config_of(name)).config.K == 1


# Priors of one's own


def ring(radius, *, inferred=False):
    """K Gaussians of a learned width around a circle of a given radius."""

    def components(prior, config, encode):
        angle = 2 * jnp.pi * jnp.arange(config.K) / config.K
        mean = radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
        return Diagonal(mean, jnp.broadcast_to(prior["log_var"], mean.shape))

    return priors.base.Prior(
        lambda key, config, examples: {"log_var": jnp.full((), -4.0)}, components, inferred
    )


@pytest.fixture
def forgets(monkeypatch):
    """A register of priors that is as it was afterwards."""
    monkeypatch.setattr(priors, "PRIORS", dict(priors.PRIORS))


@pytest.mark.usefixtures("forgets")
@pytest.mark.parametrize(("model", "inferred"), [("ring", False), ("hring", True)])
def test_a_registered_prior_trains_and_samples_with_one_level_and_with_two(
    model, inferred, pixels, assert_mean
):
    priors.register("ring", ring(3.0, inferred=inferred))
    assert {"ring", "hring"} < set(priors.names())
    config = Config(
        shape=(X,), K=K, latent=2, hidden=(4,), likelihood="gaussian", scale=1.0, model=model
    )
    assert priors.levels(config) == (2 if model == "hring" else 1)
    params = initialise(KEY, config, pixels)
    assert set(params.prior) == {"log_var"}
    training = Training(learning_rate=1e-2, batch_size=4, warmup=0, epochs=1)
    result = cpvae_jax.fit(KEY, config, pixels, pixels, training=training)
    assert result.params.prior["log_var"] != -4  # its own array is trained, by its own meaning
    assert np.isfinite(result.history[-1]["valid_bound"][0])
    images = cpvae_jax.sample(result.params, KEY, category=2, num=4)
    assert images.shape == (4, X)
    assert np.all(np.isfinite(images))
    z = cpvae.components(params).sample(KEY, jnp.full(2000, 1))  # a quarter of the way round
    assert_mean(z, np.array([0.0, 3.0]))


@pytest.mark.usefixtures("forgets")
def test_registering_the_same_prior_again_does_nothing():
    ours = ring(3.0)
    priors.register("ring", ours)
    names = priors.names()
    priors.register("ring", ours)
    assert priors.names() == names
    assert priors.PRIORS["ring"] is ours
    priors.register("cp", priors.PRIORS["cp"])
    assert priors.names() == names


@pytest.mark.usefixtures("forgets")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ring", id="the name of another of one's own"),
        pytest.param("cp", id="the name of a known prior"),
        pytest.param("hcp", id="the name of a two-level model"),
        pytest.param("hring", id="the name of a two-level model of one's own"),
        pytest.param("ello", id="a two-level model of it would have a known name"),
        "",
        "two words",
        "a-b",
        "1st",
    ],
)
def test_a_name_that_is_taken_or_no_word_is_refused_and_nothing_changes(name):
    priors.register("ring", ring(3.0))
    priors.register("hello", ring(2.0))
    before = dict(priors.PRIORS)
    with pytest.raises(UserError, match=f"cannot be registered as '{name}'; take a name") as error:
        priors.register(name, ring(1.0))
    message = str(error.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert message.count(". ") == 0
    assert before == priors.PRIORS
