"""The start of the categories: partitions, the regularisers alone, the gate between them, and the anchor."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Training, UserError
from cpvae_jax.evaluation.clustering import hungarian_accuracy
from cpvae_jax.objectives import categories
from cpvae_jax.training import starting, starts
from cpvae_jax.training.starts import probabilities

CONFIG = Config(shape=(2,), K=3, latent=2, hidden=(16,), likelihood="gaussian")
REGULARISERS = (("consistency", 10.0), ("balance", 4.0), ("certainty", 1.0))
TRAINING = Training(
    epochs=2,
    warmup=1,
    temperature_epochs=1,
    learning_rate=5e-3,
    batch_size=30,
    view="noise",
    regularisers=REGULARISERS,
    start_epochs=40,
)


@pytest.fixture(scope="module")
def blobs():
    """Three clusters of two columns [90, 2], and their labels."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 30)
    centres = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
    return centres[labels] + generator.normal(size=(90, 2)), labels


def trained(blobs, callbacks=(), **changes):
    seen = {}
    x = blobs[0]
    result = cpvae_jax.fit(
        jax.random.key(changes.pop("seed", 0)),
        CONFIG,
        x,
        x,
        recipe=Training(**{**TRAINING.__dict__, **changes}),
        callbacks=[lambda run: seen.update(started=run.started), *callbacks],
    )
    return result, seen["started"]


def accuracy(params, blobs):
    x, labels = blobs
    return hungarian_accuracy(np.asarray(cpvae_jax.predict(params, x)).argmax(axis=1), labels)


@pytest.mark.parametrize("start", ["kmeans", "mixture"])
def test_the_categories_take_over_a_partition(blobs, start):
    result, started = trained(blobs, start=start)
    assert accuracy(result.params, blobs) > 0.9
    assert not started.free.any()


def test_the_categories_start_from_labels_of_some_examples(blobs):
    x, labels = blobs
    given = np.where(np.arange(90) % 3 == 0, labels, -1)
    result = cpvae_jax.fit(
        jax.random.key(0), CONFIG, x, x, recipe=TRAINING, categories=given, callbacks=[]
    )
    found = np.asarray(cpvae_jax.predict(result.params, x)).argmax(axis=1)
    assert np.mean(found == labels) > 0.9  # label 0 is category 0


def test_a_tenth_is_held_out_of_the_labels_too(blobs):
    x, labels = blobs
    result = cpvae_jax.fit(
        jax.random.key(0), CONFIG, x, recipe=TRAINING, categories=labels, callbacks=[]
    )
    found = np.asarray(cpvae_jax.predict(result.params, x)).argmax(axis=1)
    assert np.mean(found == labels) > 0.9


def test_of_several_candidates_the_lowest_loss_is_kept(blobs):
    _, started = trained(blobs, start="regularisers", starts=6)
    assert started.losses.shape == started.before.shape == (1, 2)  # a third comes to the end
    assert started.free.all()
    assert np.all(started.losses > 0)
    _, alone = trained(blobs, start="regularisers", starts=1)
    assert started.losses.min() <= alone.losses[0, 0] + 1e-6 or started.chosen[0] != 0


def test_the_step_size_of_training_does_not_change_the_start(blobs):
    losses = [
        trained(blobs, start="regularisers", learning_rate=rate, start_epochs=4)[1].losses
        for rate in (1e-4, 1e-2)
    ]
    np.testing.assert_array_equal(*losses)


def test_fresh_weights_have_no_start(blobs):
    assert trained(blobs)[1] is None


@pytest.mark.parametrize(("consistent", "free"), [(1e9, True), (0.0, False)])
def test_the_gate_lets_categories_go_or_keeps_the_first_partition(
    blobs, monkeypatch, consistent, free
):
    monkeypatch.setattr(starting, "CONSISTENT", consistent)
    monkeypatch.setattr(starting, "IMPROVED", consistent)
    anchored = (*REGULARISERS, ("anchor", 40.0))
    result, started = trained(blobs, start="adaptive", regularisers=anchored)
    assert started.free.tolist() == [free]
    assert (started.anchor is None) == free
    if not free:
        assert started.chosen.tolist() == [0]
        held = np.asarray(started.anchor[0]).argmax(axis=1)
        found = np.asarray(cpvae_jax.predict(result.params, blobs[0])).argmax(axis=1)
        assert np.mean(held == found) > 0.9


def test_a_learned_p_of_c_keeps_the_clusters_of_a_mixture_with_their_weights():
    """Freed categories would be of equal size."""
    generator = np.random.default_rng(1)
    labels = (np.arange(200) < 20).astype(int)
    x = generator.normal(size=(200, 2)) + 6 * labels[:, None]
    config = Config(
        shape=(2,), K=2, latent=2, hidden=(16,), likelihood="gaussian", category_prior="learned"
    )
    anchored = (*REGULARISERS, ("anchor", 40.0))
    changes = {"start": "adaptive", "regularisers": anchored, "epochs": 10}
    recipe = Training(**{**TRAINING.__dict__, **changes})
    result = cpvae_jax.fit(jax.random.key(0), config, x, x, recipe=recipe, callbacks=[])
    assert accuracy(result.params, (x, labels)) > 0.97
    assert np.sort(result.params.shares) == pytest.approx([0.1, 0.9], abs=0.03)


def test_the_seeds_of_one_program_start_as_they_do_alone(blobs):
    x = blobs[0]
    recipe = Training(**{**TRAINING.__dict__, "start": "regularisers", "starts": 3})
    keys = jnp.stack([jax.random.key(0), jax.random.key(1)])
    both = cpvae_jax.fit(keys, CONFIG, x, x, recipe=recipe, callbacks=[])
    alone = cpvae_jax.fit(keys[1], CONFIG, x, x, recipe=recipe, callbacks=[])
    for a, b in zip(jax.tree.leaves(both.seeds[1]), jax.tree.leaves(alone.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


def test_a_resumed_training_holds_on_to_the_same_partition(blobs, tmp_path):
    x = blobs[0]

    def fit(name, epochs, **more):
        anchored = (*REGULARISERS, ("anchor", 40.0))
        recipe = Training(
            **{**TRAINING.__dict__, "start": "mixture", "regularisers": anchored, "epochs": epochs}
        )
        return cpvae_jax.fit(
            jax.random.key(0),
            CONFIG,
            x,
            x,
            recipe=recipe,
            folder=tmp_path / name,
            callbacks=[],
            **more,
        )

    whole = fit("whole", 4)
    fit("parts", 2)
    parts = fit("parts", 4, resume=True)
    for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(parts.params), strict=True):
        np.testing.assert_array_equal(a, b)
    about = json.loads((tmp_path / "whole" / "start.json").read_text())
    assert about["start"] == "mixture"


def test_a_start_of_ones_own_is_a_function(blobs):
    starts.register("halves", lambda key, config, x: (x[:, 0] > 0).astype(int))
    try:
        result, _ = trained(blobs, start="halves")
        found = np.asarray(cpvae_jax.predict(result.params, blobs[0])).argmax(axis=1)
        standardised = blobs[0][:, 0] > blobs[0][:, 0].mean()
        assert np.mean(found == standardised) > 0.9
    finally:
        starts.STARTS.forget("halves")


def test_the_anchor_is_the_cross_entropy_to_the_partition():
    logits = jnp.array([[1.0, 0.0], [0.0, 3.0]])
    target = jnp.array([[0.2, 0.8], [0.0, 0.0]])
    log_q = np.log(np.exp([1.0, 0.0]) / np.exp([1.0, 0.0]).sum())
    expected = -(0.2 * log_q[0] + 0.8 * log_q[1]) / 2
    assert float(categories.cross_entropy(target, logits)) == pytest.approx(expected, rel=1e-5)
    assert float(categories.anchor(TRAINING)(None, None, None, None)) == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": "regularisers", "regularisers": ()}, "needs the regulariser 'consistency'"),
        ({"start": "labels"}, "start is 'labels', but no training example has one"),
    ],
)
def test_a_start_that_lacks_something_is_refused(blobs, changes, words):
    with pytest.raises(UserError, match=words):
        trained(blobs, **changes)


def test_a_model_without_q_of_c_has_no_start(blobs):
    config = Config(shape=(2,), K=3, latent=2, hidden=(8,), likelihood="gaussian", prior="mg")
    with pytest.raises(UserError, match=r"has no q\(c\|x\)"):
        cpvae_jax.fit(
            jax.random.key(0),
            config,
            blobs[0],
            recipe=Training(epochs=1, warmup=0, start="kmeans"),
            callbacks=[],
        )


def test_an_unknown_start_is_named():
    with pytest.raises(UserError, match="start is 'nowhere'"):
        Training(start="nowhere")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["a", "b", "c", "d"], "4 different values"),
        ([0, 1], "there are 2 categories"),
        ([-1, -1, -1, -1], "none of the categories"),
    ],
)
def test_labels_that_cannot_be_a_start_are_refused(given, words):
    with pytest.raises(UserError, match=words):
        probabilities.of_labels(3, given, 4)


@pytest.mark.parametrize(
    "given", [[0, 1], [0, 1, 3], [0.5, 1.0, 0.0], [[1.0, 0.0]] * 3, [[np.nan] * 3] * 3]
)
def test_a_partition_of_the_wrong_form_is_refused(given):
    with pytest.raises(UserError, match="the start returned an array"):
        probabilities.of_partition(3, given, 3)
