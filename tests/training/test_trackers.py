"""Trackers: what the real packages keep, offline, and what happens where they fail."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import pytest

from cpvae_jax import Config, Training, UserError, fit, processes
from cpvae_jax.registry import CALLBACKS
from cpvae_jax.training.trackers import record

CONFIG = Config(shape=(3,), K=2, latent=1, hidden=(4,), binarise="none")
TRAINING = Training(batch_size=10, warmup=1, epochs=2)
X = np.random.default_rng(0).random((30, 3)).astype(np.float32)
PACKAGES = {"mlflow": "mlflow-skinny", "wandb": "wandb"}


def kept(name, folder):
    """What the real package has of three trainings, run in a process of their own."""
    if find_spec(name) is None:
        pytest.skip(f"{name} is missing, so its tracker is NOT tested; "
                    f"pip install 'cpvae-jax[{name}]'")  # fmt: skip
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": (folder / "mlruns").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(folder),
        "WANDB_SILENT": "true",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, str(Path(__file__).with_name("tracked.py")), name]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [
        json.loads(line.removeprefix("KEPT "))
        for line in done.stdout.splitlines()
        if line.startswith("KEPT ")
    ]


@pytest.mark.parametrize(
    ("name", "endings"), [("mlflow", ["FINISHED", "KILLED", "FAILED"]), ("wandb", [0, 255, 1])]
)
def test_settings_metrics_and_endings_are_kept(name, endings, tmp_path):
    found = kept(name, tmp_path)
    assert [one["status"] for one in found] == endings
    for one, epochs in zip(found, (3, 2, 1), strict=True):
        assert {str(one["settings"][key]) for key in ("model.K", "training.epochs")} == {"2", "3"}
        history = {(row["epoch"], row["seed"]): row for row in one["history"]}
        for metric, series in one["metrics"].items():
            metric, _, seed = metric.partition("/")
            assert series[-1][0] == epochs
            assert name == "wandb" or [step for step, _ in series] == list(range(1, epochs + 1))
            for step, value in series if history else ():
                assert value == pytest.approx(history[step, int(seed)][metric])
    if name == "wandb":
        assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 3


class Fake:
    """A package that writes calls down, and fails at one of them."""

    def __init__(self, fails=""):
        self.calls, self._fails = [], fails

    def __getattr__(self, name):
        def call(*arguments, **options):
            self.calls.append((name, arguments, options))
            if name == self._fails:
                raise ConnectionError("no route to the server\nand more")
            return None if name == "active_run" else self

        return call

    def names(self):
        return [name for name, _, _ in self.calls]


@pytest.fixture
def fake(monkeypatch):
    """A function that puts a fake in the place of a package."""

    def put(name, fails=""):
        package = Fake(fails)
        monkeypatch.setitem(sys.modules, name, package)
        return package, CALLBACKS[name]()

    return put


def train(*called, **options):
    return fit(jax.random.key(0), CONFIG, X, X, recipe=TRAINING, callbacks=called, **options)


@pytest.mark.parametrize(
    ("name", "fails", "then"),
    [
        ("mlflow", "log_metrics", ["start_run", "log_params", "log_metrics", "end_run"]),
        ("mlflow", "end_run", ["log_params", "log_metrics", "log_metrics", "end_run"]),
        ("wandb", "log", ["init", "log", "finish"]),
        ("wandb", "finish", ["init", "log", "log", "finish"]),
    ],
)
def test_training_goes_on_where_the_tracker_cannot_be_reached(name, fails, then, fake):
    package, tracker = fake(name, fails)
    words = r"cannot write \(no route to the server\); training goes on without it\."
    with pytest.warns(RuntimeWarning, match=words):
        result = train(tracker)
    assert [row["epoch"] for row in result.history] == [1, 2]
    assert package.names()[-len(then) :] == then


@pytest.mark.parametrize(
    ("name", "fails", "words"),
    [
        ("mlflow", "start_run", r"^MLflow cannot begin a run \(no .*\); check MLFLOW_TRACKING_URI"),
        (
            "mlflow",
            "log_params",
            r"^MLflow cannot begin a run \(no .*\); check MLFLOW_TRACKING_URI",
        ),
        (
            "wandb",
            "init",
            r"^Weights & Biases cannot begin a run \(no route .*\); check WANDB_MODE",
        ),
    ],
)
def test_a_run_that_cannot_begin_ends_training_at_once(name, fails, words, fake):
    package, tracker = fake(name, fails)
    with pytest.raises(UserError, match=words):
        train(tracker)
    assert package.names()[-1] == ("end_run" if fails == "log_params" else fails)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_named(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    words = (
        rf"needs the package {PACKAGES[name]}; install it with pip install 'cpvae-jax\[{name}\]'"
    )
    with pytest.raises(UserError, match=words):
        train(CALLBACKS[name]())


@pytest.mark.parametrize("name", PACKAGES)
def test_only_the_first_process_writes(name, fake, monkeypatch):
    package, tracker = fake(name)
    monkeypatch.setattr(processes, "first", lambda: False)
    train(tracker)
    assert package.calls == []


def test_an_interrupt_during_an_epoch_is_a_kill(fake):
    package, tracker = fake("mlflow")

    def stop(run):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tracker, stop)
    assert package.calls[-1] == ("end_run", (record.KILLED,), {})


@pytest.mark.parametrize("own", [False, True])
def test_files_of_wandb_go_to_the_run_folder(own, fake, tmp_path, monkeypatch):
    if own:
        monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    else:
        monkeypatch.delenv("WANDB_DIR", raising=False)
    package, tracker = fake("wandb")
    train(tracker, folder=tmp_path / "run")
    assert package.calls[0][2]["dir"] == (None if own else tmp_path / "run")
