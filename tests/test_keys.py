"""One key per purpose: no two draws of a training and of what follows it start from the same key."""

from contextlib import contextmanager
from functools import partial

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Training, api, keys
from cpvae_jax.commands import sample
from cpvae_jax.commands.job import Folders
from cpvae_jax.data import Dataset
from cpvae_jax.distributions import noise
from cpvae_jax.evaluation import aggregate
from cpvae_jax.report import run as report
from cpvae_jax.report import scores, tighter
from cpvae_jax.report.html import content
from cpvae_jax.storage.run_folder import RunFolder
from experiments import compare, generation, judge

GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")

LONGEST = 10_000_000
"""More epochs, steps per epoch, batches, draws and categories than there ever are."""


def numbers(key):
    return tuple(np.asarray(jax.random.key_data(key)).ravel().tolist())


def test_the_constants_of_purposes_differ_and_no_epoch_or_split_reaches_them():
    constants = list(keys.PURPOSES.values())
    assert len(set(constants)) == len(constants)
    assert all(LONGEST < constant < 2**32 for constant in constants)


@pytest.mark.parametrize("generator", GENERATORS)
def test_the_key_of_a_purpose_is_none_of_a_split_or_of_a_number_folded_in(generator):
    key = jax.random.key(3, impl=generator)
    small = (
        jax.random.split(key, 1000),
        jax.vmap(lambda n: jax.random.fold_in(key, n))(np.arange(1000)),
    )
    found = {numbers(key) for group in small for key in group} | {numbers(key)}
    of_purposes = [numbers(keys.purpose(key, name)) for name in keys.PURPOSES]
    assert len(set(of_purposes)) == len(keys.PURPOSES)
    assert found.isdisjoint(of_purposes)


def test_an_unknown_purpose_is_refused():
    with pytest.raises(KeyError, match="test bounds"):
        keys.purpose(jax.random.key(0), "test bounds")


class Recorder:
    """Every key that `jax.random` derives or draws from, by phase, and how it was derived.

    Attributes:
      used: For each phase the keys that it split, folded numbers into or drew from.
      derived: For each key the ways in which it was made: (parent, how, number).
    """

    DRAWS = (
        "bits",
        "categorical",
        "choice",
        "gumbel",
        "normal",
        "permutation",
        "randint",
        "uniform",
    )

    def __init__(self, monkeypatch):
        self.used, self.derived, self.phase = {}, {}, None
        split, fold_in = jax.random.split, jax.random.fold_in

        def recorded_split(key, num=2):
            found = split(key, num)
            self._note(self._of_split, key, found)
            return found

        def recorded_fold_in(key, data):
            found = fold_in(key, data)
            self._note(self._of_fold, key, found, data)
            return found

        def recorded(draw):
            def wrapper(key, *args, **kwargs):
                self._note(self._of_draw, key)
                return draw(key, *args, **kwargs)

            return wrapper

        monkeypatch.setattr(jax.random, "split", recorded_split)
        monkeypatch.setattr(jax.random, "fold_in", recorded_fold_in)
        for name in self.DRAWS:
            monkeypatch.setattr(jax.random, name, recorded(getattr(jax.random, name)))
        monkeypatch.setattr(noise, "_words", recorded(noise._words))

    @contextmanager
    def of(self, phase):
        jax.effects_barrier()  # compiled programs report their keys a little later
        before, self.phase = self.phase, phase
        yield
        jax.effects_barrier()
        self.phase = before

    def _note(self, note, *values):
        plain = [jax.random.key_data(v) if keys.is_key(jax.numpy.asarray(v)) else v for v in values]
        jax.debug.callback(note, *plain)

    def _use(self, key):
        key = tuple(np.asarray(key).ravel().tolist())
        self.used.setdefault(self.phase, set()).add(key)
        return key

    def _of_split(self, parent, children):
        key = self._use(parent)
        for number, child in enumerate(np.asarray(children)):
            made = (key, "split", len(children), number)
            self.derived.setdefault(tuple(child.tolist()), set()).add(made)

    def _of_fold(self, parent, child, number):
        made = (self._use(parent), "fold_in", int(number))
        self.derived.setdefault(tuple(np.asarray(child).tolist()), set()).add(made)

    def _of_draw(self, key):
        self._use(key)


SEED, SHAPE = 0, (2, 2)
IMAGES = np.random.default_rng(0).integers(0, 256, (14, *SHAPE), dtype=np.uint8)
DATA = Dataset("images", IMAGES[:8], IMAGES[8:11], IMAGES[11:], None, None, None, "grey", "")
CONFIG = Config(shape=SHAPE, K=2, latent=1, hidden=(2,))


PHASES = ["training", "q(c)", "scores", "pictures", "report", "samples", "comparison", "generation"]


class NoClassifier:
    """Stands for a judge and its classifier, which draw nothing at random."""

    data = DATA

    @property
    def classifier(self):
        return self

    def scores(self, images):
        return {"frechet": 0.0}

    def classify(self, images):
        return np.arange(len(images)) % 2


@pytest.fixture
def recorder(monkeypatch):
    jax.clear_caches()  # programs that were compiled before do not report their keys
    with monkeypatch.context() as patch:
        yield Recorder(patch)
    jax.clear_caches()


@pytest.mark.slow
def test_no_draw_of_a_run_and_of_its_scores_reuses_a_key(recorder, monkeypatch, tmp_path):
    """By path too: no key is made in two ways, such as `fold_in(key, 1)` and `split(key, 3)[1]`."""
    mean_probs = aggregate.mean_probs

    def q_of_c(*args):
        with recorder.of("q(c)"):
            return mean_probs(*args)

    monkeypatch.setattr(aggregate, "mean_probs", q_of_c)
    monkeypatch.setattr(scores, "decomposition", partial(scores.decomposition, draws=3))
    monkeypatch.setattr(tighter, "BOUND_DRAWS", 2)
    monkeypatch.setattr(judge.samples, "PER_CATEGORY", 2)
    root = numbers(jax.random.key(SEED))
    training = Training(epochs=3, warmup=1, batch_size=4, learning_rate=1e-3)
    with recorder.of("training"):
        result = cpvae_jax.fit(
            jax.random.key(SEED), CONFIG, DATA.train, DATA.valid, recipe=training, callbacks=[]
        )
    params = result.params
    options = tighter.Tighter(samples=2, images=2)
    with recorder.of("scores"):
        scores.evaluate(params, SEED, DATA, temperature=0.5, bound_samples=3, tighter=options)
    with recorder.of("pictures"):
        report.draw_pictures(RunFolder(tmp_path), SEED, DATA, params, result.history)
    with recorder.of("report"):
        content.of_run(params, DATA, SEED)
    monkeypatch.setattr(api, "load", lambda path: params)
    with recorder.of("samples"):
        sample.write_samples(sample.Draw(tmp_path, num=2, out=tmp_path / "x.npz", seed=SEED))
    with recorder.of("comparison"):
        monkeypatch.setattr(compare, "_data_of", lambda path: ("images", {}))
        monkeypatch.setattr(compare, "load", lambda *args, **kwargs: DATA)
        monkeypatch.setattr(compare.names, "identity", lambda *args: {"model": ""})
        runs = compare.Options(tmp_path / "a", (tmp_path / "b",), draws=3, seed=SEED)
        compare.compare(runs, Folders())
    with recorder.of("generation"):
        how = generation.Options(tmp_path, num=3, draws=3, seed=SEED)
        generation._score_run(params, tmp_path / "run.json", NoClassifier(), how, {})
    assert {root} < recorder.used["training"]
    for key, ways in recorder.derived.items():
        assert len(ways) == 1, (key, ways)
    phases = list(recorder.used)
    assert phases == PHASES
    for number, phase in enumerate(phases):
        for other in phases[:number]:
            assert recorder.used[phase] & recorder.used[other] <= {root}, (phase, other)
