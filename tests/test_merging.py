"""Merged and pruned models: what users see follows the groups, and the bound that of the components."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Training, UserError, merge, predict, prune, sample
from cpvae_jax.commands import sample as command
from cpvae_jax.keys import purpose
from cpvae_jax.models import category
from cpvae_jax.report import agreement, pictures, use

KEY = jax.random.key(0)
SHARES = np.array([0.4, 0.3, 0.0, 0.2, 0.1], np.float32)
NAMES = ["cp", "full", "mg", "vp", "hcp"]


@pytest.fixture(scope="module", params=NAMES)
def model(request, shaken):
    """Five components whose samples tell which they are from: means of z far apart."""
    config = Config.of_model(request.param, shape=(3,), K=5, latent=1, hidden=(8,), binarise="none")
    return shaken(config).with_stats(aggregate=jnp.asarray(SHARES))


@pytest.fixture(scope="module")
def cp(shaken):
    config = Config((3,), 5, 1, (8,), binarise="none")
    return shaken(config).with_stats(aggregate=jnp.asarray(SHARES))


def test_predictions_are_sums_and_the_bound_is_the_same(model, pixels):
    merged = merge(model, [[4, 1], [3, 2]])
    assert merged.config.groups == (0, 1, 2, 2, 1)
    assert merged.config.categories == 3
    probs, found = (np.asarray(predict(p, pixels)) for p in (model, merged))
    expected = np.stack([probs[:, 0], probs[:, 1] + probs[:, 4], probs[:, 2] + probs[:, 3]], 1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(merged.shares, [0.4, 0.4, 0.2], rtol=1e-6)
    np.testing.assert_array_equal(merged.aggregate, model.aggregate)
    for answer in (cpvae_jax.bound, cpvae_jax.log_likelihood):
        chex.assert_trees_all_close(answer(merged, KEY, pixels), answer(model, KEY, pixels))
    chex.assert_trees_all_close(*(cpvae_jax.encode(p, pixels) for p in (model, merged)))
    chex.assert_trees_all_close(*(cpvae_jax.reconstruct(p, pixels) for p in (model, merged)))


def test_a_sample_of_a_merged_category_is_one_of_its_components():
    config = Config((3,), 5, 1, (8,), groups=(0, 1, 0, 1, -1))
    params = cpvae_jax.initialise(KEY, config).with_stats(
        aggregate=jnp.array([0.15, 0.3, 0.45, 0.1, 0.0])
    )
    for wanted, expected in ((0, [0.25, 0, 0.75, 0, 0]), (1, [0, 0.75, 0, 0.25, 0])):
        found = category.draw(params, KEY, jnp.full(4000, wanted))
        shares = np.bincount(found, minlength=5) / 4000
        np.testing.assert_allclose(shares, expected, atol=0.04)  # 6 standard errors
    even = category.drawn(params, KEY, "uniform", 4000)
    np.testing.assert_allclose(
        np.bincount(even, minlength=5) / 4000, [0.125, 0.375, 0.375, 0.125, 0], atol=0.05
    )
    for weights in ("aggregate", "prior"):
        assert 4 not in np.asarray(category.drawn(params, KEY, weights, 4000))
    unused = params.with_stats(aggregate=jnp.array([0.0, 1.0, 0.0, 0.0, 0.0]))
    found = category.draw(unused, KEY, jnp.zeros(400, jnp.int32))
    assert np.bincount(found, minlength=5)[[0, 2]].min() > 140  # no data: both alike


def test_samples_and_codes_of_a_category(model):
    merged = merge(model, [[1, 4], [2, 3]])
    single = sample(model, KEY, category=0, num=3)
    np.testing.assert_array_equal(sample(merged, KEY, category=0, num=3), single)
    assert sample(merged, KEY, category=np.array([0, 2, 1]), num=3).shape == (3, 3)
    with pytest.raises(UserError, match="category is 3; this model has 3 categories, 0 to 2"):
        sample(merged, KEY, category=3)
    codes = jnp.linspace(-3, 3, 7)[:, None]
    found = np.asarray(cpvae_jax.decode(merged, codes, 1))
    each = np.stack([cpvae_jax.decode(model, codes, k) for k in (1, 4)])
    assert np.all(np.any(np.all(np.isclose(found, each, atol=1e-6), axis=2), axis=0))


def test_a_code_is_decoded_by_the_component_that_it_comes_from(cp):
    far = {"mean": jnp.arange(5.0)[:, None] * 10, "log_var": jnp.zeros((5, 1))}
    params = cp.with_weights({**cp.weights, "prior": far})
    merged = merge(params, [[1, 3]])
    chosen = category.likeliest(merged, jnp.array([[8.0], [33.0], [0.0], [21.5]]), jnp.full(4, 1))
    assert chosen.tolist() == [1, 3, 1, 3]


def test_merges_compose_and_count_in_the_order_of_first_members(cp):
    once = merge(cp, [[3, 0]])
    assert once.config.groups == (0, 1, 2, 0, 3)
    assert merge(once, [{3, 1}, []]).config.groups == (0, 1, 2, 0, 1)
    assert merge(once, np.array([1, 0, 1, 0])).config.groups == (1, 0, 1, 1, 0)
    assert merge(once, jnp.array([[0, 2]])).config.groups == (0, 1, 0, 0, 2)
    assert merge(cp, ()).config == cp.config == merge(cp, range(5)).config
    assert merge(cp, [1, 0, 2, 3, 4]).config.groups == (1, 0, 2, 3, 4)  # other numbers
    pruned = prune(once, keep=[0, 3])
    assert pruned.config.groups == (0, -1, -1, 0, 1)
    assert merge(pruned, [[0, 1]]).config.groups == (0, -1, -1, 0, 0)
    assert prune(pruned, keep={1}).config.groups == (-1, -1, -1, -1, 0)


@pytest.mark.parametrize("learned", [False, True])
def test_pruning_renormalises(learned, model, pixels):
    config = Config(**{**model.config.to_dict(), "category_prior": "learned"})
    if learned:
        logits = {"category": jnp.array([0.0, 1.0, 2.0, -1.0, 0.5])}
        model = model.replace(config=config, weights={**model.weights, **logits})
    pruned = prune(model, below=0.2)
    assert pruned.config.groups == (0, 1, -1, 2, -1)
    np.testing.assert_allclose(pruned.aggregate, np.array([4, 3, 0, 2, 0]) / 9, rtol=1e-6)
    kept = np.array([0, 1, 3])
    if config.prior in ("cp", "full") or not learned:
        probs = np.asarray(predict(model, pixels))[:, kept]
        expected = probs / probs.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(predict(pruned, pixels), expected, rtol=1e-4)
    p = np.exp(np.asarray(category.log_probs(model)))[kept]
    found = np.exp(np.asarray(category.log_probs(pruned)))
    np.testing.assert_allclose(found[kept], p / p.sum(), rtol=1e-5)
    assert np.all(found[[2, 4]] == 0)
    terms = cpvae_jax.bound_terms(pruned, KEY, pixels, samples=20)
    likelihood = cpvae_jax.log_likelihood(pruned, KEY, pixels, samples=2000)
    assert np.mean(terms["bound"]) < np.mean(likelihood) + 0.1
    assert sample(pruned, KEY, num=50).shape == (50, 3)


def test_a_merged_model_comes_back_from_disk_and_trains_on(pixels, tmp_path):
    config = Config((3,), 4, 1, (8,), binarise="none", category_prior="learned")
    data = np.tile(pixels, (5, 1))
    merged = merge(cpvae_jax.initialise(KEY, config), [[0, 2]])
    merged = prune(merged, keep=[0, 1])
    cpvae_jax.save(tmp_path / "model", merged)
    loaded = cpvae_jax.load(tmp_path / "model")
    assert loaded.config == merged.config
    training = Training(epochs=1, warmup=1, batch_size=10, learning_rate=1e-2)
    how = {"recipe": training, "init": loaded, "callbacks": []}
    result = cpvae_jax.fit(KEY, loaded.config, data, data, **how).params
    assert result.config.groups == (0, 1, 0, -1)
    assert result.aggregate[3] == 0
    np.testing.assert_allclose(np.sum(result.shares), 1, rtol=1e-6)
    assert np.any(result.weights["category"] != 0)


def test_reports_and_commands_count_categories(tmp_path):
    config = Config((3, 3), 4, 1, (8,), binarise="none", category_prior="learned")
    x = np.random.default_rng(0).random((20, 3, 3)).round().astype(np.float32)
    params = merge(cpvae_jax.initialise(KEY, config), [[0, 2]])
    found = use.of_categories(params, KEY, x, {"mutual_information_c": 100.0})
    assert found["aggregate"] == pytest.approx([0.5, 0.25, 0.25])
    assert found["prior"] == pytest.approx([0.5, 0.25, 0.25])
    assert found["information"] < np.log(3)
    assert set(agreement.predicted(params, x, np.arange(20)).tolist()) <= {0, 1, 2}
    pictures.samples(tmp_path / "samples.png", params, KEY, x)
    pictures.aggregate(tmp_path / "aggregate.png", params)
    cpvae_jax.save(tmp_path / "model", params)
    flags = [str(tmp_path / "model"), "--num", "5", "--out", f"{tmp_path}/x.npz"]
    assert command.main([*flags, "--category", "2"]) == 0
    with np.load(tmp_path / "x.npz") as file:
        expected = sample(params, purpose(KEY, "samples"), category=2, num=5)
        np.testing.assert_array_equal(file["x"], expected)
    assert command.main([*flags, "--category", "3"]) == 2
    assert command.main([*flags, "--weights", "prior"]) == 0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda p: merge(p, [[0, 5]]), "category is 5; this model has 5 categories, 0 to 4"),
        (lambda p: merge(p, [[0, -1]]), "category is -1; this model has 5"),
        (lambda p: merge(p, [[0, 1], [1, 2]]), "groups has category 1 in two groups"),
        (lambda p: merge(p, [0, 1]), r"groups is \[0, 1\]; give lists of categories, such as"),
        (lambda p: merge(p, [0, 1, 3, 0, 0]), "numbered from 0 without a gap"),
        (lambda p: merge(p, [[0.5, 1]]), "groups is 0.5; it must be a whole number"),
        (lambda p: merge(p, "ab"), "groups is 'ab'; give whole numbers"),
        (lambda p: merge(p, 3), "groups is 3; give whole numbers"),
        (lambda p: merge({}, [[0, 1]]), "params is dict and not a model"),
        (lambda p: prune(p), "give prune either keep"),
        (lambda p: prune(p, keep=[0], below=0.1), "give prune either keep"),
        (lambda p: prune(p, keep=[]), "keep is empty"),
        (lambda p: prune(p, keep=[7]), "category is 7"),
        (lambda p: prune(p, keep=3), r"keep is 3; give whole numbers, such as \[0, 3\]"),
        (lambda p: prune(p, below=0.9), "below is 0.9, but no category has that share"),
        (lambda p: prune(p, below=-1), "below is -1; it must be a positive number"),
    ],
)
def test_what_does_not_fit_is_refused(call, sentence, cp):
    with pytest.raises(UserError, match=sentence):
        call(cp)


def test_a_model_without_categories_has_none_to_merge():
    params = cpvae_jax.initialise(KEY, Config((3,), 1, 1, (4,), prior="vae"))
    for call in (lambda: merge(params, [[0]]), lambda: prune(params, keep=[0])):
        with pytest.raises(UserError, match="the model 'vae' has no categories"):
            call()
