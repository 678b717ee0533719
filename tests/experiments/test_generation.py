"""Classifier and generation scores, on the embedded digits."""

import json
import shutil

import jax
import matplotlib.image
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax.keys import purpose
from cpvae_jax.storage import run_folder
from experiments import classifier, generation, judge
from experiments.data import load
from experiments.judge import Judge
from tests.running import copied


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
    key = purpose(jax.random.key(0), "generation picture")
    x = cpvae_jax.sample(cpvae_jax.load(finished), key, num=36)
    assert picture.shape == (6 * 9, 6 * 9)
    np.testing.assert_allclose(picture[-8:, -8:], x[-1], atol=0.51 / 255)
    table = capsys.readouterr().out.replace(" ‡", "")
    assert f"| short | {scores['frechet']['mean']:.2f} ± {scores['frechet']['std']:.2f} |" in table
    assert table.index("| short |") < table.index("| real, held out |")
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "scores").iterdir()}
    assert generation.main(flags) == 0
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "scores").iterdir()} == times

    capsys.readouterr()
    assert generation.main(["--out", str(tmp_path / "scores")]) == 0  # no runs: it only prints
    assert capsys.readouterr().out.replace(" ‡", "") in table


def test_weights_of_the_categories_are_shown_and_kept_apart(
    judge_folder, finished, tmp_path, capsys
):
    flags = [str(finished), "--classifier", str(judge_folder), "--num", "200", "--draws", "2"]
    found = {}
    for weights in ("uniform", "aggregate"):
        out = tmp_path / weights
        assert generation.main([*flags, "--out", str(out), "--weights", weights]) == 0
        assert f"| short, {weights} |" in capsys.readouterr().out.replace(" ‡", "")
        found[weights] = json.loads((out / "digits-short.json").read_text())
    assert found["uniform"]["frechet"] != found["aggregate"]["frechet"]
    assert generation.main([*flags, "--out", str(tmp_path / "by-itself")]) == 0
    by_itself = json.loads((tmp_path / "by-itself" / "digits-short.json").read_text())
    assert by_itself["frechet"] == found["aggregate"]["frechet"]  # CP's own way
    assert generation.main([*flags, "--out", str(tmp_path / "uniform")]) == 2
    assert "with other --weights" in capsys.readouterr().err


@pytest.fixture
def scoring(monkeypatch, judge_folder, tmp_path):
    """The command with few images; each run's score is the mean of its samples."""
    monkeypatch.setattr(
        generation.judge,
        "score",
        lambda params, by, key, **how: {
            "frechet": {"mean": float(cpvae_jax.sample(params, key, num=500).mean()), "std": None},
            "purity": {"mean": 0.5, "std": None},
        },
    )
    monkeypatch.setattr(
        generation, "_reals", lambda by, options: {"ceiling": {}, "seen": {}, "floor": {}}
    )
    out = tmp_path / "scores"
    flags = ["--classifier", str(judge_folder), "--out", str(out), "--num", "100", "--draws", "1"]

    def run(*arguments):
        code = generation.main([*map(str, arguments), *flags])
        return code, {p.stem: json.loads(p.read_text()) for p in sorted(out.glob("*.json"))}

    return run


def test_runs_in_folders_of_one_name_have_their_own_files(finished, scoring, tmp_path, capsys):
    a, b = (copied(finished, tmp_path / name / "x", by) for name, by in (("a", 1.0), ("b", -1.0)))
    (tmp_path / "link").symlink_to(a)
    code, found = scoring(a, b, tmp_path / "link")
    assert code == 0
    assert set(found) == {"a-x", "b-x", "digits-real"}
    assert found["a-x"]["frechet"]["mean"] > found["b-x"]["frechet"]["mean"]
    out, error = capsys.readouterr()
    assert f"link is the same run as {a}; it counts once." in error
    assert "| a-x " in out
    assert "| b-x " in out
    assert "†" not in out
    assert (tmp_path / "scores" / "a-x.png").exists()


def test_scores_of_another_run_of_that_name_are_neither_kept_nor_overwritten(
    finished, scoring, tmp_path, capsys
):
    a, b = (copied(finished, tmp_path / name / "x", by) for name, by in (("a", 1.0), ("b", -1.0)))
    assert scoring(a)[0] == 0
    capsys.readouterr()
    code, before = scoring(b)
    assert code == 2
    assert "x.json holds the scores of another run of that name" in capsys.readouterr().err
    code, after = scoring(a, b)  # both: the first keeps its file
    assert code == 0
    assert set(after) == {"x", "b-x", "digits-real"}
    assert after["x"] == before["x"]
    moved = tmp_path / "moved"
    shutil.move(a, moved)
    assert scoring(moved)[1] == after
    assert f"{moved} scored, in {tmp_path / 'scores' / 'x.json'}" in capsys.readouterr().out
    shutil.rmtree(moved)
    copied(finished, a, 0.5)  # trained again in the same place
    assert scoring(a)[0] == 2


PLAIN = {"--num": "100", "--draws": "1"}


@pytest.mark.parametrize("flags", [["--num", "200"], ["--draws", "2"], ["--seed", "1"]])
def test_scores_with_other_options_are_not_taken_for_those_asked_for(
    finished, judge_folder, scoring, tmp_path, capsys, flags
):
    assert scoring(finished)[0] == 0
    capsys.readouterr()
    common = ["--classifier", str(judge_folder), "--out", str(tmp_path / "scores")]
    asked = [f"{name}={value}" for name, value in {**PLAIN, flags[0]: flags[1]}.items()]
    assert generation.main([str(finished), *common, *asked]) == 2
    assert f"holds scores of the same run with other {flags[0]};" in capsys.readouterr().err


def test_a_run_cannot_take_the_name_of_the_real_images(finished, scoring, tmp_path):
    run = copied(finished, tmp_path / "sweep" / "digits-real")
    code, found = scoring(run)
    assert code == 0
    assert set(found) == {"sweep-digits-real", "digits-real"}
    assert "frechet" not in found["digits-real"]


def test_files_of_earlier_versions_pass_for_those_of_their_name(finished, scoring, tmp_path):
    (tmp_path / "scores").mkdir()
    old = {"frechet": {"mean": 3.0, "std": 0.5}, "classifier": {"data": "digits"}, "num": 100}
    (tmp_path / "scores" / "digits-short.json").write_text(json.dumps(old))
    code, found = scoring(finished)
    assert code == 0
    assert found["digits-short"] == old


@pytest.mark.parametrize("K", [2, 7])
def test_purity_takes_equally_many_samples_of_each_category(judge_folder, grey, K, monkeypatch):
    config = cpvae_jax.Config(shape=grey.shape, K=K, latent=2, hidden=(4,), likelihood="gaussian")
    params = cpvae_jax.initialise(jax.random.key(0), config, grey.train)
    by = Judge(grey, classifier.read(judge_folder))
    seen = []
    monkeypatch.setattr(judge, "NUM", 300)  # the pieces that are drawn at once
    monkeypatch.setattr(
        judge.samples,
        "purity",
        lambda classes, categories: seen.append((classes, categories)) or 1.0,
    )
    assert judge.score(params, by, jax.random.key(1), num=100, draws=1)["purity"]["mean"] == 1
    ((classes, categories),) = seen
    assert np.bincount(categories).tolist() == [judge.samples.PER_CATEGORY] * K
    assert classes.shape == categories.shape


def test_marks_tell_an_old_purity_and_a_modified_source(tmp_path):
    def write(name, commit, **more):
        scores = {"frechet": {"mean": 1.0, "std": 0.1}, "purity": {"mean": 0.5, "std": 0.1}}
        about = {"classifier": {"data": "digits"}, "session": {"commit": commit}}
        (tmp_path / f"digits-{name}.json").write_text(json.dumps({**scores, **about, **more}))

    new = {"purity_samples_per_category": 200}
    write("cp-seed0", "ab", **new)
    write("mg-seed0", "ab")
    write("vp-seed0", "ab", **new)
    write("vp-seed1", "cd+")
    text = generation.tables(tmp_path)
    cp, mg, vp = text.splitlines()[2:5]
    assert cp.startswith("| cp | ")
    assert cp.endswith("| 0.500 ± 0.100 |")
    assert mg.startswith("| mg | ")
    assert mg.endswith("| 0.500 ± 0.100 † |")
    assert vp.startswith("| vp, 2 seeds ‡ | ")
    assert vp.endswith("| 0.500 (1) |")  # no mean of two kinds
    assert "\n\n† With a file in which" in text
    assert "\n\n‡ With a file from" in text


def test_seeds_with_other_settings_do_not_share_a_row(tmp_path):
    def write(name, settings):
        run = {"model": name, "settings": settings}
        found = {"frechet": {"mean": 1.0, "std": 0.1}, "classifier": {"data": "digits"}, "run": run}
        (tmp_path / f"{name}.json").write_text(json.dumps(found))

    write("x-seed0", "one")
    write("x-seed1", "one")

    def titles():
        return [line.split(" | ")[0] for line in generation.tables(tmp_path).splitlines()[2:]]

    assert titles() == ["| x, 2 seeds"]
    write("x-seed2", "two")
    assert titles() == ["| x (x-seed0, x-seed1), 2 seeds", "| x (x-seed2)"]


def test_files_of_earlier_versions_share_the_row_of_their_model(tmp_path):
    found = {"frechet": {"mean": 1.0, "std": 0.1}, "classifier": {"data": "digits"}}
    (tmp_path / "x-seed0.json").write_text(json.dumps(found))
    found["run"] = {"model": "a", "settings": "one"}
    (tmp_path / "x-seed1.json").write_text(json.dumps(found))
    assert "| x, 2 seeds |" in generation.tables(tmp_path)


def test_seeds_of_a_model_share_a_row(tmp_path):
    def write(name, frechet):
        purity = {} if "vae" in name else {"purity": {"mean": 0.5, "std": 0.01}}
        scores = {"frechet": {"mean": frechet, "std": 0.25}, **purity}
        about = {"classifier": {"data": "digits"}}
        (tmp_path / f"digits-{name}.json").write_text(json.dumps({**scores, **about}))

    for name, frechet in (("cp-K5-seed0", 3.0), ("cp-K5-seed1", 5.0), ("vae-K1-seed4", 7.0)):
        write(name, frechet)
    _, _, two, one = generation.tables(tmp_path).splitlines()[:4]
    assert two.split(" | ")[:2] == ["| cp-K5, 2 seeds", "4.00 ± 1.41"]
    assert two.endswith("0.500 ± 0.000 † |")
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
