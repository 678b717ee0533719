"""Two levels against brute force: z₁ and z₂ of one dimension each, summed over a grid."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp
from scipy.stats import norm

import cpvae_jax
from cpvae_jax import Config
from cpvae_jax.models import cpvae, two_level

K = 2
MODELS = ("hvae", "hmg", "hvp", "hcp", "hfull")


def config_of(name, K=K):
    K = 1 if name == "hvae" else K
    return Config(shape=(3,), K=K, latent=1, hidden=(6, 5), binarise="none", model=name)


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
    """The model in float64 from its arrays alone. Axes of grids: z₂ first, then z₁."""

    grid, step = np.linspace(-12, 12, 481, retstep=True)

    def __init__(self, params):
        self.name, self.K = params.config.model, params.config.K
        to64 = partial(jax.tree.map, lambda a: np.asarray(a, np.float64))
        self.encoder, self.decoder, self.prior = map(
            to64, (params.encoder, params.decoder, params.prior)
        )
        self.inferred = self.name in ("hcp", "hfull")
        self.categories = range(self.K) if self.inferred else (None,)

    def top(self, x):
        """q(c|x), and mean and deviation of q(z₂|x, c) by category."""
        h = x
        for layer in self.encoder["trunk"]:
            h = gated(layer, h)
        if not self.inferred:
            return [1.0], [normal_head(self.encoder, h)]
        logits = h @ self.encoder["logits"]["kernel"] + self.encoder["logits"]["bias"]
        mean, log_var = (
            (h @ self.encoder[n]["kernel"] + self.encoder[n]["bias"]) for n in ("mean", "log_var")
        )
        posteriors = []
        for k in self.categories:
            shifted = limited(log_var) + limited(self.encoder["log_var"]["category"][k])
            m = mean + self.encoder["mean"]["category"][k]
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

        below = self.encoder["below"]
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
    """Each model with random arrays, milder so that the grid holds them, and posteriors that
    are wider than priors, so that importance weights have a variance."""

    def make(name):
        params = shaken(config_of(name))
        mild = partial(jax.tree.map, lambda a: 0.4 * a)
        encoder, prior = mild(params.encoder), mild(params.prior)
        for head in (encoder["log_var"], encoder["below"]["log_var"]):
            head["bias"] += 1.0
        return params.replace(encoder=encoder, decoder=mild(params.decoder), prior=prior)

    return {name: make(name) for name in MODELS}


@pytest.mark.parametrize("name", MODELS)
def test_the_integrated_likelihoods_of_all_images_sum_to_one(name, models, pixels):
    integrated = Integrated(models[name])
    total = sum(np.exp(integrated.log_likelihood(x)) for x in pixels)
    assert total == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_the_bound_is_its_integral_and_below_the_likelihood(name, models, pixels, assert_mean):
    params, integrated = models[name], Integrated(models[name])
    expected = np.array([integrated.bound(x) for x in pixels])

    @partial(jax.jit, static_argnames="estimator")
    def draws(estimator):
        keys = jax.random.split(jax.random.key(1), 4000)
        return jax.vmap(lambda k: cpvae.terms(params, k, pixels, estimator).bound)(keys)

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
    assert np.all(expected - bounds > 0.04)  # the bound would not pass for it


def test_one_category_is_two_levels_with_one_learned_gaussian_on_top(shaken, pixels):
    """`hmg` with K = 1 is HVAE with a learned Gaussian; the tables of `hcp` become biases."""
    hcp = shaken(config_of("hcp", K=1))

    def folded(layer):
        return {"kernel": layer["kernel"], "bias": layer["bias"] + layer["category"][0]}

    encoder, decoder = dict(hcp.encoder), dict(hcp.decoder)
    # Log-variances add after the limit, which a bias would come before: their table is zero.
    log_var = encoder["log_var"]
    hcp = hcp.replace(
        encoder=encoder | {"log_var": log_var | {"category": jnp.zeros_like(log_var["category"])}}
    )
    encoder = {k: v for k, v in hcp.encoder.items() if k != "logits"}
    encoder |= {"mean": folded(encoder["mean"])}
    encoder |= {"log_var": {k: v for k, v in log_var.items() if k != "category"}}
    encoder["below"] = encoder["below"] | {"top": folded(encoder["below"]["top"])}
    first, *rest = decoder["prior"]["trunk"]
    decoder["prior"] = decoder["prior"] | {"trunk": [folded(first), *rest]}
    decoder["top"] = folded(decoder["top"])
    hmg = hcp.replace(encoder=encoder, decoder=decoder, config=config_of("hmg", K=1))

    key = jax.random.key(3)
    got, expected = (
        jax.jit(partial(cpvae.terms, estimator="hard"))(params, key, pixels)
        for params in (hcp, hmg)
    )
    for name, values in got.named().items():
        np.testing.assert_allclose(values, expected.named()[name], rtol=1e-5, atol=1e-5)

    # With that Gaussian at N(0, I), it is HVAE itself.
    standard = jax.tree.map(jnp.zeros_like, hmg.prior)
    hvae = hmg.replace(prior={"mean": standard["mean"]}, config=config_of("hvae"))
    got, expected = (
        jax.jit(partial(cpvae.terms, estimator="hard"))(params, key, pixels)
        for params in (hmg.replace(prior=standard), hvae)
    )
    np.testing.assert_allclose(got.bound, expected.bound, rtol=1e-6)
    learned = jax.jit(partial(cpvae.terms, estimator="hard"))(hmg, key, pixels)
    assert np.all(np.abs(got.bound - learned.bound) > 1e-3)


def test_the_means_stand_in_for_draws_where_there_is_no_key(models):
    params = models["hvae"]
    z = jnp.asarray([[0.3], [-1.0]])
    mean, _ = two_level.prior(params, z, None)
    np.testing.assert_array_equal(
        two_level.generate(params, None, z, None), two_level.decode(params, mean, z, None)
    )
    drawn = two_level.generate(params, jax.random.key(0), z, None)
    assert np.any(drawn != two_level.generate(params, None, z, None))
