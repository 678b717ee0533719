"""What is said about a training whose categories may be of no use, and that sound ones are spared."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cpvae_jax import api
from cpvae_jax.config import Config, Training
from cpvae_jax.training import doubts
from cpvae_jax.training.fit import fit

CONFIG = Config(shape=(2,), K=10)
LONG = Training(epochs=400, warmup=20, temperature_epochs=20)


def history(kl_c, *, stopped=False):
    """The log of one seed, whose validation KL(c) is given by epoch."""
    return [
        {
            "epoch": n + 1,
            "valid_kl_c": float(value),
            "best_epoch": len(kl_c),
            "stopped": stopped and n + 1 == len(kl_c),
        }
        for n, value in enumerate(kl_c)
    ]


def settling(epochs, noise=0.0, end=2.2):
    """KL(c) as sound trainings have it: it rises early and levels off."""
    rng = np.random.default_rng(0)
    return end * (1 - np.exp(-np.arange(epochs) / (epochs / 12))) + noise * rng.normal(size=epochs)


@pytest.mark.parametrize("planned", [True, False])
@pytest.mark.parametrize(
    ("warmup", "epochs", "warns"),
    [
        (100, 5, True),
        (100, 99, True),
        (1, 0, True),
        (100, 100, False),
        (100, 400, False),
        (0, 1, False),
    ],
)
def test_an_end_inside_the_warm_up_is_said(warmup, epochs, warns, planned):
    text = doubts.cut_short(Training(warmup=warmup), epochs, planned=planned)
    assert (text is not None) == warns
    if warns:
        assert f"{'is to end' if planned else 'ended'} after {epochs} epoch" in text
        assert f"inside the warm-up of {warmup}" in text
        assert f"more than {warmup} --epochs, or a shorter --warmup" in text


@pytest.mark.parametrize(
    ("training", "config", "warns"),
    [
        (Training(), CONFIG, True),
        (Training(estimator="straight-through"), CONFIG, True),
        (Training(temperature_epochs=5), CONFIG, False),
        (Training(estimator="exact"), CONFIG, False),
        (Training(temperature=0.5), CONFIG, False),
        (Training(), Config(shape=(2,), K=1), False),
        (Training(), Config(shape=(2,), prior="mg"), False),
    ],
)
def test_an_end_before_the_temperature_has_fallen_is_said_where_a_category_is_relaxed(
    training, config, warns
):
    text = doubts.still_hot(training, config, 5)
    assert (text is not None) == warns
    if warns:
        assert "the temperature falls for 100" in text
        assert "--temperature-epochs" in text


def test_what_is_planned_gets_one_sentence():
    assert "warm-up" in doubts.planned(Training(epochs=5), CONFIG)
    assert "temperature" in doubts.planned(Training(epochs=5, warmup=1), CONFIG)
    assert doubts.planned(Training(), CONFIG) is None


@pytest.mark.parametrize(
    ("K", "share", "information", "words"),
    [
        (10, 1.0, 0.0, "one category takes 100.0% of the training data, and the other 9"),
        (2, 0.92, 0.3, "one category takes 92.0%"),
        (10, 0.95, None, "one category takes 95.0%"),
        (3, 0.35, 0.008, "carry almost nothing about x: I(x; c) is 0.008 of at most 1.099 nats"),
        (10, 0.2, 0.14, "carry almost nothing"),
        (500, 0.002, 0.6, "carry almost nothing"),
        (10, 0.16, 2.14, None),  # digits
        (50, 0.025, 3.08, None),  # Omniglot
        (150, 0.011, 1.55, None),  # many categories of one number
        (10, 0.2, None, None),
        (2, 0.6, 0.5, None),
        (1, 1.0, 0.0, None),
    ],
)
def test_categories_that_carry_nothing_or_take_all_are_named(K, share, information, words):
    text = doubts.idle_categories(K, share, information)
    if words is None:
        assert text is None
    else:
        assert words in text
        assert "--regulariser balance=1 certainty=1" in text


RISING = {
    "from nothing, as on iris": np.concatenate([np.full(100, 0.007), np.linspace(0.01, 0.06, 58)]),
    "linear": np.linspace(0, 1, 40),
    "linear with noise": np.linspace(0, 1, 200) + 0.02 * np.random.default_rng(1).normal(size=200),
    "cut off early": settling(100)[:18],
    "short": np.linspace(0.1, 0.3, doubts.ENOUGH),
    "curved upwards": np.linspace(0, 1, 60) ** 2,
}
SETTLED = {
    "exactly constant": np.full(100, 2.2),
    "level": settling(190),
    "level with noise": settling(190, noise=0.05),
    "level with much noise": settling(100, noise=0.3, end=1.0),
    "falling": np.linspace(2, 1, 100),
    "slower than its noise": np.linspace(1, 1.1, 24)
    + 0.2 * np.random.default_rng(2).normal(size=24),
    "always zero": np.zeros(100),
    "a seed that diverged": np.full(100, np.nan),
    "too few epochs to tell": np.linspace(0, 1, doubts.ENOUGH - 1),
    "tiny": np.linspace(0, 0.01, 100),
    "a jump that is over": np.concatenate([np.full(76, 1.0), np.full(24, 2.0)]),
}


@pytest.mark.parametrize("name", RISING)
def test_a_rising_kl_is_said_with_its_numbers(name):
    text = doubts.still_rising(LONG, history(RISING[name]), 0)
    first, last = map(float, re.search(r"still rising .* from (\S+) to (\S+) nats", text).groups())
    window = RISING[name][-max(6, len(RISING[name]) // 4) :]
    assert window.min() - 0.001 < first < last < window.max() + 0.001


@pytest.mark.parametrize("name", SETTLED)
def test_a_settled_kl_is_not_mentioned(name):
    assert doubts.still_rising(LONG, history(SETTLED[name]), 0) is None


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_is_no_rise(seed):
    noisy = 1 + 0.2 * np.random.default_rng(seed).normal(size=(200, 120))
    found = [doubts.still_rising(LONG, history(values), 0) for values in noisy]
    assert found.count(None) >= 198


@pytest.mark.parametrize(
    ("training", "stopped", "remedy"),
    [
        (LONG, True, "larger --patience, or in smaller batches"),
        (LONG, False, "Continue with --resume and more --epochs"),
        (Training(decay_epochs=100), False, "more --epochs and --decay-epochs"),
    ],
)
def test_the_remedy_for_a_rising_kl_fits_how_training_ended(training, stopped, remedy):
    lines = history(np.linspace(0, 1, 40), stopped=stopped)
    assert remedy in doubts.still_rising(training, lines, 0)


def test_each_seed_of_a_log_is_judged_by_itself():
    two = [
        {**line, "valid_kl_c": [2.2, line["valid_kl_c"]], "stopped": [True, False]}
        for line in history(np.linspace(0, 1, 40))
    ]
    assert doubts.still_rising(LONG, two, 0) is None
    assert "--resume" in doubts.still_rising(LONG, two, 1)


def of_run(training, lines, share=0.16, information=2.14):
    return doubts.of_run(training, CONFIG, lines, 0, largest_share=share, information=information)


def test_a_sound_run_gets_no_sentence_and_others_one_for_each_reason():
    assert of_run(LONG, history(settling(190))) == []
    assert of_run(LONG, []) == []  # someone deleted the log
    (text,) = of_run(Training(), history(np.linspace(0.1, 0.5, 60)))  # rising, but in the warm-up
    assert "ended after 60 epochs, inside the warm-up" in text
    five = of_run(Training(epochs=5), history(np.full(5, 0.01)), share=1.0, information=0.0)
    assert [text.split()[0] for text in five] == ["one", "training"]
    slow = of_run(LONG, history(RISING["from nothing, as on iris"]), 0.35, 0.008)
    assert [text.split()[0] for text in slow] == ["the", "KL(c)"]


@pytest.mark.parametrize(
    ("prior", "aggregate", "kl_c", "epochs", "words"),
    [
        ("cp", [0.25] * 4, 0.008, 60, "I(x; c) is 0.008 of at most 1.386"),
        ("cp", [0.97, 0.01, 0.01, 0.01], 1.2, 60, "one category takes 97.0%"),
        ("mg", [0.97, 0.01, 0.01, 0.01], 0.0, 60, "one category takes 97.0%"),
        ("cp", [0.25] * 4, 1.3, 60, None),
        ("mg", [0.25] * 4, 0.0, 60, None),  # where c is summed out, KL(c) is 0 and says nothing
        ("cp", [0.25] * 4, 0.008, 25, None),  # a trial of five epochs after the warm-up
    ],
)
def test_python_users_are_warned_of_idle_categories(prior, aggregate, kl_c, epochs, words):
    params = api.initialise(
        jax.random.key(0), Config(shape=(2,), K=4, latent=2, hidden=(4,), prior=prior)
    )
    params = params.with_stats(aggregate=jnp.array(aggregate))
    text = doubts.serious(LONG, history(np.full(epochs, kl_c)), 0, params)
    if words is None:
        assert text is None
    else:
        assert words in text
    assert doubts.serious(LONG, [], 0, params) is None


@pytest.mark.parametrize(
    ("kl_c", "words"), [(0.2, None), (0.02, "I(x; c) is 0.020 of at most 1.386")]
)
def test_a_large_category_is_no_doubt_where_p_of_c_is_learned(kl_c, words):
    """KL(c) is all information where q(c) has come to p(c)."""
    q = np.array([0.95, 0.05, 0.0, 0.0])
    config = Config(shape=(2,), K=4, latent=2, hidden=(4,), category_prior="learned")
    params = api.initialise(jax.random.key(0), config).with_stats(aggregate=jnp.array(q))
    logits = jnp.log(jnp.maximum(q, 1e-9))
    params = params.with_weights({**params.weights, "category": logits})
    text = doubts.serious(LONG, history(np.full(60, kl_c)), 0, params)
    assert text is None if words is None else words in text
    share = {"largest_share": 0.95, "information": kl_c}
    found = doubts.of_run(LONG, config, history(settling(190)), 0, **share)
    assert [words in text for text in found] == [True] * (words is not None)


X = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)


def fitted(**training):
    config = Config(shape=(2,), K=4, latent=2, hidden=(4,), likelihood="gaussian")
    settings = Training(batch_size=20, learning_rate=1e-6, **training)
    return fit(jax.random.key(0), config, X, X, recipe=settings, callbacks=[])


def test_fit_warns_of_a_warm_up_that_is_longer_than_the_training():
    with pytest.warns(RuntimeWarning, match="is to end after 1 epoch, inside the warm-up of 2"):
        fitted(epochs=1, warmup=2)


def test_fit_warns_of_categories_that_carry_nothing_after_a_long_training_only():
    with pytest.warns(RuntimeWarning, match=r"the categories carry almost nothing about x: I\(x;"):
        result = fitted(epochs=1 + doubts.SETTLED, warmup=1)
    assert result.params.config.K == 4
    fitted(epochs=doubts.SETTLED, warmup=1)
