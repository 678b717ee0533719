"""Runs that are continued: on the same data, with the same keys, also from earlier versions."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cpvae_jax import Config, Rows, Training, UserError, fit, likelihoods, load
from cpvae_jax.likelihoods import bernoulli
from cpvae_jax.likelihoods.base import Likelihood
from cpvae_jax.registry import LIKELIHOODS
from cpvae_jax.storage import manifest, run_folder
from cpvae_jax.types import Own

CONFIG = Config(shape=(3,), K=2, latent=1, hidden=(4,), binarise="none")
TRAINING = Training(batch_size=8, warmup=1, epochs=1, temperature_epochs=1)
DIGITS = np.random.default_rng(0)
TRAIN = DIGITS.integers(0, 2, (20, 3)).astype(np.float32)
VALID = DIGITS.integers(0, 2, (7, 3)).astype(np.float32)


def fitted(folder, train=TRAIN, valid=VALID, *, key=None, config=CONFIG, **options):
    key = jax.random.key(0) if key is None else key
    return fit(key, config, train, valid, recipe=TRAINING, callbacks=[], folder=folder, **options)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("continuing") / "run"
    fitted(folder)
    return folder


def changed(x):
    other = x.copy()
    other[-1, -1] = 1 - other[-1, -1]
    return other


@pytest.mark.parametrize(
    ("train", "valid", "words"),
    [
        (changed(TRAIN), VALID, "the training examples are not those"),
        (TRAIN[::-1], VALID, "the training examples are not those"),
        (TRAIN[:-1], VALID, "the training examples are not those"),
        (Rows([changed(TRAIN)]), VALID, "the training examples are not those"),
        (TRAIN, changed(VALID), "the validation examples are not those"),
        (TRAIN, None, "the training and validation examples are not those"),
    ],
    ids=["value", "order", "fewer", "rows", "valid", "no valid"],
)
def test_a_run_is_not_continued_on_other_data(train, valid, words, run):
    with pytest.raises(UserError, match=f"{words} that it was started on; give the original data"):
        fitted(run, train, valid, resume=True)


@pytest.mark.parametrize(
    "train",
    [
        jnp.asarray(TRAIN),
        TRAIN.astype(">f4"),
        np.asfortranarray(TRAIN),
        Rows([TRAIN[:4], TRAIN[4:]]),
    ],
    ids=["jax", "bytes", "columns", "rows"],
)
def test_the_same_data_may_be_kept_in_another_way(train, run):
    assert fitted(run, train, jnp.asarray(VALID), resume=True).history == []


@pytest.mark.parametrize("kind", ["rbg", "unsafe_rbg"])
def test_keys_of_another_kind_are_named(kind, run):
    words = f"jax_default_prng_impl=threefry2x32, and now the random keys are {kind}"
    with pytest.raises(UserError, match=words):
        fitted(run, key=jax.random.key(0, impl=kind), resume=True)


def test_a_run_of_keys_of_another_kind_is_continued_with_them(tmp_path):
    key = jax.random.key(0, impl="rbg")
    fitted(tmp_path / "run", key=key)
    assert fitted(tmp_path / "run", key=key, resume=True).history == []
    assert load(tmp_path / "run").config == CONFIG
    with pytest.raises(UserError, match=r"jax_default_prng_impl=rbg, and now .* threefry2x32; set"):
        fitted(tmp_path / "run", resume=True)


def test_a_run_without_digests_is_continued_as_before(run):
    settings = json.loads((run / run_folder.CONFIG).read_text())
    earlier = {name: value for name, value in settings.items() if name not in ("data", "prng")}
    (run / run_folder.CONFIG).write_text(json.dumps(earlier))
    try:
        assert fitted(run, changed(TRAIN), resume=True).history == []
    finally:
        (run / run_folder.CONFIG).write_text(json.dumps(settings))


@pytest.mark.parametrize("view", ["adversarial", "neighbours"])
def test_what_a_view_measures_is_measured_again(view, tmp_path, assert_same_bits):
    """A resumed run of two seeds has the bits of one without a break."""
    settings = {"view": view, "regularisers": {"consistency": 5.0}, "warmup": 1}

    def fitted(epochs, **options):
        training = Training(batch_size=8, epochs=epochs, learning_rate=1e-2, **settings)
        keys = jax.random.split(jax.random.key(0))
        options = {"recipe": training, "callbacks": [], **options}
        return fit(keys, CONFIG, TRAIN, VALID, **options)

    straight = fitted(3)
    fitted(1, folder=tmp_path / "run")
    resumed = fitted(3, folder=tmp_path / "run", resume=True)
    assert_same_bits(resumed.state, straight.state)
    assert len(resumed.history) == 4


@pytest.mark.parametrize("name", ["conv/1", "conv\\1", "n" * 300])
def test_arrays_that_cannot_be_saved_are_refused_before_training(name, tmp_path):
    def init(key, config, data):
        return Own({name: jnp.zeros(())}, {})

    own = Likelihood(init, bernoulli.log_prob, bernoulli.mean, bernoulli.sample)
    likelihoods.register("odd", own)
    try:
        config = Config(shape=(3,), K=2, latent=1, hidden=(4,), likelihood="odd")
        with pytest.raises(UserError, match="which cannot be the name of a folder"):
            fitted(tmp_path / "run", config=config)
        assert not (tmp_path / "run").exists()
    finally:
        LIKELIHOODS.forget("odd")


def test_constants_that_an_earlier_version_lacked_are_those_without_data(tmp_path):
    """A run of two seeds goes on with them, and not with what the data would give today."""
    more = False

    def init(key, config, data):
        stats = {"level": jnp.full(config.shape, 0.0 if data is None else float(np.mean(data)))}
        high = {"high": jnp.float32(0 if data is None else np.max(data))} if more else {}
        return Own({}, {**stats, **high})

    own = Likelihood(init, bernoulli.log_prob, bernoulli.mean, bernoulli.sample)
    likelihoods.register("growing", own)
    try:
        config = Config(shape=(3,), K=2, latent=1, hidden=(4,), likelihood="growing")
        options = {"config": config, "key": jax.random.split(jax.random.key(0))}
        before = fitted(tmp_path / "run", **options).state.params
        (path,) = tmp_path.glob(f"run/checkpoints/*/{manifest.FILE}")
        files = json.loads(path.read_text())["files"]
        path.write_text(json.dumps({"format": 2, "files": files}))
        more = True
        state = fitted(tmp_path / "run", resume=True, **options).state
        for params in (state.params, state.best):
            found = params.stats["likelihood"]
            np.testing.assert_array_equal(found["high"], [0, 0])
            np.testing.assert_array_equal(found["level"], before.stats["likelihood"]["level"])
        assert float(found["level"][0, 0]) == pytest.approx(TRAIN.mean())
    finally:
        LIKELIHOODS.forget("growing")
