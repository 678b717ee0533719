"""The command `experiments.run` from data to pictures, on data small enough to train in seconds."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import cpvae_jax
from cpvae_jax.evaluation.estimates import bound_terms
from cpvae_jax.storage.run_folder import CONFIG, FORMAT, LOG, SCORES, SESSIONS
from experiments import run
from tests.running import message, wait_for_epochs

SMALL = [
    *("--recipe", "paper", "--K", "3", "--latent", "2", "--hidden", "8"),
    "--warmup",
    "2",
    "--quiet",
]
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three kinds of 6 x 6 images, with labels, as a user's own file."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    images = np.zeros((400, 6, 6))
    for kind in range(3):
        images[labels == kind, 2 * kind : 2 * kind + 2] = 0.9
    path = tmp_path_factory.mktemp("data") / "stripes.npz"
    np.savez(path, x=(255 * images).astype(np.uint8), y=labels)
    return path


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """The folder of a finished run of four epochs, not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    arguments = ["--epochs", "4", "--log-likelihood", "20", "--tensorboard"]
    assert command(data, out, *arguments) == 0
    return out


def command(data, out, *arguments):
    return run.main(["--dataset", str(data), "--out", str(out), *SMALL, *arguments])


def files(folder):
    """Every file with its time of change: a refused command must not change any."""
    return {p: p.stat().st_mtime_ns for p in sorted(folder.rglob("*"))}


def test_a_run_leaves_all_of_its_files(finished):
    pictures = sorted(p.name for p in (finished / "pictures").iterdir())
    assert pictures == ["aggregate.png", "curves.png", "reconstructions.png", "samples.png"]
    for name in pictures:
        with Image.open(finished / "pictures" / name) as picture:
            assert min(picture.size) > 100
            assert picture.convert("L").getextrema()[0] < picture.convert("L").getextrema()[1]
    assert list((finished / "tensorboard").iterdir())

    lines = [json.loads(line) for line in (finished / LOG).read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    for line in lines:
        for part in ("train", "valid"):
            terms = line[f"{part}_reconstruction"] - line[f"{part}_kl_c"] - line[f"{part}_kl_z"]
            assert line[f"{part}_bound"] == pytest.approx(terms, abs=1e-4)

    scores = json.loads((finished / SCORES).read_text())
    (seed,) = scores["seeds"]
    assert seed["log_likelihood"]["samples"] == 20
    assert seed["valid_bound"] == max(line["valid_bound"] for line in lines)
    assert 0 <= seed["clustering"]["accuracy_hungarian"] <= 1
    assert 0 <= seed["clustering"]["accuracy_majority"] <= 1
    assert seed["clustering"]["majority_from"] == "training"
    assert scores["value_range"] == [0, 1]
    assert scores["examples"] == {"train": 320, "valid": 40, "test": 40}
    (session,) = scores["sessions"]
    assert session["command"].startswith("python -m experiments.run --dataset")
    assert str(finished) not in session["command"]


def test_the_reported_bound_is_that_of_the_loaded_model(finished, data):
    from experiments.data import load

    params = cpvae_jax.load(finished)
    test = load(str(data)).test
    terms = bound_terms(params, jax.random.key(9), test, samples=20)
    reported = json.loads((finished / SCORES).read_text())["seeds"][0]["test_bound"]
    # Independent draws of z and of the pixels: within five standard errors of one pass.
    assert abs(terms["bound"].mean() - reported["mean"]) < 5 * reported["standard_error"]


def test_stopped_and_resumed_equals_undisturbed(data, finished, tmp_path):
    out = tmp_path / "halves"
    assert command(data, out, "--epochs", "2") == 0
    assert command(data, out, "--epochs", "4", "--resume") == 0
    assert _numbers(out) == _numbers(finished)
    a, b = cpvae_jax.load(out), cpvae_jax.load(finished)
    jax.tree.map(np.testing.assert_array_equal, a, b)
    assert len((out / SESSIONS).read_text().splitlines()) == 2
    assert json.loads((out / CONFIG).read_text())["format"] == FORMAT


def _numbers(folder):
    """The log of epochs without its times."""
    lines = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_stops(data, tmp_path, number, code):
    out = tmp_path / "signalled"
    arguments = ["--dataset", str(data), "--out", str(out), *SMALL, "--epochs", "100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.run", *arguments, "--patience", "100000"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for_epochs(process, out / LOG, 3)
    process.send_signal(number)
    told, _ = process.communicate(timeout=120)
    assert process.returncode == code
    epochs = len((out / LOG).read_text().splitlines())
    assert f"after epoch {epochs} and saved" in told
    assert cpvae_jax.load(out).config.K == 3
    assert (out / "checkpoints" / str(epochs)).is_dir()


def test_several_seeds_are_all_reported_and_the_best_is_kept(data, finished, tmp_path):
    out = tmp_path / "seeds"
    assert command(data, out, "--epochs", "4", "--seeds", "3") == 0
    scores = json.loads((out / SCORES).read_text())
    bounds = [seed["valid_bound"] for seed in scores["seeds"]]
    assert [seed["seed"] for seed in scores["seeds"]] == [0, 1, 2]
    assert len(set(bounds)) == 3
    assert scores["kept_seed"] == int(np.argmax(bounds))
    # A seed beside others has the numbers of the seed alone, to float32 rounding over 4 epochs.
    alone = json.loads((finished / SCORES).read_text())["seeds"][0]["valid_bound"]
    assert bounds[0] == pytest.approx(alone, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--epochs", "4"], "add --resume"),
        (["--epochs", "4", "--resume", "--seed", "1"], "other settings (different: seed)"),
        (
            ["--epochs", "4", "--resume", "--learning-rate", "1"],
            "other settings (different: training)",
        ),
        (["--K", "5", "--resume"], "other settings (different: model"),
    ],
)
def test_a_folder_that_holds_a_run_is_not_touched(data, finished, capsys, change, words):
    before = files(finished)
    assert command(data, finished, *change) == 2
    assert words in message(capsys)
    assert files(finished) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "minst"], "did you mean 'mnist'? Choose one of mnist"),
        (["--K", "0"], "K is 0"),
        (["--latent", "0"], "latent is 0"),
        (["--learning-rate", "-1"], "learning_rate is -1"),
        (["--scale", "0", "--likelihood", "gaussian"], "scale is 0"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--seed", str(2**32 - 1), "--seeds", "2"], "needs seeds outside 0 to 4294967295"),
        (["--likelihood", "normal"], "likelihood is 'normal'; choose one of bernoulli, gaussian"),
        (["--log-likelihood", "-5"], "--log-likelihood is -5"),
        (["--resume"], "holds no run to resume"),
        (["--dataset", "synthetic", "--likelihood", "bernoulli"], "the likelihood 'gaussian'"),
        (["--means", "1", "2"], "has no option"),
        (["--dataset", "digits", "--num", "100"], "digits has no option num"),
        (["--model", "hgan"], "model is 'hgan'; choose one of cp, full"),
        (["--model", "hvp", "--levels", "2"], "--model stands for --prior and --levels"),
        (["--prior", "gan"], "prior is 'gan'; choose one of cp, full"),
        (["--prior", "vae"], "has a single component; give K = 1"),
        (["--recipe", "quick"], "recipe is 'quick'; choose one of paper, short, long"),
        (["--regulariser", "order=1"], "regulariser is 'order'; choose one of"),
        (["--callback", "phone"], "callback is 'phone'; choose one of"),
        (["--extend", "nowhere.py"], "--extend nowhere.py is not a file"),
    ],
)
def test_invalid_input_is_one_message(data, tmp_path, capsys, arguments, words):
    assert command(data, tmp_path / "out", *arguments) == 2
    assert words in message(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "arguments", "words"),
    [
        ({"x": np.full((20, 4), np.nan)}, [], "NaN or infinite"),
        ({"x": np.full((20, 4), np.inf)}, [], "NaN or infinite"),
        ({"x": np.full((20, 4), 7.0)}, ["--likelihood", "bernoulli"], "from 7 to 7"),
        ({"x": np.zeros((0, 4))}, [], "0 example"),
        ({"z": np.zeros((9, 4))}, [], "z"),
    ],
)
def test_unsuitable_data_are_refused(tmp_path, capsys, values, arguments, words):
    np.savez(tmp_path / "bad.npz", **values)
    assert command(tmp_path / "bad.npz", tmp_path / "out", *arguments) == 2
    assert words in message(capsys)
    assert not (tmp_path / "out").exists()


def test_images_of_mixed_sizes_are_refused(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    for number, size in enumerate([(4, 4), (4, 5)]):
        Image.new("L", size).save(tmp_path / "images" / f"{number}.png")
    assert command(tmp_path / "images", tmp_path / "out") == 2
    assert "1.png" in message(capsys)


def test_an_unwritable_folder(data, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert command(data, tmp_path / "file" / "out") == 2
    assert "cannot be written" in message(capsys)


def test_a_folder_of_something_else_is_left_alone(data, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("precious")
    assert command(data, tmp_path) == 2
    assert "holds no run" in message(capsys)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_diverged_training_keeps_the_best_and_says_why(data, tmp_path, capsys):
    out = tmp_path / "out"
    assert command(data, out, "--learning-rate", "1e8", "--epochs", "30") == 2
    text = message(capsys)
    assert "training diverged: 5 steps in a row" in text
    assert "a learning rate smaller than 1e+08" in text
    assert "the data range from 0 to 229" in text
    params = cpvae_jax.load(out)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(params))


def test_the_synthetic_mixture_gets_its_histograms(tmp_path):
    arguments = ["--num", "500", "--means", "0", "3", "--stds", "0.2", "0.2", "--epochs", "2"]
    out = tmp_path / "out"
    assert command("synthetic", out, *arguments, "--weights", "0.5", "0.5") == 0
    assert (out / "pictures" / "densities.png").exists()
    distances = json.loads((out / SCORES).read_text())["seeds"][0]["wasserstein"]
    assert set(distances) == {"aggregate", "uniform", "floor"}
    assert 0 < distances["floor"] < 0.2
