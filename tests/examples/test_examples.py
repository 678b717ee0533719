"""The programs in examples/, with fewer steps."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

EXAMPLES = Path(__file__).parents[2] / "examples"

few_epochs = pytest.mark.filterwarnings("ignore:the categories carry:RuntimeWarning")
"""A few epochs may be too few for categories that mean something."""


def program(name):
    """The functions of an example."""
    return runpy.run_path(str(EXAMPLES / name))


def test_the_paper_in_one_file(tmp_path, capsys):
    bound, samples = program("paper.py")["main"](tmp_path / "modes.png", steps=50)
    lines = capsys.readouterr().out.splitlines()
    bounds = [float(line.split()[-2]) for line in lines]
    assert bounds[-1] == round(bound, 2)
    assert bounds == sorted(bounds), "the bound rises"
    assert samples.shape == (10, 12, 8, 8)
    assert np.isfinite(samples).all()
    with Image.open(tmp_path / "modes.png") as picture:
        assert picture.size == (960, 800)


@pytest.mark.slow
@few_epochs
def test_replay_keeps_what_fine_tuning_forgets(capsys):
    found = program("replay.py")["main"](steps=300, K=5, hidden=(32,))
    _, tuned, replayed, _ = found.values()
    assert replayed["bound of old"] > tuned["bound of old"] + 1
    assert replayed["reconstruction of old"] > tuned["reconstruction of old"] + 1
    assert replayed["old in samples"] > tuned["old in samples"] + 0.2
    assert "then 5 to 9, with replay" in capsys.readouterr().out


def example_table(name):
    """A real table beside the checkout; skips the test, loudly, if it is not there."""
    path = EXAMPLES.parents[1] / "shared/data/tables" / name
    if not path.is_file():
        pytest.skip(f"THE EXAMPLE IS NOT TESTED: there is no {path}")
    return path


@pytest.mark.parametrize("name", ["faces", "paper", "pendigits", "penguins", "replay", "texts"])
def test_examples_are_short_and_say_how_they_are_called(name):
    text = (EXAMPLES / f"{name}.py").read_text()
    assert len(text.splitlines()) <= 100
    assert name == "paper" or f"\n    python examples/{name}.py" in text


@pytest.mark.slow
@few_epochs
def test_penguins(capsys):
    pytest.importorskip("pandas")
    agreements = program("penguins.py")["main"](example_table("penguins.csv"), epochs=30)
    assert min(agreements) > 0.5, "the start finds the groups; five thousand steps are not needed"
    printed = capsys.readouterr().out
    for word in ("island categorical", "sex binary", "New", "hidden before training"):
        assert word.lower() in printed.lower()


@pytest.mark.slow
@few_epochs
def test_pendigits(tmp_path, capsys):
    path = example_table("pendigits.csv")
    found, strokes = program("pendigits.py")["main"](path, K=3, epochs=2, out=tmp_path / "pen.png")
    assert strokes.shape == (found.categories, 12, 16)
    assert np.isfinite(strokes).all()
    assert "accuracy of the test rows" in capsys.readouterr().out
    with Image.open(tmp_path / "pen.png") as picture:
        assert picture.width > 100


@pytest.fixture
def photographs(tmp_path):
    """No faces: cuts of several sizes from the two photographs that scikit-learn has."""
    rng = np.random.default_rng(0)
    for number, pixels in enumerate(load_sample_images().images):
        for cut in range(20):
            size = rng.integers(30, 60, 2)
            top, left = rng.integers(0, 300, 2)
            path = tmp_path / "photographs" / str(number) / f"{cut}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cutting = pixels[top : top + size[0], left : left + size[1]]
            Image.fromarray(cutting).save(path)
    return tmp_path / "photographs"


@pytest.mark.slow
@few_epochs
def test_faces_takes_photographs_of_any_size(photographs, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CPVAE_JAX_CACHE", str(tmp_path / "cache"))
    main, out = program("faces.py")["main"], tmp_path / "faces.png"
    _, samples = main(photographs, resize="12x8", epochs=2, out=out)
    assert samples.shape == (2, 12, 8, 12, 3)
    printed = capsys.readouterr().out
    assert "scaled and cut to 12x8 pixels" in printed
    assert "agreement with the subfolders" in printed
    with Image.open(out) as picture:
        assert picture.size == (12 * 14 * 3, 2 * 10 * 3)


@pytest.mark.slow
@few_epochs
def test_texts(capsys):
    pytest.importorskip("pandas")
    model, words = program("texts.py")["main"](epochs=2, words=40, K=3)
    assert {column.kind for column in model.columns_} == {"count"}
    assert set(words) == {0, 1, 2}
    assert all(len(each) == 8 for each in words.values())
    assert "normalised mutual information" in capsys.readouterr().out
