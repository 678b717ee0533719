"""Two levels against brute force: z₁ and z₂ of one dimension each, integrated on a grid."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp
from scipy.stats import norm

import cpvae_jax
from cpvae_jax import Config, networks
from cpvae_jax.models import hierarchy
from cpvae_jax.models import of as model_of
from cpvae_jax.networks import gated_lower, lower
from cpvae_jax.registry import NETWORKS

K = 2
MODELS = ("hvae", "hmg", "hvp", "hcp", "hfull")


def config_of(name, K=K):
    K = 1 if name == "hvae" else K
    return Config.of_model(name, shape=(3,), K=K, latent=1, hidden=(6, 5), binarise="none")


def terms_of(params, key, x, estimator):
    """The terms of the bound, from the encoder on."""
    model, x = model_of(params.config), jnp.asarray(x)
    return model.terms(params, key, x, model.infer(params, x), estimator)


def limited(log_var):
    return 10 * np.tanh(log_var / 10)


def gated(layer, x, k=None):
    y = x @ layer["kernel"] + layer["bias"]
    if k is not None and "category" in layer:
        y = y + layer["category"][k]
    value, gate = np.split(y, 2, axis=-1)
    return value * expit(gate)


def normal_head(layers, h):
    mean = h @ layers["mean"]["kernel"] + layers["mean"]["bias"]
    log_var = limited(h @ layers["log_var"]["kernel"] + layers["log_var"]["bias"])
    return mean[..., 0], np.exp(log_var[..., 0] / 2)


class Integrated:
    """The model in float64 from its arrays alone. Axes of the grids: z₂ first, then z₁."""

    grid, step = np.linspace(-12, 12, 481, retstep=True)

    def __init__(self, params):
        self.name, self.K = params.config.model, params.config.K
        to64 = partial(jax.tree.map, lambda a: np.asarray(a, np.float64))
        weights = to64(params.weights)
        self.encoder, self.heads, self.below = (
            weights[name] for name in ("encoder", "heads", "below")
        )
        self.decoder, self.prior = weights["decoder"], weights["prior"]
        self.inferred = self.name in ("hcp", "hfull")
        self.categories = range(self.K) if self.inferred else (None,)

    def top(self, x):
        """q(c|x), and mean and deviation of q(z₂|x, c) by category."""
        h = x
        for layer in self.encoder:
            h = gated(layer, h)
        if not self.inferred:
            return [1.0], [normal_head(self.heads, h)]
        logits = h @ self.heads["logits"]["kernel"] + self.heads["logits"]["bias"]
        mean, log_var = (
            (h @ self.heads[n]["kernel"] + self.heads[n]["bias"]) for n in ("mean", "log_var")
        )
        posteriors = []
        for k in self.categories:
            shifted = limited(log_var) + limited(self.heads["log_var"]["category"][k])
            m = mean + self.heads["mean"]["category"][k]
            posteriors.append((m[..., 0], np.exp(shifted[..., 0] / 2)))
        return np.exp(logits - logsumexp(logits)), posteriors

    def log_prior_top(self, c):
        """log p(z₂, c) on the grid; the mixture where c is summed out."""
        if self.name == "hvae":
            return norm.logpdf(self.grid)
        if self.name == "hvp":
            inputs = expit(self.prior["pseudo_inputs"])
            components = [self.top(u)[1][0] for u in inputs]
        else:
            components = [
                (m[0], np.exp(limited(s[0]) / 2))
                for m, s in zip(self.prior["mean"], self.prior["log_var"], strict=True)
            ]
        each = [norm.logpdf(self.grid, m, s) for m, s in components]
        if self.inferred:
            return each[c] - np.log(self.K)
        return logsumexp(each, axis=0) - np.log(self.K)

    def given_top(self, x, c):
        """log p(x|z₁, z₂, c), log p(z₁|z₂, c) and log q(z₁|x, z₂, c), [z₂, z₁] each."""
        z = self.grid[:, None]
        layers = self.decoder["prior"]
        h = gated(layers["trunk"][1], gated(layers["trunk"][0], z, c))
        mean, deviation = normal_head(layers, h)
        log_p = norm.logpdf(self.grid, mean[:, None], deviation[:, None])

        below = self.below
        of_x = np.broadcast_to(gated(below["x"], x), (len(z), 6))
        joined = np.concatenate([of_x, gated(below["top"], z, c)], axis=1)
        mean, deviation = normal_head(below, gated(below["joint"][0], joined))
        log_q = norm.logpdf(self.grid, mean[:, None], deviation[:, None])

        code, top = gated(self.decoder["code"], z), gated(self.decoder["top"], z, c)
        shape = (len(z), len(z), 5)
        joined = np.concatenate(
            [np.broadcast_to(code, shape), np.broadcast_to(top[:, None], shape)], axis=-1
        )
        h = gated(self.decoder["joint"][0], joined)
        output = h @ self.decoder["output"]["kernel"] + self.decoder["output"]["bias"]
        return np.sum(x * output - np.logaddexp(0, output), axis=-1), log_p, log_q

    def log_likelihood(self, x):
        parts = []
        for c in self.categories:
            log_x, log_p, _ = self.given_top(x, c)
            parts.append(log_x + log_p + self.log_prior_top(c)[:, None] + 2 * np.log(self.step))
        return logsumexp(parts)

    def bound(self, x):
        """Σ_c q(c|x) ∫∫ q(z₁, z₂|x, c) (log p(x, z₁, z₂, c) − log q(z₁, z₂, c|x))."""
        total = 0.0
        weights, posteriors = self.top(x)
        for c, weight, (mean, deviation) in zip(self.categories, weights, posteriors, strict=True):
            log_x, log_p, log_q = self.given_top(x, c)
            log_q_top = norm.logpdf(self.grid, mean, deviation)
            log_joint_q = np.log(weight) + log_q_top[:, None] + log_q
            gap = log_x + log_p + self.log_prior_top(c)[:, None] - log_joint_q
            total += np.sum(np.exp(log_joint_q) * gap) * self.step**2
        return total


@pytest.fixture(scope="module")
def models(shaken):
    """Each model with random weights, made small so that the grid holds all mass.

    Posteriors are wider than priors, so that importance weights have a variance.
    """

    def make(name):
        params = shaken(config_of(name))
        mild = partial(jax.tree.map, lambda a: 0.4 * a)
        weights = mild(params.weights)
        for head in (weights["heads"]["log_var"], weights["below"]["log_var"]):
            head["bias"] += 1.0
        return params.replace(weights=weights)

    return {name: make(name) for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_the_integrated_likelihoods_of_all_images_sum_to_one(name, models, pixels):
    integrated = Integrated(models[name])
    total = sum(np.exp(integrated.log_likelihood(x)) for x in pixels)
    assert total == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_the_bound_equals_its_integral_and_is_below_the_likelihood(
    name, models, pixels, assert_mean
):
    params, integrated = models[name], Integrated(models[name])
    expected = np.array([integrated.bound(x) for x in pixels])

    @partial(jax.jit, static_argnames="estimator")
    def draws(estimator):
        keys = jax.random.split(jax.random.key(1), 4000)
        return jax.vmap(lambda k: terms_of(params, k, pixels, estimator).bound)(keys)

    for estimator in ("hard", "exact"):
        assert_mean(draws(estimator), expected, rounding=2e-4)
    likelihoods = np.array([integrated.log_likelihood(x) for x in pixels])
    assert np.all(expected < likelihoods)


@pytest.mark.parametrize("name", MODELS)
def test_importance_sampling_finds_the_integrated_likelihood(name, models, pixels):
    integrated = Integrated(models[name])
    expected = np.array([integrated.log_likelihood(x) for x in pixels])
    got = cpvae_jax.log_likelihood(models[name], jax.random.key(0), pixels, samples=20_000)
    np.testing.assert_allclose(got, expected, atol=0.02)
    bounds = np.array([integrated.bound(x) for x in pixels])
    assert np.all(expected - bounds > 0.04)  # so the bound itself would fail this test


def test_one_category_is_two_levels_with_one_learned_gaussian_on_top(shaken, pixels):
    """`hmg` with K = 1 is HVAE with a learned Gaussian; the tables of `hcp` become biases."""
    hcp = shaken(config_of("hcp", K=1))

    def folded(layer):
        return {"kernel": layer["kernel"], "bias": layer["bias"] + layer["category"][0]}

    heads = dict(hcp.weights["heads"])
    # Log-variances are added after the limit, a bias before it: their table is zero.
    log_var = heads["log_var"]
    heads["log_var"] = log_var | {"category": jnp.zeros_like(log_var["category"])}
    hcp = hcp.replace(weights=hcp.weights | {"heads": heads})

    plain = {
        "mean": folded(heads["mean"]),
        "log_var": {k: v for k, v in log_var.items() if k != "category"},
    }
    below = hcp.weights["below"] | {"top": folded(hcp.weights["below"]["top"])}
    decoder = dict(hcp.weights["decoder"])
    first, *rest = decoder["prior"]["trunk"]
    decoder["prior"] = decoder["prior"] | {"trunk": [folded(first), *rest]}
    decoder["top"] = folded(decoder["top"])
    changed = {"heads": plain, "below": below, "decoder": decoder}
    hmg = hcp.replace(weights=hcp.weights | changed, config=config_of("hmg", K=1))

    key = jax.random.key(3)
    hard = jax.jit(partial(terms_of, estimator="hard"))
    got, expected = (hard(params, key, pixels) for params in (hcp, hmg))
    for name, values in got.named().items():
        np.testing.assert_allclose(values, expected.named()[name], rtol=1e-5, atol=1e-5)

    # With that Gaussian at N(0, I), it is HVAE itself.
    standard = jax.tree.map(jnp.zeros_like, hmg.weights["prior"])
    at_standard = hmg.replace(weights=hmg.weights | {"prior": standard})
    hvae = hmg.replace(weights=hmg.weights | {"prior": {}}, config=config_of("hvae"))
    got, expected = (hard(params, key, pixels) for params in (at_standard, hvae))
    np.testing.assert_allclose(got.bound, expected.bound, rtol=1e-6)
    assert np.all(np.abs(got.bound - hard(hmg, key, pixels).bound) > 1e-3)


@pytest.mark.parametrize("name", ["hvae", "hcp"])
def test_without_a_key_the_lower_code_is_at_its_mean(name, models):
    params = models[name]
    config, decoder = params.config, params.weights["decoder"]
    z, category = jnp.asarray([[0.3], [-1.0]]), None if name == "hvae" else jnp.array([1, 0])
    mean, _ = gated_lower.prior(decoder, z, category)
    np.testing.assert_array_equal(
        hierarchy.generate(params, None, z, category),
        gated_lower.decode(config, decoder, mean, z, category),
    )
    drawn = hierarchy.generate(params, jax.random.key(0), z, category)
    assert np.any(drawn != hierarchy.generate(params, None, z, category))


# Two levels for a network that brings none


@pytest.fixture(scope="module")
def plain():
    """The gated network without two-level layers of its own, registered as "plain"."""
    networks.register("plain", NETWORKS["gated"]._replace(lower=None))
    yield "plain"
    NETWORKS.forget("plain")


class Composed(Integrated):
    """`Integrated` with the layers of `networks.lower.compose`."""

    def given_top(self, x, c):
        z, decoder, below = self.grid[:, None], self.decoder, self.below
        layers = decoder["prior"]
        h = gated(layers["trunk"][1], gated(layers["trunk"][0], z, c))
        mean, deviation = normal_head(layers, h)
        log_p = norm.logpdf(self.grid, mean[:, None], deviation[:, None])

        of_x = x
        for layer in below["x"]:
            of_x = gated(layer, of_x)
        of_x = np.broadcast_to(of_x, (len(z), len(of_x)))
        joined = np.concatenate([of_x, gated(below["top"], z, c)], axis=1)
        for layer in below["joint"]:
            joined = gated(layer, joined)
        mean, deviation = normal_head(below, joined)
        log_q = norm.logpdf(self.grid, mean[:, None], deviation[:, None])

        code, top = gated(decoder["code"], z), gated(decoder["top"], z, c)
        shape = (len(z), len(z), code.shape[-1])
        h = np.concatenate(
            [np.broadcast_to(code, shape), np.broadcast_to(top[:, None], shape)], axis=-1
        )
        for layer in decoder["network"]["trunk"]:
            h = gated(layer, h)
        output = decoder["network"]["output"]
        output = h @ output["kernel"] + output["bias"]
        return np.sum(x * output - np.logaddexp(0, output), axis=-1), log_p, log_q


@pytest.mark.parametrize("name", ["hcp", "hvae"])
def test_composed_layers_give_a_bound_that_equals_its_integral(
    name, plain, shaken, pixels, assert_mean
):
    """The bound, and by importance sampling log p(x), against brute force in numpy."""
    assert lower.of(NETWORKS["gated"]) is gated_lower.LOWER
    config = Config(**{**config_of(name).to_dict(), "network": plain})
    params = shaken(config)
    weights = jax.tree.map(lambda a: 0.4 * a, params.weights)
    for head in (weights["heads"]["log_var"], weights["below"]["log_var"]):
        head["bias"] += 1.0
    params = params.replace(weights=weights)
    integrated = Composed(params)
    likelihood = np.array([integrated.log_likelihood(x) for x in pixels])
    expected = np.array([integrated.bound(x) for x in pixels])
    assert np.exp(likelihood).sum() == pytest.approx(1, abs=1e-4)
    assert np.all(expected < likelihood)

    @jax.jit
    def draws(params):
        keys = jax.random.split(jax.random.key(1), 4000)
        return jax.vmap(lambda k: terms_of(params, k, pixels, "hard").bound)(keys)

    assert_mean(draws(params), expected, rounding=2e-4)

    @jax.jit
    def log_weights(params, key):
        model, x = model_of(params.config), jnp.asarray(pixels)
        return model.log_weights(params, key, x, model.infer(params, x), 20_000)

    found = log_weights(params, jax.random.key(2))
    assert_mean(found, expected, rounding=2e-4)
    assert_mean(np.exp(np.float64(found)), np.exp(likelihood))
    assert np.all(likelihood - expected > 0.04)


def test_composed_layers_draw_and_take_the_mean_of_the_lower_code(plain, shaken):
    config = Config(**{**config_of("hcp").to_dict(), "network": plain})
    params, composed = shaken(config), lower.compose(NETWORKS[plain])
    z, category = jnp.asarray([[0.3], [-1.0]]), jnp.array([1, 0])
    mean, log_var = composed.prior(params.weights["decoder"], z, category)
    assert mean.shape == log_var.shape == (2, 1)
    np.testing.assert_array_equal(
        hierarchy.generate(params, None, z, category),
        composed.decode(config, params.weights["decoder"], mean, z, category),
    )
    one_hot = jax.nn.one_hot(category, K)
    for a, b in zip(
        composed.prior(params.weights["decoder"], z, one_hot), (mean, log_var), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
