"""Classifier and generation scores, on the embedded digits."""

import json
from dataclasses import replace

import jax
import matplotlib.image
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax.storage import run_folder
from experiments import classifier, generation, judge
from experiments.data import load
from experiments.judge import Judge


@pytest.fixture(scope="module")
def judge_folder(tmp_path_factory):
    """The folder of a classifier that the command trained."""
    out = tmp_path_factory.mktemp("classifier")
    assert classifier.main(["--dataset", "digits", "--epochs", "40", "--out", str(out)]) == 0
    return out


def test_the_classifier_learns_and_reads_back_as_it_was_written(judge_folder, tmp_path):
    data, found = load("digits"), classifier.read(judge_folder)
    classes = found.classify(data.test)
    assert found.about["test_accuracy"] == np.mean(classes == data.test_labels) > 0.9
    assert found.about["session"]["command"] == (
        "python -m experiments.classifier --dataset digits --epochs 40"
    )
    assert found.features(data.test).shape == (len(data.test), 128)
    classifier.save(tmp_path / "copy", found)
    np.testing.assert_array_equal(
        classifier.read(tmp_path / "copy").features(data.test), found.features(data.test)
    )


def test_a_convolution_over_views_is_a_convolution():
    x = jax.random.normal(jax.random.key(0), (2, 7, 10, 3))
    net = classifier.Conv(4, 3)
    weights = net.init(jax.random.key(1), x)
    kernel = weights["params"]["Dense_0"]["kernel"].reshape(3, 3, 3, 4)
    expected = jax.lax.conv_general_dilated(
        x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(net.apply(weights, x), expected, rtol=1e-5, atol=1e-5)


def test_data_that_cannot_be_classified_are_refused(tmp_path, capsys):
    np.savez(tmp_path / "plain.npz", x=np.zeros((50, 6, 6), np.float32))
    np.savez(tmp_path / "rows.npz", x=np.zeros((50, 6), np.float32), y=np.arange(50) % 2)
    for name, words in (("plain", "has no labels"), ("rows", "takes grey images")):
        flags = ["--dataset", str(tmp_path / f"{name}.npz"), "--out", str(tmp_path / "out")]
        assert classifier.main(flags) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["missing", "cut", "shapes"])
def test_a_classifier_that_cannot_be_read_is_refused(judge_folder, tmp_path, damage):
    weights, about = judge_folder / classifier.WEIGHTS, judge_folder / classifier.ABOUT
    (tmp_path / classifier.ABOUT).write_text(
        about.read_text().replace('"classes": 10', f'"classes": {9 if damage == "shapes" else 10}')
    )
    if damage != "missing":
        content = weights.read_bytes()
        (tmp_path / classifier.WEIGHTS).write_bytes(content[: 100 if damage == "cut" else None])
    with pytest.raises(cpvae_jax.UserError, match="holds no readable classifier"):
        classifier.read(tmp_path)


def test_real_images_score_better_than_shuffled_ones(judge_folder):
    by = Judge(load("digits"), classifier.read(judge_folder))
    ceiling, seen, worst = (
        kind(by, 0, num=300, draws=2) for kind in (judge.ceiling, judge.seen, judge.floor)
    )
    assert ceiling["images"] == len(by.data.valid) < 300  # all there are: the same in every draw
    assert ceiling["frechet"]["std"] is None
    assert seen["images"] == worst["images"] == 300
    assert seen["frechet"]["std"] > 0
    for best in (ceiling, seen):
        assert best["frechet"]["mean"] < 0.2 * worst["frechet"]["mean"]
        for name in ("precision", "recall", "density", "coverage"):
            assert best[name]["mean"] > worst[name]["mean"] + 0.2, name
        assert best["class_entropy"]["mean"] == pytest.approx(np.log(10), abs=0.1)


@pytest.fixture(scope="module")
def grey():
    """The digits as grey levels 0 to 255."""
    data = load("digits")
    levels = {name: np.uint8(255 * getattr(data, name)) for name in ("train", "valid", "test")}
    return replace(data, **levels)


@pytest.fixture(scope="module")
def gaussian(grey):
    """A model of grey levels as real numbers; its means lie about those of the data."""
    config = cpvae_jax.Config(shape=grey.shape, K=2, latent=2, likelihood="gaussian")
    return cpvae_jax.initialise(jax.random.key(0), config, grey.train)


def test_a_gaussian_of_grey_levels_is_judged_in_its_unit(judge_folder, grey, gaussian):
    by, key = Judge(grey, classifier.read(judge_folder)), jax.random.key(1)
    scores = judge.score(gaussian, by, key, num=200, draws=1)
    drawn = cpvae_jax.sample(gaussian, jax.random.split(jax.random.split(key, 1)[0])[0], num=200)
    assert drawn.max() > 50
    assert scores["frechet"]["mean"] == by.scores(np.asarray(drawn) / 255)["frechet"]


def test_a_classifier_learns_of_fewer_images_than_a_batch(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "few.npz", x=rng.random((40, 6, 6), np.float32), y=np.arange(40) % 2)
    flags = ["--dataset", str(tmp_path / "few.npz"), "--epochs", "1"]
    assert classifier.main([*flags, "--out", str(tmp_path / "out")]) == 0


def test_the_command_scores_each_run_once(judge_folder, finished, tmp_path, capsys):
    flags = [str(finished), "--classifier", str(judge_folder), "--out", str(tmp_path / "scores")]
    flags += ["--num", "200", "--draws", "2"]
    assert generation.main(flags) == 0
    scores = json.loads((tmp_path / "scores" / "digits-short.json").read_text())
    real = json.loads((tmp_path / "scores" / "digits-real.json").read_text())
    assert scores["frechet"]["mean"] > real["ceiling"]["frechet"]["mean"]
    assert 0 < scores["purity"]["mean"] <= 1
    assert scores["session"]["command"].startswith("python -m experiments.generation")
    picture = matplotlib.image.imread(tmp_path / "scores" / "digits-short.png")
    x = cpvae_jax.sample(cpvae_jax.load(finished), jax.random.key(0), num=36)
    assert picture.shape == (6 * 9, 6 * 9)
    np.testing.assert_allclose(picture[-8:, -8:], x[-1], atol=0.51 / 255)
    table = capsys.readouterr().out
    assert f"| short | {scores['frechet']['mean']:.2f} ± {scores['frechet']['std']:.2f} |" in table
    assert table.index("| short |") < table.index("| real, held out |")
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "scores").iterdir()}
    assert generation.main(flags) == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "scores").iterdir()} == times

    capsys.readouterr()
    assert generation.main(["--out", str(tmp_path / "scores")]) == 0  # no runs: it only prints
    assert capsys.readouterr().out in table


def test_weights_of_the_categories_are_shown_and_kept_apart(
    judge_folder, finished, tmp_path, capsys
):
    flags = [str(finished), "--classifier", str(judge_folder), "--num", "200", "--draws", "2"]
    found = {}
    for weights in ("uniform", "aggregate"):
        out = tmp_path / weights
        assert generation.main([*flags, "--out", str(out), "--weights", weights]) == 0
        assert f"| short, {weights} |" in capsys.readouterr().out
        found[weights] = json.loads((out / "digits-short.json").read_text())
    assert found["uniform"]["frechet"] != found["aggregate"]["frechet"]
    assert generation.main([*flags, "--out", str(tmp_path / "by-itself")]) == 0
    by_itself = json.loads((tmp_path / "by-itself" / "digits-short.json").read_text())
    assert by_itself["frechet"] == found["aggregate"]["frechet"]  # CP's own way
    assert generation.main([*flags, "--out", str(tmp_path / "uniform")]) == 2
    assert "with other --weights" in capsys.readouterr().err


def test_seeds_of_a_model_share_a_row(tmp_path):
    def write(name, frechet):
        purity = {} if "vae" in name else {"purity": {"mean": 0.5, "std": 0.01}}
        scores = {"frechet": {"mean": frechet, "std": 0.25}, **purity}
        about = {"classifier": {"data": "digits"}}
        (tmp_path / f"digits-{name}.json").write_text(json.dumps({**scores, **about}))

    for name, frechet in (("cp-K5-seed0", 3.0), ("cp-K5-seed1", 5.0), ("vae-K1-seed4", 7.0)):
        write(name, frechet)
    _, _, two, one = generation.tables(tmp_path).splitlines()
    assert two.split(" | ")[:2] == ["| cp-K5, 2 seeds", "4.00 ± 1.41"]
    assert two.endswith("0.500 ± 0.000 |")
    assert one.split(" | ")[:2] == ["| vae-K1", "7.00 ± 0.25"]


def test_a_run_on_other_data_and_a_folder_without_a_run_are_refused(
    judge_folder, finished, tmp_path, capsys
):
    flags = ["--classifier", str(judge_folder), "--out", str(tmp_path / "scores")]
    other = tmp_path / "other"
    other.mkdir()
    (other / run_folder.SCORES).write_text("{}")
    (other / run_folder.CONFIG).write_text('{"dataset": "mnist"}')
    assert generation.main([str(finished), "--out", str(tmp_path / "scores")]) == 2
    assert "--classifier is not given" in capsys.readouterr().err
    for path, words in ((other, "is a run on mnist"), (tmp_path, "holds no finished run")):
        assert generation.main([str(path), *flags]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "scores").exists()
