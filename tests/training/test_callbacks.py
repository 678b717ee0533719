"""Callbacks: functions and objects, stopping, Ctrl-C, and what each built-in one does."""

import re
import signal
import sys
from itertools import pairwise
from types import SimpleNamespace

import chex
import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Training, UserError, fit
from cpvae_jax.storage import checkpoint, run_folder
from cpvae_jax.training import callbacks, recipe
from cpvae_jax.training.callbacks import Bar, Callback, Checkpoint, Interrupt
from cpvae_jax.training.run import Run
from cpvae_jax.training.trackers.tensorboard import TensorBoard

CONFIG = Config(shape=(3,), K=2, latent=1, hidden=(4,), binarise="none")
TRAINING = Training(learning_rate=1e-2, batch_size=8, warmup=1, epochs=4)


@pytest.fixture
def run(data, valid):
    """A function that fits with some callbacks."""

    def fitted(*callbacks, key=0, seeds=None, **options):
        one = jax.random.key(key)
        keys = one if seeds is None else jax.random.split(one, seeds)
        options = {"recipe": TRAINING, **options}
        return fit(keys, CONFIG, data, valid, callbacks=callbacks, **options)

    return fitted


class Recorder(Callback):
    """Writes down what it is called with."""

    def __init__(self):
        self.calls = []

    def start(self, run):
        self.calls.append(("start", run.epoch))

    def epoch(self, run):
        self.calls.append(("epoch", run.epoch))

    def end(self, run):
        self.calls.append(("end", run.final))

    def close(self):
        self.calls.append(("close", None))


def test_functions_and_objects_are_called_after_each_epoch(run, assert_same_bits):
    recorder, seen, kept = Recorder(), [], []

    def function(run):
        seen.append((run.epoch, dict(run.metrics), run.lines[-1]))
        kept.append((run.state, run.best()))

    result = run(recorder, function, seeds=2)
    assert [call[0] for call in recorder.calls] == ["start", *["epoch"] * 4, "end", "close"]
    assert [call[1] for call in recorder.calls[:5]] == [0, 1, 2, 3, 4]
    assert recorder.calls[5][1] is result.params
    assert [epoch for epoch, _, _ in seen] == [1, 2, 3, 4]
    for number, (epoch, metrics, line) in enumerate(seen):
        assert line["epoch"] == epoch
        for seed in range(2):
            row = result.history[2 * number + seed]
            assert (row["epoch"], row["seed"]) == (epoch, seed)
            for name in ("valid_bound", "train_loss", "temperature", "stopped"):
                assert row[name] == metrics[name][seed] == line[name][seed]
    # States that were kept can be read after training.
    assert [state.epoch.tolist() for state, _ in kept] == [[n, n] for n in (1, 2, 3, 4)]
    assert_same_bits(kept[-1][0], result.state)
    kernels = [np.asarray(s.params.weights["decoder"]["output"]["kernel"]) for s, _ in kept]
    assert all(np.any(a != b) for a, b in pairwise(kernels))
    for _, best in kept:
        chex.assert_tree_all_finite(best)


@pytest.mark.parametrize("given", [3, Recorder, "bar"])
def test_anything_else_is_not_a_callback(run, given):
    with pytest.raises(UserError, match=r"a callback is .*; give a function of the run, or"):
        run(given)


def test_a_callback_stops_training_with_a_reason(run, assert_same_bits):
    def at_two(run):
        if run.epoch == 2:
            run.stop("good enough")

    recorder = Recorder()
    result = run(at_two, recorder)
    assert result.stopped == "good enough"
    assert [row["epoch"] for row in result.history] == [1, 2]
    assert recorder.calls[-2][0] == "end"
    assert len(result.seeds) == 1
    two = run(recipe=Training(**{**vars(TRAINING), "epochs": 2}))
    assert two.stopped is None
    assert_same_bits(result.params, two.params)
    assert_same_bits(result.state, two.state)


def test_an_error_in_a_callback_ends_training_and_releases_everything(run, tmp_path):
    def fail(run):
        if run.epoch == 2:
            raise ZeroDivisionError

    recorder, before = Recorder(), signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError):
        run(recorder, Checkpoint(every=0), fail, folder=tmp_path / "run")
    assert [call[0] for call in recorder.calls] == ["start", "epoch", "epoch", "close"]
    assert signal.getsignal(signal.SIGINT) is before
    result = run(folder=tmp_path / "run", resume=True)
    assert [row["epoch"] for row in result.history] == [2, 3, 4]


# Ctrl-C


def interrupt_at(epoch, number=signal.SIGINT, times=1):
    """A callback that sends this process a signal."""

    def send(run):
        if run.epoch == epoch:
            for _ in range(times):
                signal.raise_signal(number)

    return send


@pytest.mark.parametrize("in_folder", [False, True])
def test_ctrl_c_returns_the_best_model_so_far(run, in_folder, tmp_path, assert_same_bits):
    options = {"folder": tmp_path / "run"} if in_folder else {}
    before = signal.getsignal(signal.SIGINT)
    with pytest.warns(RuntimeWarning, match=r"stopped after epoch 2 \(SIGINT\)") as caught:
        result = run(interrupt_at(2), seeds=2, **options)
    assert caught[0].filename == __file__  # the warning points at the caller of fit
    assert signal.getsignal(signal.SIGINT) is before
    assert result.stopped == "SIGINT"
    assert [row["epoch"] for row in result.history] == [1, 1, 2, 2]
    best = max(row["valid_bound"] for row in result.history)
    assert float(np.max(result.state.best_bound)) == best
    assert len(result.seeds) == 1
    assert_same_bits(result.seeds[0], result.params)
    straight = run(seeds=2)
    if in_folder:
        assert_same_bits(cpvae_jax.load(tmp_path / "run"), result.params)
        resumed = run(seeds=2, folder=tmp_path / "run", resume=True)
        assert [row["epoch"] for row in resumed.history] == [3, 3, 4, 4]
        assert_same_bits(resumed.state, straight.state)
        assert_same_bits(resumed.seeds, straight.seeds)


def test_a_second_ctrl_c_ends_the_program_at_once(run):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            run(interrupt_at(2, times=2))
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_signals_and_a_second_training_with_the_same_callback(run):
    handler = Interrupt((signal.SIGTERM, signal.SIGUSR1))
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]
    for number in (signal.SIGTERM, signal.SIGUSR1):
        with pytest.warns(RuntimeWarning, match=f"after epoch 1 .{number.name}."):
            assert run(interrupt_at(1, number), handler).stopped == number.name
    assert run(handler).stopped is None
    after = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]
    assert after == before


# Built-in callbacks


def test_the_bar_shows_the_terms_of_the_best_seed(run, capsys):
    result = run(Bar(always=True), seeds=2)
    text = capsys.readouterr().err.split("\r")[-1]
    assert "4/4" in text
    row = max(result.history[-2:], key=lambda row: row["valid_bound"])
    assert (
        f"valid bound {row['valid_bound']:.2f} = {row['valid_reconstruction']:.2f} - KL(c) "
        f"{row['valid_kl_c']:.2f} - KL(z) {row['valid_kl_z']:.2f}, best at {row['best_epoch']}"
    ) in text


def test_the_bar_is_hidden_where_stderr_is_not_a_terminal(data, valid, capsys):
    """It is the default callback."""
    fit(jax.random.key(0), CONFIG, data, valid, recipe=TRAINING)
    fit(jax.random.key(0), CONFIG, data, valid, recipe=TRAINING, callbacks=[Bar(quiet=True)])
    assert capsys.readouterr().err == ""


def test_the_bar_is_hidden_where_there_is_no_stderr(run, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert len(run(Bar(always=True)).history) == 4


# The time left

PAPER = recipe.resolve("paper", CONFIG, 1000)


@pytest.mark.parametrize(
    ("training", "epoch", "wait", "stopped", "earliest"),
    [
        (PAPER, 0, [0], [False], 150),  # 100 epochs of warm-up, then 50 without a better bound
        (PAPER, 99, [0], [False], 150),
        (PAPER, 130, [0], [False], 180),
        (PAPER, 130, [7], [False], 173),
        (PAPER, 1990, [0], [False], 2000),
        (PAPER, 180, [50], [True], 180),
        (PAPER, 130, [7, 20], [False, False], 173),  # the last seed decides
        (PAPER, 160, [50, 20], [True, False], 190),
        (recipe.resolve("short", CONFIG, 1000), 40, [0], [False], 90),
        (recipe.resolve("short", CONFIG, 1000), 60, [0], [False], 100),
        (recipe.resolve("modes", Config(shape=(3, 3)), 1000), 101, [0], [False], 150),
    ],
)
def test_the_earliest_end_of_a_training(training, epoch, wait, stopped, earliest):
    assert synthetic(training, epoch, wait, stopped).earliest_end == earliest


def synthetic(training, epoch, wait, stopped, seconds=(30.0, 2.0, 2.0, 2.0)):
    """A training in progress, without a model."""
    state = SimpleNamespace(
        epoch=np.full(len(wait), epoch), wait=np.array(wait), stopped=np.array(stopped)
    )
    run = Run(CONFIG, training, state, mesh=None, folder=None)
    run.lines = [{"seconds": one} for one in seconds]
    return run


METRICS = {
    name: np.array([1.0])
    for name in ("valid_bound", "valid_reconstruction", "valid_kl_c", "valid_kl_z", "best_epoch")
}


def shown(run, monkeypatch, capsys):
    """What the bar shows after one more epoch of a synthetic training."""

    class Eager(callbacks.tqdm):
        def __init__(self, **options):
            super().__init__(**{**options, "mininterval": 0})

    monkeypatch.setattr(callbacks, "tqdm", Eager)
    run.metrics = {**METRICS, "skipped": np.array([0])}
    bar = Bar(always=True)
    run.epoch -= 1
    bar.start(run)
    run.epoch += 1
    bar.epoch(run)
    line = capsys.readouterr().err.split("\r")[-1]
    bar.close()
    return line


@pytest.mark.parametrize(
    ("epoch", "wait", "words"),
    [
        (3, 0, "epoch 3 of at most 2000 [00:00, 2s/epoch, at least 04:54 and at most 1:06:34 left"),
        (130, 7, "epoch 130 of at most 2000 [00:00, 2s/epoch, at least 01:26 and at most 1:02:20 "),
        (170, 47, "epoch 170 of at most 2000 [00:00, 2s/epoch, at least 00:06 and at most 1:01:00"),
    ],
)
def test_the_bar_gives_two_times_where_early_stopping_may_end_training(
    epoch, wait, words, monkeypatch, capsys
):
    text = shown(synthetic(PAPER, epoch, [wait], [False]), monkeypatch, capsys)
    assert text.startswith(f"training: {words}")
    assert ", valid bound 1.00 = " in text
    assert "%" not in text


def test_the_bar_fills_up_where_the_end_is_known(monkeypatch, capsys):
    training = recipe.resolve("short", CONFIG, 1000)
    text = shown(synthetic(training, 75, [3], [False]), monkeypatch, capsys)
    assert re.match(r"training:  75%\|.*\| 75/100 \[00:00<00:0\d, ", text)
    assert "at most" not in text


def test_the_bar_promises_no_time_after_the_end(monkeypatch, capsys):
    text = shown(synthetic(PAPER, 180, [50], [True]), monkeypatch, capsys)
    assert text.startswith("training: epoch 180 of at most 2000 [00:00, valid bound ")


@pytest.mark.parametrize(
    ("lines", "pace"), [((), None), ((30,), None), ((30, 2), 2), ((9,) * 30, 9)]
)
def test_the_first_epoch_does_not_count_because_it_compiles(lines, pace):
    assert synthetic(PAPER, 1, [0], [False], lines).seconds_per_epoch == pace


def test_training_ends_when_it_was_said_to(run):
    """The forecast rises with a better bound and never falls; training ends at the last one."""
    forecasts = []
    training = Training(learning_rate=0.3, batch_size=8, warmup=2, epochs=60, patience=3)
    result = run(lambda run: forecasts.append(run.earliest_end), recipe=training, seeds=2)
    assert forecasts == sorted(forecasts)
    assert forecasts[0] == 5
    assert result.history[-1]["epoch"] == forecasts[-1] < 60


def test_checkpoints_are_as_frequent_as_asked_for(run, tmp_path):
    def steps(name):
        return sorted(path.name for path in (tmp_path / name / checkpoint.FOLDER).iterdir())

    seen = []
    every = Checkpoint(every=0)
    for _ in range(2):  # the same callback serves twice
        name = f"often{len(seen)}"
        seen.append(name)
        run(every, folder=tmp_path / name)
        assert steps(name) == ["3", "4"]
    run(Checkpoint(every=1000), folder=tmp_path / "seldom")
    assert steps("seldom") == ["4"]
    run(folder=tmp_path / "default")
    assert steps("default") == ["4"]
    lines = run_folder.RunFolder(tmp_path / "default").lines(run_folder.LOG)
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]


@pytest.mark.parametrize("callback", [Checkpoint, TensorBoard])
def test_callbacks_that_write_need_a_folder(run, callback):
    with pytest.raises(UserError, match=f"{callback.__name__} needs a run folder; give fit a"):
        run(callback())


def test_tensorboard_gets_every_metric(run, tmp_path):
    run(TensorBoard(), folder=tmp_path / "run", seeds=2)
    (events,) = (tmp_path / "run" / "tensorboard").iterdir()
    content = events.read_bytes()
    for name in (b"valid_bound/0", b"valid_bound/1", b"train_kl_c/1", b"temperature/0"):
        assert name in content
