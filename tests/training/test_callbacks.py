"""Callbacks: functions and objects, stopping, Ctrl-C, and what each built-in one does."""

import signal
from itertools import pairwise

import chex
import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Training, UserError, fit
from cpvae_jax.storage import checkpoint, run_folder
from cpvae_jax.training.callbacks import Bar, Callback, Checkpoint, Interrupt, TensorBoard

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
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(interrupt_at(2, times=2))
    assert signal.getsignal(signal.SIGINT) is before


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
