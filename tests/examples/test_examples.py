"""The programs in examples/, with fewer steps."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

EXAMPLES = Path(__file__).parents[2] / "examples"


def program(name):
    """The functions of an example."""
    return runpy.run_path(str(EXAMPLES / name))


def test_the_paper_in_one_file(tmp_path, capsys):
    assert len((EXAMPLES / "paper.py").read_text().splitlines()) <= 100
    bound, samples = program("paper.py")["main"](tmp_path / "modes.png", steps=50)
    lines = capsys.readouterr().out.splitlines()
    bounds = [float(line.split()[-2]) for line in lines]
    assert bounds[-1] == round(bound, 2)
    assert bounds == sorted(bounds), "the bound rises"
    assert samples.shape == (10, 12, 8, 8)
    assert np.isfinite(samples).all()
    with Image.open(tmp_path / "modes.png") as picture:
        assert picture.size == (960, 800)


# 300 steps are too few for categories that mean something.
@pytest.mark.filterwarnings("ignore:the categories carry:RuntimeWarning")
def test_replay_keeps_what_fine_tuning_forgets(capsys):
    found = program("replay.py")["main"](steps=300, K=5, hidden=(32,))
    _, tuned, replayed, _ = found.values()
    assert replayed["bound of old"] > tuned["bound of old"] + 1
    assert replayed["reconstruction of old"] > tuned["reconstruction of old"] + 1
    assert replayed["old in samples"] > tuned["old in samples"] + 0.2
    assert "then 5 to 9, with replay" in capsys.readouterr().out
