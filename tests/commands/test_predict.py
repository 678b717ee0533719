"""The command `predict` on arrays and folders of images."""

import jax
import numpy as np
import pandas
import pytest
from PIL import Image

import cpvae_jax
from cpvae_jax import Config
from cpvae_jax.commands import impute, main, predict, sample
from cpvae_jax.commands.job import kind_of_column
from cpvae_jax.data import rows as rows_of_files
from cpvae_jax.evaluation import rows
from cpvae_jax.keys import purpose
from cpvae_jax.storage.run_folder import CONFIG
from tests.running import message

BOUND = purpose(jax.random.key(0), "test bound")
X = np.random.default_rng(0).normal([1.0, -40.0, 7.0], [1.0, 5.0, 2.0], (70, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """The folder of a model of three numbers, and the model."""
    config = Config(shape=(3,), K=3, latent=2, hidden=(8,), likelihood="gaussian")
    params = cpvae_jax.initialise(jax.random.key(0), config, X)
    folder = tmp_path_factory.mktemp("models") / "numbers"
    cpvae_jax.save(folder, params)
    return folder, params


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The folder of a model of 6 x 6 images in grey levels, and the model."""
    config = Config(shape=(6, 6), K=2, latent=2, hidden=(8,))
    params = cpvae_jax.initialise(jax.random.key(0), config)
    folder = tmp_path_factory.mktemp("models") / "images"
    cpvae_jax.save(folder, params)
    return folder, params


def predicted(model, data, out, *arguments):
    assert predict.main([str(model), str(data), "--out", str(out), *arguments]) == 0
    return pandas.read_csv(out)


def agree(found, params, x):
    probs = found[[name for name in found if name.startswith("probability_")]].to_numpy()
    np.testing.assert_allclose(probs, cpvae_jax.predict(params, x), atol=1e-6)
    assert found["category"].tolist() == probs.argmax(axis=1).tolist()
    np.testing.assert_allclose(found["bound"], rows.bounds(params, BOUND, x), rtol=1e-4)


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "parts.npz", "folder"])
def test_arrays_are_predicted_in_their_order(numbers, tmp_path, monkeypatch, name):
    folder, params = numbers
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "x.npz", X=X, target=np.arange(70))
    np.savez(tmp_path / "parts.npz", x_train=X[:50], x_val=X[50:60], x_test=X[60:])
    (tmp_path / "folder").mkdir()
    for part, values in {"train": X[:50], "valid": X[50:60], "test": X[60:]}.items():
        np.save(tmp_path / "folder" / f"{part}.npy", values)
    monkeypatch.setattr(rows_of_files, "BLOCK", 200)  # several batches
    found = predicted(folder, tmp_path / name, tmp_path / "out.csv")
    assert found["row"].tolist() == list(range(70))
    assert "unusual" not in found
    agree(found, params, X)


def test_a_folder_of_images_of_any_size(images, tmp_path):
    folder, params = images
    given, rng = tmp_path / "pictures", np.random.default_rng(0)
    (given / "cats").mkdir(parents=True)
    for name, shape in {"b.png": (12, 12), "cats/c.png": (6, 6), "a.png": (9, 6)}.items():
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(given / name)
    cache = ("--cache-dir", str(tmp_path / "cache"))
    found = predicted(folder, given, tmp_path / "out.csv", "--resize", "6", *cache)
    assert found["row"].tolist() == ["a.png", "b.png", "cats/c.png"]
    same = np.asarray(Image.open(given / "cats" / "c.png"))[None]
    agree(found[2:].reset_index(drop=True), params, same)


def test_the_size_of_a_run_is_that_of_its_images(images, tmp_path, capsys):
    _, params = images
    run, given = tmp_path / "run", tmp_path / "pictures"
    cpvae_jax.save(run / "checkpoints", params)
    given.mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (12, 18), np.uint8)
        Image.fromarray(pixels).save(given / f"{number}.png")
    command = [str(run), str(given), "--out", f"{tmp_path}/out.csv", "--cache-dir", f"{tmp_path}/c"]
    assert predict.main(command) == 2
    assert "takes examples of shape (B, 6, 6)" in message(capsys)
    (run / CONFIG).write_text('{"resize": "6"}')
    assert predict.main(command) == 0
    assert len(pandas.read_csv(tmp_path / "out.csv")) == 2


def test_data_that_do_not_suit_the_model_are_refused(numbers, images, tmp_path, capsys):
    out = f"{tmp_path}/out.csv"
    np.save(tmp_path / "x.npy", X[:, :2])
    assert predict.main([str(numbers[0]), f"{tmp_path}/x.npy", "--out", out]) == 2
    assert "x has the shape (70, 2); this model takes examples of shape (B, 3)" in message(capsys)
    (tmp_path / "mine.csv").write_text("a,b,c\n1,2,3\n4,5,6\n")
    assert predict.main([str(numbers[0]), f"{tmp_path}/mine.csv", "--out", out]) == 2
    assert "is a table, but the model was trained on an array without names" in message(capsys)
    assert impute.main([str(numbers[0]), f"{tmp_path}/x.npy", "--out", out]) == 2
    assert "is no table; only tables have gaps to fill" in message(capsys)
    assert sample.main([str(numbers[0]), "--out", out]) == 2
    assert "was trained on an array without names of columns" in message(capsys)
    (tmp_path / "hurt.npz").write_text("hello")
    assert predict.main([str(numbers[0]), f"{tmp_path}/hurt.npz", "--out", out]) == 2
    assert "hurt.npz is not an .npz file" in message(capsys)
    assert predict.main([str(images[0]), f"{tmp_path}/x.npy", "--resize", "0", "--out", out]) == 2
    message(capsys)
    assert list(tmp_path.glob("*.csv")) == [tmp_path / "mine.csv"]


def test_the_commands_are_listed(capsys):
    with pytest.raises(SystemExit) as found:
        main.main(["--help"])
    assert found.value.code == 0
    text = capsys.readouterr().out
    assert "predict" in text
    assert "impute" in text


def test_a_kind_may_follow_a_name_with_an_equals_sign():
    assert kind_of_column("a=b=ordinal") == ("a=b", "ordinal")
