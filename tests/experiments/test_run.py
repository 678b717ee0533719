"""The command from data to pictures, on a data set small enough to train in seconds."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import cpvae_jax
from experiments import diagnosis, folder, job, pictures, run, sample
from experiments.folder import LOG, SCORES, SESSIONS
from experiments.options import parse
from tests.experiments.told import sentence, wait_for_epochs

SMALL = ["--K", "3", "--latent", "2", "--hidden", "8", "--warmup", "2", "--quiet"]
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
    """Every file with its time of change: what a refused command must leave as it was."""
    return {p: p.stat().st_mtime_ns for p in sorted(folder.rglob("*"))}


def test_leaves_everything_that_was_promised(finished):
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
    assert 0 <= seed["clustering"]["accuracy_hungarian"] <= seed["clustering"]["accuracy_majority"]
    assert scores["examples"] == {"train": 320, "valid": 40, "test": 40}
    (session,) = scores["sessions"]
    assert session["command"].startswith("python -m experiments.run --dataset")
    assert str(finished) not in session["command"]


def test_the_reported_bound_is_that_of_the_loaded_model(finished, data):
    from experiments.data import load

    params = cpvae_jax.load(finished)
    test = load(str(data)).test
    terms = cpvae_jax.bound_terms(params, jax.random.key(9), test, samples=20)
    reported = json.loads((finished / SCORES).read_text())["seeds"][0]["test_bound"]
    # Independent draws of z and of the pixels: within five standard errors of one pass.
    assert abs(terms["bound"].mean() - reported["mean"]) < 5 * reported["standard_error"]


def test_samples_of_one_category(finished, tmp_path, capsys):
    assert (
        sample.main([str(finished), "--category", "2", "--num", "7", "--out", f"{tmp_path}/a.npz"])
        == 0
    )
    with np.load(tmp_path / "a.npz") as file:
        x = file["x"]
    params = cpvae_jax.load(finished)
    expected = cpvae_jax.sample(params, jax.random.key(0), category=2, num=7)
    np.testing.assert_array_equal(x, expected)
    assert sample.main([str(finished), "--num", "9", "--out", f"{tmp_path}/b.png"]) == 0
    with Image.open(tmp_path / "b.png") as picture:
        assert min(picture.size) > 100
    assert "wrote 9 samples" in capsys.readouterr().out


def test_white_is_the_same_in_pictures_of_few_and_of_many(finished, tmp_path, monkeypatch):
    """That of the data, which the scores of a run tell, and not the brightest pixel of a draw."""
    assert json.loads((finished / SCORES).read_text())["value_range"] == [0, 1]
    grey = 40 * np.random.default_rng(0).random((50, 6, 6))
    config = cpvae_jax.Config(shape=(6, 6), K=3, latent=2, hidden=(8,), likelihood="gaussian")
    params = cpvae_jax.initialise(jax.random.key(0), config, grey)
    cpvae_jax.save(tmp_path / "run" / "checkpoints", params)
    (tmp_path / "run" / SCORES).write_text('{"value_range": [0, 255]}')
    shown, out = [], str(tmp_path / "picture.png")
    monkeypatch.setattr(pictures, "show_tiled", lambda axes, image: shown.append(image))
    for num in (1, 9):
        shown.clear()
        assert (
            sample.main([f"{tmp_path}/run", "--num", str(num), "--category", "1", "--out", out])
            == 0
        )
        x = cpvae_jax.sample(params, jax.random.key(0), category=1, num=num)
        np.testing.assert_allclose(shown[0][1:7, 1:7], x[0] / 255, atol=1e-5)


def test_stopped_and_resumed_equals_undisturbed(data, finished, tmp_path):
    out = tmp_path / "halves"
    assert command(data, out, "--epochs", "2") == 0
    assert command(data, out, "--epochs", "4", "--resume") == 0
    assert _numbers(out) == _numbers(finished)
    a, b = cpvae_jax.load(out), cpvae_jax.load(finished)
    jax.tree.map(np.testing.assert_array_equal, a, b)
    assert len((out / SESSIONS).read_text().splitlines()) == 2


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
        (["--epochs", "4", "--resume", "--seed", "1"], "another configuration (seed differ)"),
        (["--epochs", "4", "--resume", "--learning-rate", "1"], "another configuration (training"),
        (["--K", "5", "--resume"], "another configuration (model"),
    ],
)
def test_a_folder_that_holds_a_run_is_not_touched(data, finished, capsys, change, words):
    before = files(finished)
    assert command(data, finished, *change) == 2
    assert words in sentence(capsys)
    assert files(finished) == before


def test_a_folder_is_the_same_data_with_a_slash_at_its_end(tmp_path):
    config = cpvae_jax.Config(shape=(4,))
    with_slash, without = (
        job.settings(parse(["--dataset", name]), config, cpvae_jax.Training())
        for name in ("arrays/", "arrays")
    )
    assert with_slash == without
    (tmp_path / folder.CONFIG).write_text(json.dumps({"dataset": "arrays/"}))  # of an older run
    assert folder.read(tmp_path / folder.CONFIG) == {"dataset": "arrays"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "minst"], "choose one of mnist"),
        (["--K", "0"], "K is 0"),
        (["--latent", "0"], "latent is 0"),
        (["--learning-rate", "-1"], "learning_rate is -1"),
        (["--estimator", "exakt"], "estimator is 'exakt'; choose one of"),
        (["--binarise", "often"], "binarise is 'often'; choose one of"),
        (["--scale", "0", "--likelihood", "gaussian"], "scale is 0"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--seed", str(2**32 - 1), "--seeds", "2"], "go beyond the last seed, 4294967295"),
        (["--likelihood", "normal"], "likelihood is 'normal'; choose one of bernoulli, gaussian"),
        (["--log-likelihood", "-5"], "--log-likelihood is -5"),
        (["--resume"], "holds no run to resume"),
        (["--dataset", "synthetic", "--likelihood", "bernoulli"], "--likelihood gaussian"),
        (["--means", "1", "2"], "takes no option"),
        (["--dataset", "digits", "--num", "100"], "digits takes no option num"),
    ],
)
def test_a_mistake_is_one_sentence(data, tmp_path, capsys, arguments, words):
    assert command(data, tmp_path / "out", *arguments) == 2
    assert words in sentence(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "arguments", "words"),
    [
        ({"x": np.full((20, 4), np.nan)}, [], "NaN or infinite"),
        ({"x": np.full((20, 4), np.inf)}, [], "NaN or infinite"),
        ({"x": np.full((20, 4), 7.0)}, ["--likelihood", "bernoulli"], "between 7 and 7"),
        ({"x": np.zeros((0, 4))}, [], "0 example"),
        ({"z": np.zeros((9, 4))}, [], "z"),
    ],
)
def test_data_that_cannot_be_learned_are_refused(tmp_path, capsys, values, arguments, words):
    np.savez(tmp_path / "bad.npz", **values)
    assert command(tmp_path / "bad.npz", tmp_path / "out", *arguments) == 2
    assert words in sentence(capsys)
    assert not (tmp_path / "out").exists()


def test_images_of_mixed_sizes_are_refused(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    for number, size in enumerate([(4, 4), (4, 5)]):
        Image.new("L", size).save(tmp_path / "images" / f"{number}.png")
    assert command(tmp_path / "images", tmp_path / "out") == 2
    assert "1.png" in sentence(capsys)


@pytest.mark.parametrize(
    "flag",
    [
        ["--K", "ten"],
        ["--colour", "red"],
        ["--seed", "-1"],
        ["--seed", str(2**32)],
    ],
)
def test_an_unknown_flag_or_value_is_told_by_the_parser(flag, capsys):
    with pytest.raises(SystemExit) as stop:
        run.main(flag)
    assert stop.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_an_unwritable_folder(data, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert command(data, tmp_path / "file" / "out") == 2
    assert "cannot be written" in sentence(capsys)


def test_a_folder_of_something_else_is_left_alone(data, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("precious")
    assert command(data, tmp_path) == 2
    assert "holds no run" in sentence(capsys)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_folders_that_hold_no_whole_model(finished, tmp_path, capsys):
    out = f"{tmp_path}/x.png"
    assert sample.main([f"{tmp_path}/missing", "--out", out]) == 2
    assert "is not a folder" in sentence(capsys)
    (tmp_path / "foreign").mkdir()
    assert sample.main([f"{tmp_path}/foreign", "--out", out]) == 2
    assert "holds no saved model" in sentence(capsys)
    assert not list((tmp_path / "foreign").iterdir())
    cut = tmp_path / "cut"
    shutil.copytree(finished, cut)
    for path in (cut / "checkpoints").glob("*/params/*/[0-9]*"):
        os.truncate(path, path.stat().st_size // 2)
    assert sample.main([str(cut), "--out", out]) == 2
    assert "is damaged" in sentence(capsys)
    assert sample.main([str(finished), "--category", "3", "--out", out]) == 2
    assert "3 categories, 0 to 2" in sentence(capsys)
    assert sample.main([str(finished), "--out", f"{tmp_path}/x.gif"]) == 2
    assert "must end in" in sentence(capsys)
    assert not Path(out).exists()


def test_diverged_training_keeps_the_best_and_tells_why(data, tmp_path, capsys):
    out = tmp_path / "out"
    assert command(data, out, "--learning-rate", "1e8", "--epochs", "30") == 2
    text = sentence(capsys)
    assert "training diverged: 5 steps in a row" in text
    assert "smaller --learning-rate than 1e+08" in text
    assert "the data range from 0 to 229" in text
    params = cpvae_jax.load(out)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(params))


def test_training_that_comes_apart_with_finite_numbers_is_told():
    def line(epoch, bound, best, skipped=0, beta=1.0):
        names = ("epoch", "train_bound", "best_epoch", "skipped", "beta")
        return dict(zip(names, (epoch, bound, best, skipped, beta), strict=True))

    steady = [line(1, -120.0, 1), line(2, -100.0, 2), line(3, -101.0, 2)]
    assert diagnosis.came_apart(steady, 0) is None
    apart = [*steady, line(4, -150.0, 2, skipped=3)]
    assert "after epoch 2: the bound of the training data fell from -100.00 to -150.00" in (
        diagnosis.came_apart(apart, 0)
    )
    warming = [line(1, -35.0, 1, beta=0.01), line(2, -49.0, 1, beta=0.02)]
    assert diagnosis.came_apart(warming, 0) is None
    assert diagnosis.skips(steady) is None
    assert "3 steps without finite numbers were skipped, first in epoch 4" in diagnosis.skips(apart)


def test_the_synthetic_mixture_gets_its_histograms(tmp_path):
    arguments = ["--num", "500", "--means", "0", "3", "--stds", "0.2", "0.2", "--epochs", "2"]
    out = tmp_path / "out"
    assert command("synthetic", out, *arguments, "--weights", "0.5", "0.5") == 0
    assert (out / "pictures" / "densities.png").exists()
    distances = json.loads((out / SCORES).read_text())["seeds"][0]["wasserstein"]
    assert set(distances) == {"aggregate", "uniform", "floor"}
    assert 0 < distances["floor"] < 0.2
