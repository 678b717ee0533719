"""Settings of training: recipes, the optimiser, and what is out of range."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cpvae_jax import Config, Training, UserError
from cpvae_jax.registry import RECIPES
from cpvae_jax.training import recipe

CONFIG = Config(shape=(28, 28))


def test_the_defaults_are_the_papers():
    training, config = Training(), CONFIG
    assert (training.learning_rate, training.batch_size, training.warmup) == (5e-4, 100, 100)
    assert training.estimator == "relaxed"
    assert (config.latent, config.hidden, config.K) == (40, (300, 300), 10)
    assert recipe.resolve("paper", config, 100) == training


def test_a_recipe_is_given_by_name_as_a_record_or_as_settings():
    given = Training(epochs=7)
    assert recipe.resolve(given, CONFIG, 100) is given
    own = recipe.Recipe(lambda config, examples: Training(epochs=config.K, patience=examples), "")
    assert recipe.resolve(own, CONFIG, 100) == Training(epochs=10, patience=100)
    assert recipe.resolve("short", CONFIG, 100) == recipe.SHORT.training(CONFIG, 100)


def test_two_levels_take_smaller_steps():
    two = Config(shape=(28, 28), levels=2)
    assert recipe.resolve("short", CONFIG, 100).learning_rate == 3e-3
    assert recipe.resolve("short", two, 100).learning_rate == 1e-3


def test_a_registered_recipe_is_found_by_its_name():
    recipe.register("quick", recipe.Recipe(lambda config, examples: Training(epochs=3), "quick"))
    try:
        assert "quick" in recipe.names()
        assert recipe.resolve("quick", CONFIG, 100).epochs == 3
    finally:
        RECIPES.forget("quick")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("papre", "'papre'; choose one of .*paper"),
        (3, "recipe is 3; give a name, one of paper.*, a Recipe, or a Training"),
    ],
)
def test_an_unknown_recipe_is_refused(given, words):
    with pytest.raises(UserError, match=words):
        recipe.resolve(given, CONFIG, 100)


def test_the_optimiser_is_adam():
    params = {"a": jnp.array([1.0, -2.0])}
    ours, adam = recipe.optimiser(Training(learning_rate=1e-2), 10), optax.adam(1e-2)
    ours, adam = (o.update(params, o.init(params))[0]["a"] for o in (ours, adam))
    np.testing.assert_allclose(ours, adam, rtol=1e-6)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_step_size_falls_by_half_a_cosine_or_stays(steps):
    """Measured by updates under a constant gradient, against those of Adam with step size 1."""
    epochs = np.array([0, 25, 50, 100, 200])

    def sizes(**settings):
        optimiser = recipe.optimiser(Training(learning_rate=2.0, **settings), steps)
        return updates(optimiser) / updates(optax.adam(1.0))

    def updates(optimiser):
        one = jnp.ones(())

        def step(state, _):
            update, state = optimiser.update(one, state)
            return state, -update

        number = int(epochs[-1]) * steps + 1
        return jax.lax.scan(step, optimiser.init(one), length=number)[1][epochs * steps]

    np.testing.assert_allclose(sizes(decay_epochs=100), [2, 1 + 0.5**0.5, 1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(sizes(), 2)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": float("inf")}, "learning_rate is inf"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"temperature_end": float("nan")}, "temperature_end is nan"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 20.0}, "batch_size is 20.0; it must be a whole number"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; it must be a positive number"),
        ({"epochs": 0}, "epochs is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"warmup": -1}, "warmup is -1"),
        ({"decay_epochs": -1}, "decay_epochs is -1"),
        ({"temperature_epochs": -1}, "temperature_epochs is -1"),
        ({"estimator": "hard"}, "'hard'; choose one of relaxed, straight-through, exact"),
        ({"precision": "half"}, "'half'; choose one of float32, tensorfloat32, bfloat16"),
        ({"objective": "bond"}, "'bond'; choose one of .*bound"),
        ({"regularisers": (("balnce", 1.0),)}, "'balnce'; choose one of .*balance"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings, sentence):
    with pytest.raises(UserError, match=sentence):
        Training(**settings)


def test_the_default_recipe_follows_the_modes_where_the_model_infers_several_categories():
    assert recipe.default(CONFIG) == "modes"
    assert recipe.default(Config(shape=(4,), K=1)) == "paper"
    assert recipe.default(Config(shape=(4,), K=3, prior="mg")) == "paper"
    assert recipe.resolve(None, CONFIG, 100) == recipe.resolve("modes", CONFIG, 100)
    assert recipe.resolve(None, Config(shape=(4,), prior="vp"), 100) == Training()


def test_modes_chooses_the_view_by_the_kind_of_data():
    images, table = Config(shape=(9, 7, 3)), Config(shape=(4,), K=3)
    assert recipe.resolve("modes", images, 100).view == "affine"
    assert recipe.resolve("modes", table, 100).view == "adversarial"
    assert "anchor" not in dict(recipe.resolve("modes", images, 100).regularisers)
    assert "anchor" in dict(recipe.resolve("modes", table, 100).regularisers)


@pytest.mark.parametrize("examples", [20, 135, 500, 1000])
def test_a_small_table_gets_as_many_steps_as_a_larger_one(examples):
    training = recipe.resolve("modes", Config(shape=(4,), K=3), examples)
    steps = training.epochs * max(1, examples // min(training.batch_size, examples))
    assert 2000 <= steps <= 2100
    assert training.warmup < training.epochs
    assert training.patience >= training.epochs


@pytest.mark.parametrize("examples", [1, 99, 1297, 9_999, 23_000, 50_000, 1_000_000, 10**8])
def test_images_get_at_most_as_many_steps_and_epochs(examples):
    training = recipe.resolve("modes", Config(shape=(28, 28), K=10), examples)
    per_epoch = max(1, examples // training.batch_size)
    assert training.epochs == max(1, min(recipe.EPOCHS, recipe.STEPS // per_epoch))
    assert 1 <= training.warmup <= training.epochs
    assert 1 <= training.start_epochs <= training.epochs
    assert training.starts == (24 if examples < 10_000 else 12)


def test_modes_sizes_the_model_of_a_table_by_its_columns_and_rows():
    assert recipe.MODES.model((4,), 150) == {"latent": 4, "hidden": (64, 64)}
    assert recipe.MODES.model((64,), 5000) == {"latent": 16, "hidden": (128, 128)}
    assert recipe.MODES.model((28, 28), 50_000) == {}


def test_tight_is_modes_with_a_flow_and_more_steps():
    assert recipe.TIGHT.model((28, 28), 50_000) == {"posterior": "iaf"}
    assert recipe.TIGHT.model((4,), 150) == {**recipe.MODES.model((4,), 150), "posterior": "iaf"}
    images = Config(shape=(28, 28), K=10)
    modes, tight = (recipe.resolve(name, images, 50_000) for name in ("modes", "tight"))
    assert (tight.epochs, tight.decay_epochs, tight.warmup) == (400, 400, 40)
    assert (tight.start, tight.regularisers) == (modes.start, modes.regularisers)
    assert (tight.learning_rate, tight.averaging) == (1e-3, 0.999)
    assert tight.estimator == "straight-through"


def test_modes_without_categories_is_the_same_schedule_alone():
    with_categories = recipe.resolve("modes", Config(shape=(4,), K=3), 500)
    alone = recipe.resolve("modes", Config(shape=(4,), K=1), 500)
    assert alone.epochs == with_categories.epochs
    assert (alone.regularisers, alone.start) == ((), "fresh")
    mixture = recipe.resolve("modes", Config(shape=(4,), K=3, prior="mg"), 500)
    assert (mixture.regularisers, mixture.start) == ((), "fresh")
