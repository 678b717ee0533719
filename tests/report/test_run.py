"""A run of the command with labels of every kind, and its warnings."""

import json

import numpy as np
import pytest

from cpvae_jax.commands.main import main
from cpvae_jax.report import baselines, scores
from cpvae_jax.storage.run_folder import SCORES

SMALL = [
    "--recipe",
    "paper",
    "--K",
    "3",
    "--latent",
    "2",
    "--hidden",
    "8",
    "--quiet",
    "--epochs",
    "2",
]
SHORT = ["--warmup", "1", "--temperature-epochs", "1"]
KINDS = np.random.default_rng(0).integers(0, 3, 120)


def run(tmp_path, labels, *arguments):
    """The scores of a run on three well separated groups; `labels` are those of all examples."""
    x = np.random.default_rng(1).normal(size=(120, 2)) + 9 * KINDS[:, None]
    np.savez(tmp_path / "groups.npz", x=x, y=labels)
    out = tmp_path / "run"
    data = str(tmp_path / "groups.npz")
    assert main(["fit", data, "--out", str(out), *SMALL, *arguments]) == 0
    return json.loads((out / SCORES).read_text())


@pytest.mark.parametrize(
    "labels",
    [
        np.where(np.arange(120) % 3 == 0, -1, KINDS + 2_000_000_000),
        np.where(np.arange(120) % 3 == 0, np.nan, KINDS),
    ],
)
def test_examples_without_a_label_are_counted_in_the_file_and_the_summary(tmp_path, capsys, labels):
    (seed,) = run(tmp_path, labels, *SHORT)["seeds"]
    found, printed = seed["clustering"], capsys.readouterr().out
    assert 0 < found["unlabelled"] < 12
    assert found["majority_from"] == "training"
    assert f"; {found['unlabelled']} test example" in printed
    assert "of at most 1.099 nats" in printed
    assert {"effective_number", "largest_share", "information"} < set(seed["categories"])


def test_baselines_are_fitted_once_and_stand_beside_every_seed(tmp_path, capsys, monkeypatch):
    calls, kmeans = [], baselines.FITS[baselines.KMEANS]
    monkeypatch.setitem(baselines.FITS, "kmeans", lambda *of: calls.append(of) or kmeans(*of))
    found = run(tmp_path, KINDS, "--seeds", "2", *SHORT)
    assert len(calls) == 1
    for seed in found["seeds"]:
        assert seed["baselines"]["kmeans"]["accuracy_hungarian"] == 1
        assert seed["baselines"]["kmeans"]["ahead"]["mean"] == pytest.approx(
            1 - seed["clustering"]["accuracy_hungarian"]
        )
        assert ("agrees better" in "".join(seed["warnings"])) == bool(baselines.doubts(seed))
    assert [pair["seeds"] for pair in found["stability"]["pairs"]] == [[0, 1]]
    printed = capsys.readouterr().out
    assert "on the same rows: k-means 1.000, Gaussian mixture 1.000" in printed
    assert f"between seeds: adjusted Rand index {found['stability']['mean']:.3f}" in printed

    again = run(tmp_path, KINDS, "--seeds", "2", *SHORT, "--resume")
    for seed, before in zip(again["seeds"], found["seeds"], strict=True):
        for name, one in seed["baselines"].items():
            assert {**one, "seconds": 0} == {**before["baselines"][name], "seconds": 0}


def test_data_without_any_label_train_and_score(tmp_path, capsys):
    found = run(tmp_path, np.full(120, -1), *SHORT)
    (seed,) = found["seeds"]
    assert "stability" not in found
    assert seed["clustering"] == {"unlabelled": 12}
    assert "none of the 12 test examples has a label" in capsys.readouterr().out


def test_a_run_inside_its_warm_up_says_so_before_training_and_in_its_scores(tmp_path, capsys):
    found = run(tmp_path, KINDS)
    lines = capsys.readouterr().out.splitlines()
    ended = next(i for i, line in enumerate(lines) if line.startswith("trained 2 epochs"))
    before = [line for line in lines[:ended] if line.startswith("note:")]
    after = [line for line in lines[ended:] if line.startswith("note:")]
    assert "is to end after 2 epochs, inside the warm-up of 100" in "".join(before)
    assert "ended after 2 epochs, inside the warm-up of 100" in "".join(after)
    assert [f"note: {text}" for text in found["warnings"]] == after
    assert found["warnings"] == found["seeds"][0]["warnings"]


def test_a_sound_result_has_no_note():
    terms = {name: {"mean": 1.0} for name in ("reconstruction", "kl_c", "kl_z")}
    result = {
        "test_bound": {"mean": 1.0, "standard_error": 0.1},
        "test_terms": terms,
        "categories": {"aggregate": [0.5, 0.5], "effective_number": 2.0, "information": 0.69},
        "warnings": [],
    }
    assert "note" not in scores.summary(result)
    assert "note: beware" in scores.summary({**result, "warnings": ["beware"]})


def test_seeds_without_categories_have_no_stability(tmp_path):
    found = run(tmp_path, KINDS, "--prior", "vae", "--K", "1", "--seeds", "2", *SHORT)
    assert len(found["seeds"]) == 2
    assert "stability" not in found


@pytest.mark.parametrize(("labels", "words"), [(-3, "hold -3"), (0.5, "hold 0.5")])
def test_labels_that_are_none_are_refused_before_training(tmp_path, capsys, labels, words):
    np.savez(tmp_path / "groups.npz", x=np.zeros((120, 2)), y=np.full(120, labels))
    out = tmp_path / "run"
    assert main(["fit", str(tmp_path / "groups.npz"), "--out", str(out), *SMALL]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()
