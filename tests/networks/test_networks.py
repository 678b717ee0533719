"""Networks: a contract for all of them, with one level and with two, and the paper's layers."""

from dataclasses import replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Training, UserError, models, networks, objectives
from cpvae_jax.models import start
from cpvae_jax.networks import layers, lower
from cpvae_jax.networks.base import Network, num_features
from cpvae_jax.objectives.base import Progress, gradient
from cpvae_jax.registry import NETWORKS

B, K, D = 4, 3, 2
KEY = jax.random.key(0)


# A network that needs the shape of x: sums over one axis of an image


def init_encoder(key, config):
    keys = jax.random.split(key)
    return [
        layers.init_linear(k, n, config.hidden[0]) for k, n in zip(keys, config.shape, strict=True)
    ]


def encode(config, weights, x):
    assert x.shape[1:] == config.shape, "x keeps its shape until the network"
    rows, columns = weights
    sums = layers.linear(rows, x.sum(axis=2)), layers.linear(columns, x.sum(axis=1))
    return jnp.tanh(jnp.concatenate(sums, axis=-1))


def init_decoder(key, config, inputs, categories, channels):
    keys = jax.random.split(key)
    return [
        layers.init_linear(k, inputs, n * channels, categories=categories)
        for k, n in zip(keys, config.shape, strict=True)
    ]


def decode(config, weights, z, category):
    rows, columns = (layers.linear(layer, z, category) for layer in weights)
    height, width = config.shape
    rows = rows.reshape(*rows.shape[:-1], height, 1, -1)
    return rows + columns.reshape(*columns.shape[:-1], 1, width, rows.shape[-1])


def check(config):
    if len(config.shape) != 2:
        raise UserError(f"the network 'cross' takes images, not examples of shape {config.shape}.")


CROSS = Network(init_encoder, encode, init_decoder, decode, check=check)


@pytest.fixture(scope="module", autouse=True)
def registered():
    """The network above, and the gated one without two-level layers of its own."""
    networks.register("cross", CROSS)
    networks.register("bare", NETWORKS["gated"]._replace(lower=None))
    yield
    for name in ("cross", "bare"):
        NETWORKS.forget(name)


ALL = [*networks.names(), "cross", "bare"]


def config_of(name, shape=(4, 3), **changes):
    defaults = {"K": K, "latent": D, "hidden": (6, 5), "binarise": "none", "network": name}
    return Config(shape, **{**defaults, **changes})


def shapes_of(name):
    if name == "cross":
        return [(4, 3)]
    return [(4, 3), (2, 3, 2)] if name == "conv" else [(4, 3), (7,), (2, 3, 2)]


# The contract


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("channels", [1, 2])
def test_the_shapes_of_every_network(name, channels):
    for shape in shapes_of(name):
        network, config = NETWORKS[name], config_of(name, shape)
        encoder = network.init_encoder(KEY, config)
        features = network.encode(config, encoder, jnp.zeros((B, *shape)))
        chex.assert_shape(features, (B, num_features(network, config)))
        one_hot = jax.nn.one_hot(jnp.arange(B) % K, K)
        for categories, inputs in ((K, D), (0, D), (0, 2 * D)):
            decoder = network.init_decoder(KEY, config, inputs, categories, channels)
            for category in (jnp.arange(B) % K, one_hot) if categories else (None,):
                output = network.decode(config, decoder, jnp.zeros((B, inputs)), category)
                chex.assert_shape(output, (B, *shape, channels))
                several = None if category is None else jnp.stack([category] * 5)
                output = network.decode(config, decoder, jnp.zeros((5, B, inputs)), several)
                chex.assert_shape(output, (5, B, *shape, channels))


def test_the_number_of_features_follows_from_the_network():
    assert num_features(NETWORKS["gated"], config_of("gated")) == 5
    assert num_features(CROSS, config_of("cross")) == 12


@pytest.mark.parametrize("name", ALL)
def test_both_forms_of_a_category_give_the_same_output(name):
    network, config = NETWORKS[name], config_of(name)
    decoder = network.init_decoder(KEY, config, D, K, 2)
    z, category = jax.random.normal(KEY, (B, D)), jnp.arange(B) % K
    by_form = [
        network.decode(config, decoder, z, c) for c in (category, jax.nn.one_hot(category, K))
    ]
    np.testing.assert_allclose(*by_form, rtol=1e-5, atol=1e-6)
    other = network.decode(config, decoder, z, (category + 1) % K)
    assert np.all(np.any(by_form[0] != other, axis=(1, 2, 3)))


@pytest.mark.parametrize("name", ALL)
def test_examples_do_not_influence_each_other(name):
    network, config = NETWORKS[name], config_of(name)
    encoder, decoder = network.init_encoder(KEY, config), network.init_decoder(KEY, config, D, K, 1)
    x, z = jax.random.normal(KEY, (B, *config.shape)), jax.random.normal(KEY, (B, D))
    category = jnp.arange(B) % K
    features = network.encode(config, encoder, x)
    output = network.decode(config, decoder, z, category)
    for i in range(B):
        alone = slice(i, i + 1)
        np.testing.assert_allclose(
            network.encode(config, encoder, x[alone]), features[alone], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(
            network.decode(config, decoder, z[alone], category[alone]),
            output[alone],
            rtol=1e-4,
            atol=1e-5,
        )


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("prior", ["cp", "mg"])
@pytest.mark.parametrize("name", ALL)
def test_gradients_reach_every_weight(name, prior, levels):
    config = config_of(name, prior=prior, levels=levels)
    params = start.init(KEY, config)
    x = jnp.asarray(np.random.default_rng(0).random((B, *config.shape)).round(), jnp.float32)
    objective = objectives.of(Training(warmup=0))

    @jax.jit
    def found(params):
        return gradient(objective, params, KEY, x, Progress(jnp.array(1.0), 2))[0]

    slopes = found(params)
    chex.assert_trees_all_equal_shapes(slopes, params.weights)
    for path, leaf in jax.tree.leaves_with_path(slopes):
        assert np.all(np.isfinite(leaf)), jax.tree_util.keystr(path)
        assert np.any(leaf != 0), jax.tree_util.keystr(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "prior", "levels"),
    [
        *((name, "vp", 1) for name in networks.names()),
        ("conv", "cp", 2),
        ("cross", "cp", 1),
        ("cross", "cp", 2),
        ("bare", "vp", 2),
    ],
)
def test_x_keeps_its_shape_through_every_public_function(name, prior, levels, tmp_path):
    config = config_of(name, prior=prior, levels=levels)
    x = np.random.default_rng(0).random((8, *config.shape)).round().astype(np.float32)
    settings = Training(learning_rate=1e-2, batch_size=4, warmup=0, epochs=1)
    params = cpvae_jax.fit(KEY, config, x, x, recipe=settings).params
    chex.assert_shape(cpvae_jax.reconstruct(params, x.reshape(8, -1)), (8, *config.shape))
    chex.assert_shape(cpvae_jax.decode(params, np.zeros((B, D)), 1), (B, *config.shape))
    images = cpvae_jax.sample(params, KEY, category=2, num=5, draw=True)
    chex.assert_shape(images, (5, *config.shape))
    assert set(np.unique(images)) <= {0, 1}
    bounds = [cpvae_jax.bound(params, k, x).bound for k in jax.random.split(KEY, 20)]
    likelihood = cpvae_jax.log_likelihood(params, KEY, x, samples=200)
    assert np.mean(bounds) < likelihood.mean() + 0.05
    cpvae_jax.save(tmp_path / "model", params)
    chex.assert_trees_all_equal(cpvae_jax.load(tmp_path / "model").weights, params.weights)


def test_a_network_refuses_a_configuration_that_it_cannot_serve():
    with pytest.raises(UserError, match=r"takes images, not examples of shape \(7,\)"):
        config_of("cross", (7,))


# Two levels around any network


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("categories", [0, K])
def test_the_shapes_of_the_two_level_layers_of_every_network(name, categories):
    network, config = NETWORKS[name], config_of(name, levels=2)
    two = lower.of(network)
    below, decoder = two.init(KEY, config, categories, 2)
    category = jnp.arange(B) % K if categories else None
    features = two.features(config, below, jnp.zeros((B, *config.shape)))
    for leading in ((B,), (5, B)):
        z = jnp.ones((*leading, D))
        given = None if category is None else jnp.broadcast_to(category, leading)
        chex.assert_shape(two.prior(decoder, z, given), (*leading, D))
        h = two.posterior(below, features, z, given)
        assert (h.ndim, h.shape[:-1]) == (len(leading) + 1, leading)
        output = two.decode(config, decoder, z, z, given)
        chex.assert_shape(output, (*leading, *config.shape, 2))


@pytest.mark.parametrize("name", ["cross", "bare"])
def test_two_composed_levels_have_a_bound_below_their_log_likelihood(name, assert_mean):
    """On a model of 2 x 2 pixels; the probabilities of all 16 images sum to one."""
    config = config_of(name, (2, 2), K=2, latent=1, levels=2)
    params = start.init(jax.random.key(3), config)
    # Posteriors near the priors and wider, so that importance weights have a small variance.
    weights = jax.tree.map(lambda a: 0.4 * a, params.weights)
    for head in (weights["heads"]["log_var"], weights["below"]["log_var"]):
        head["bias"] += 0.5
    params = params.replace(weights=weights)
    x = np.array(list(np.ndindex(2, 2, 2, 2)), np.float32).reshape(16, 2, 2)

    @jax.jit
    def both(params):
        model = models.of(config)
        encoding = model.infer(params, jnp.asarray(x))

        def bound(key):
            return model.terms(params, key, jnp.asarray(x), encoding, "exact").bound

        keys = jax.random.split(KEY, 2000)
        return jax.vmap(bound)(keys), model.log_weights(params, KEY, x, encoding, 20_000)

    bounds, log_weights = (np.float64(a) for a in both(params))
    weights = np.exp(log_weights)
    likelihood, error = weights.mean(axis=0), weights.std(axis=0) / 20_000**0.5
    assert np.linalg.norm(error) < 0.01
    assert likelihood.sum() == pytest.approx(1, abs=6 * np.linalg.norm(error))
    assert_mean(log_weights, bounds.mean(axis=0), rounding=6 * bounds.std() / 2000**0.5)
    assert np.all(bounds.mean(axis=0) < np.log(likelihood))


def test_the_gated_network_has_two_level_layers_of_its_own():
    """And they are not those that `compose` makes, which see x through the whole encoder."""
    config = config_of("gated", levels=2)
    own, composed = (start.template(replace(config, network=n)) for n in ("gated", "bare"))
    assert jax.tree.structure(own.weights["below"]) != jax.tree.structure(composed.weights["below"])
    assert lower.of(NETWORKS["gated"]) is NETWORKS["gated"].lower


# Layers


def test_a_gated_layer_equals_its_formula():
    rng = np.random.default_rng(0)
    layer = layers.init_gated(KEY, 5, 4, categories=K)
    layer = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), layer)
    x, category = rng.normal(size=(B, 5)).astype(np.float32), np.arange(B) % K
    y = x @ layer["kernel"] + layer["bias"] + layer["category"][category]
    expected = y[:, :4] / (1 + np.exp(-y[:, 4:]))
    np.testing.assert_allclose(layers.gated(layer, x, jnp.asarray(category)), expected, rtol=1e-4)


def test_weights_start_by_the_rule_of_glorot_and_biases_at_0():
    layer = layers.init_linear(KEY, 300, 200, categories=100)
    assert {name: a.shape for name, a in layer.items()} == {
        "kernel": (300, 200),
        "category": (100, 200),
        "bias": (200,),
    }
    limit = (6 / (400 + 200)) ** 0.5
    both = np.concatenate([layer["kernel"], layer["category"]])
    assert np.abs(both).max() <= limit
    assert both.std() == pytest.approx(limit / 3**0.5, rel=0.02)
    np.testing.assert_array_equal(layer["bias"], 0)
    gated = layers.init_gated(KEY, 300, 200)["kernel"]  # each half by itself
    assert np.abs(gated).max() == pytest.approx((6 / 500) ** 0.5, rel=1e-3)
    assert np.all(gated[:, :200] != gated[:, 200:])


def test_only_the_first_layer_of_a_stack_sees_the_category():
    stack = layers.init_trunk(KEY, 5, (4, 3, 2), categories=K)
    assert ["category" in layer for layer in stack] == [True, False, False]
    assert layers.trunk(stack, jnp.zeros((B, 5)), jnp.zeros(B, jnp.int32)).shape == (B, 2)


def test_join_broadcasts_leading_axes():
    a, b = jnp.zeros((5, 1, 2)), jnp.ones((B, 3))
    joined = layers.join(a, b)
    assert joined.shape == (5, B, 5)
    np.testing.assert_array_equal(joined[0, 0], [0, 0, 1, 1, 1])
