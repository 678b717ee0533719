"""`--K auto` and `--K 2-20`: a run that chooses its number of categories."""

import json
import signal

import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import registry
from cpvae_jax.commands import choosing, fit, main, settings
from cpvae_jax.evaluation import overlap
from cpvae_jax.storage.run_folder import CONFIG, LOG, SCORES
from cpvae_jax.training import callbacks
from tests.running import message

SMALL = [
    *("--latent", "2", "--hidden", "4", "--quiet", "--epochs", "3", "--warmup", "1"),
    *("--temperature-epochs", "1", "--recipe", "paper"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A table of two clusters."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)) + 6 * rng.integers(0, 2, 120)[:, None]
    path = tmp_path_factory.mktemp("data") / "table.npz"
    np.savez(path, x=x.astype(np.float32))
    return path


def command(*arguments):
    return main.main(["fit", *map(str, arguments), *SMALL])


class Kill(callbacks.Callback):
    """Ends the first epoch of K = 2 with SIGTERM."""

    def epoch(self, run):
        if run.config.K == 2 and run.epoch == 1:  # a second signal would end the tests
            signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def kill():
    callbacks.register("kill", Kill)
    yield
    registry.CALLBACKS.forget("kill")


@pytest.mark.slow
def test_a_killed_selection_resumes_and_becomes_a_run_like_any_other(
    data, tmp_path, capsys, kill, monkeypatch
):
    mixed = np.array([[0.6, 0.4], [0.4, 0.6]])  # of K = 2: one category after all
    monkeypatch.setattr(overlap, "mixed_up", lambda params, key: mixed[: params.config.K])
    out = tmp_path / "run"
    assert command(data, "--K", "1-2", "--out", out, "--callback", "kill") == 128 + signal.SIGTERM
    assert "with --resume continues" in capsys.readouterr().out
    assert (out / "selection" / "K001" / "checkpoints").is_dir()
    assert not (out / choosing.RESULT).exists()
    assert json.loads((out / CONFIG).read_text())["model"]["K"] == "1-2"

    assert command(data, "--K", "1-3", "--out", out, "--resume") == 2  # another range
    assert "other settings (different: model)" in message(capsys)

    assert command(data, "--K", "1-2", "--out", out, "--resume") == 0
    printed = capsys.readouterr().out
    assert "K = 1, finished after 3 epochs" in printed
    assert "K = 2\n" in printed
    found = json.loads((out / choosing.RESULT).read_text())
    assert [row["K"] for row in found["table"]] == [1, 2]
    K = found["K"]
    assert f"chosen: K = {K}" in printed
    assert found["categories"] == 1
    assert len(found["merges"]) == K - 1
    params = cpvae_jax.load(out)
    assert (params.config.K, params.config.categories) == (K, 1)
    scores = json.loads((out / SCORES).read_text())
    assert (scores["config"]["model"]["K"], scores["config"]["K_from"]) == (K, "1-2")
    assert len((out / LOG).read_text().splitlines()) == 3
    assert (out / "pictures" / "selection.png").is_file()
    drawn = tmp_path / "drawn.npz"
    assert (
        main.main(["sample", str(out), "--category", "0", "--num", "3", "--out", str(drawn)]) == 0
    )
    assert np.load(drawn)["x"].shape == (3, 3)


def test_flags_are_read_and_written():
    for given, model, numbers in (
        ("7", {"K": 7}, None),
        ("auto", {}, "auto"),
        ("2-9", {}, "2-9"),
    ):
        job = fit.parse(["data.npz", "--K", given])
        assert (dict(job.model), job.numbers) == (model, numbers)
        assert fit.written(job) == ["--K", given]
        assert fit.parse(["data.npz", *fit.written(job)]) == job
    assert choosing.tried("2-9") == range(2, 10)
    config = cpvae_jax.Config(shape=(2,))
    assert settings.default_path(job, config).name == "data-K2-9-seed0"


@pytest.mark.parametrize("given", ["all", "9-2", "0-3", "2-", "2.5", ""])
def test_what_is_no_number_and_no_range_is_refused(given, capsys):
    with pytest.raises(SystemExit):
        fit.parse(["data.npz", f"--K={given}"])
    assert "K" in capsys.readouterr().err


def test_a_prior_without_categories_has_no_number_to_choose(data, tmp_path, capsys):
    out = tmp_path / "run"
    assert command(data, "--K", "auto", "--prior", "vae", "--out", out) == 2
    assert "'vae' has a single component" in message(capsys)
    assert not out.exists()
