"""What holds for every view, those of one's own, and training with each of them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Rows, Training, UserError, likelihoods, models, objectives
from cpvae_jax.objectives import views
from cpvae_jax.objectives.base import Progress, Source, gradient
from cpvae_jax.objectives.views.base import View
from cpvae_jax.registry import REGULARISERS, VIEWS

KEY = jax.random.key(0)
BUILTIN = ("affine", "adversarial", "neighbours", "noise")
COUNT = 24


def settings(view, **others):
    return Training(view=view, regularisers={"consistency": 1.0}, **others)


def examples(config, count=COUNT):
    """Grey levels or real numbers, in the user's unit."""
    rng = np.random.default_rng(0)
    if config.likelihood == "bernoulli":
        return rng.integers(0, 256, (count, *config.shape), dtype=np.uint8)
    return rng.normal(3, 5, (count, *config.shape))


def source_of(training, params, data, index):
    """Where a batch comes from: rows `index` of data in the user's unit."""
    x = jnp.asarray(likelihoods.of(params.config).prepare(params.likelihood, data))
    return Source(index, x, objectives.measure(training, params, x))


def batch_of(params, source):
    """What the model explains, and q(c|x)."""
    observe = likelihoods.of(params.config).observe
    x = observe(params.config, KEY, source.data[source.index])
    return x, models.of(params.config).infer(params, x)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize(
    ("shape", "batch"), [((5,), 4), ((1, 5), 10), ((4, 3), 1), ((3, 2, 3), 7), ((1, 1), 2)]
)
def test_views_keep_shape_dtype_and_the_range_of_values(shape, batch, likelihood, shaken):
    config = Config(shape, 3, 2, (4,), likelihood=likelihood)
    data = examples(config)
    params, index = shaken(config, data=data), jnp.arange(batch) * 2
    low, high = likelihoods.of(config).limits
    for name in BUILTIN[1:] if len(shape) == 1 else BUILTIN:
        training = settings(name)
        source = source_of(training, params, data, index)
        x, encoding = batch_of(params, source)
        apply = jax.jit(views.of(training).apply)
        found = np.asarray(apply(params, KEY, x, encoding.probs, source))
        assert (found.shape, found.dtype) == (x.shape, np.float32), name
        assert np.all(np.isfinite(found)), name
        assert np.all((found >= low) & (found <= high + 1e-6 * (name == "affine"))), name
        if np.prod(shape) > 1 or likelihood == "gaussian":
            assert np.any(found != x), name


@pytest.mark.parametrize("name", BUILTIN)
def test_gradients_reach_the_encoder_through_the_view_s_category_alone(name, shaken):
    """They are those of −Σ_c t(c) log q(c|x′) with t and x′ as numbers."""
    config = Config((4, 3), 3, 2, (4,), likelihood="gaussian")
    data = examples(config)
    params, training = shaken(config, data=data), settings(name)
    source = source_of(training, params, data, jnp.arange(10))
    x, encoding = batch_of(params, source)
    view = views.of(training)
    kept = slice(None, None, view.every)
    target = encoding.probs[kept]
    other = view.apply(params, KEY, x[kept], target, source.every(view.every))
    assert np.abs(other - x[kept]).max() > 0.01

    def plain(weights):
        logits = models.of(config).infer(params.with_weights(weights), other).logits
        return -jnp.mean(jnp.sum(target * jax.nn.log_softmax(logits), axis=-1))

    def regularised(weights):
        now = params.with_weights(weights)
        posterior = models.of(config).infer(now, x)
        return REGULARISERS["consistency"](training)(now, KEY, x, posterior, source=source)

    expected, found = (jax.jit(jax.value_and_grad(f))(params.weights) for f in (plain, regularised))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("config", [Config((8, 8)), Config((16,), likelihood="gaussian")], ids=str)
def test_a_step_with_a_view_takes_at_most_half_as_much_work_again(config):
    """Counted in operations, with the paper's networks; only the logits of views are computed."""
    from cpvae_jax.models import start

    params = start.init(KEY, config, examples(config))
    data = jnp.zeros((COUNT, *config.shape))
    measured = {
        "adversarial": {"radius": jnp.ones(COUNT)},
        "neighbours": {"neighbours": jnp.zeros((COUNT, 10), jnp.int32)},
        "noise": {"scale": jnp.ones(())},
        "affine": None,
    }

    def work(training):
        def step(params, key, index, data):
            source = Source(index, data, measured[training.view])
            progress = Progress(jnp.float32(1), 10)
            return gradient(objectives.of(training), params, key, data[index], progress, source)

        lowered = jax.jit(step).lower(params, KEY, jnp.zeros(100, jnp.int32), data)
        return lowered.compile().cost_analysis()["flops"]

    without = work(Training())
    for name in BUILTIN[1:] if len(config.shape) == 1 else BUILTIN:
        assert without < work(settings(name)) <= 1.5 * without, name


# Training


IMAGES = Config((3, 2), 2, 2, (4,))
SHORT = partial(settings, batch_size=10, warmup=1, epochs=2)


def fitted(view, train, config=IMAGES, **options):
    options = {"recipe": SHORT(view), "callbacks": [], **options}
    return cpvae_jax.fit(KEY, config, train, examples(config, 8), **options)


def consistency(result):
    return [row["train_consistency"] for row in result.history]


@pytest.mark.parametrize("view", BUILTIN)
def test_every_view_trains_from_memory_and_all_but_neighbours_from_the_disk(view):
    train = examples(IMAGES, 40)
    assert np.all(np.isfinite(consistency(fitted(view, train))))
    if view == "neighbours":
        with pytest.raises(UserError, match="needs the training data in memory, but they stay"):
            fitted(view, Rows([train]))
    else:
        assert np.all(np.isfinite(consistency(fitted(view, Rows([train[:15], train[15:]])))))


def test_what_the_view_does_not_suit_is_refused_before_training(tmp_path):
    table = Config((3,), 2, 2, (4,))
    with pytest.raises(UserError, match=r"shape \(3,\), but affine views need images .* choose"):
        fitted("affine", examples(table, 40), table, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="train has 1 example, which has no neighbour"):
        fitted("neighbours", examples(table, 1), table)
    # A view that no regulariser uses is not asked.
    plain = Training(view="affine", batch_size=10, warmup=1, epochs=1)
    assert fitted("affine", examples(table, 40), table, recipe=plain).history


@pytest.mark.parametrize("view", ["adversarial", "noise"])
def test_a_single_example_is_a_training_set(view):
    assert np.all(np.isfinite(consistency(fitted(view, examples(IMAGES, 1)))))


def test_a_view_that_measures_says_where_it_has_seen_no_data(shaken):
    params = shaken(Config((4, 3), 2, 2, (4,)))
    x = jnp.zeros((2, 4, 3))
    for view in BUILTIN[1:]:
        regulariser = REGULARISERS["consistency"](settings(view))
        with pytest.raises(UserError, match=f"the view '{view}' has not seen the training data"):
            regulariser(params, KEY, x, models.of(params.config).infer(params, x))


# Views of one's own


@pytest.fixture
def own():
    """A function that registers a view under the name "own"."""
    yield partial(views.register, "own")
    VIEWS.forget("own")


def test_a_function_is_a_view_under_its_name(own, shaken):
    def mirrored(key, x):
        return x[:, ::-1]

    own(mirrored)
    config = Config((4, 3), 3, 2, (4,), binarise="none")
    params, training = shaken(config), settings("own")
    x = jnp.asarray(examples(config) / 255, jnp.float32)
    encoding, other = (models.of(config).infer(params, a) for a in (x, x[:, ::-1]))
    expected = -np.mean(np.sum(encoding.probs * jax.nn.log_softmax(other.logits), axis=1))
    found = REGULARISERS["consistency"](training)(params, KEY, x, encoding)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.all(np.isfinite(consistency(fitted("own", examples(IMAGES, 40)))))
    assert "own" in views.names()


def test_a_record_of_one_s_own_measures_the_data_in_the_model_s_unit(own):
    seen = {}

    def measure(training, params, data):
        seen["data"] = np.asarray(data)
        return jnp.float32(2)

    def apply(params, key, x, probs, source):
        seen["shapes"] = x.shape, probs.shape, source.index.shape, source.data.shape
        return source.measured * x

    own(View(apply, measure, every=3))
    config = Config((3, 2), 2, 2, (4,), likelihood="gaussian")
    assert np.all(np.isfinite(consistency(fitted("own", examples(config, 40), config))))
    assert seen["shapes"] == ((4, 3, 2), (4, 2), (4,), (40, 3, 2))
    np.testing.assert_allclose([seen["data"].mean(), seen["data"].std()], [0, 1], atol=1e-5)


def test_a_function_that_changes_the_shape_is_refused(own):
    own(lambda key, x: x[:, :1])
    with pytest.raises(
        UserError, match=r"'own' turns examples of shape .*\(2, 1, 2\); it must keep"
    ):
        fitted("own", examples(IMAGES, 40))


def test_names_that_are_not_known_and_parts_that_are_no_views_are_refused(own):
    with pytest.raises(UserError, match="view is 'own'; choose one of affine, adversarial, neigh"):
        Training(view="own")
    with pytest.raises(UserError, match="cannot be registered as a view"):
        own(3)
    with pytest.raises(UserError, match="a built-in one has that name"):
        views.register("noise", lambda key, x: x)


@pytest.mark.parametrize("name", ["view_radius", "view_noise"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan"), "far"])
def test_sizes_of_changes_are_positive(name, value):
    with pytest.raises(UserError, match=f"{name} is"):
        Training(**{name: value})
