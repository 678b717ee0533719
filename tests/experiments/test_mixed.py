"""Tables with columns of several kinds: the command, and a Gaussian's probabilities of levels."""

import json

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax.columns import Column
from cpvae_jax.registry import LIKELIHOODS
from experiments import levels, mixed
from tests.docs.pages import ROOT
from tests.running import message


@pytest.fixture
def command(tmp_path):
    def run(*flags):
        return mixed.main(
            ["--manual-dir", str(tmp_path), "--results", str(tmp_path / "results"), *flags]
        )

    return run


def test_what_is_missing_is_measured_once_and_written(command, tmp_path, monkeypatch, capsys):
    asked = []

    def measured(folder, seed):
        asked.append((folder, seed))
        return {"errors": {"cpvae": {"numbers": 0.5 + seed, "levels": 0.25}}}

    monkeypatch.setitem(mixed.PARTS, "penguins-gaps", measured)
    for name in {*mixed.PARTS} - {"penguins-gaps"}:
        for seed in range(2):
            path = tmp_path / "results" / f"{name}-seed{seed}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text((ROOT / f"results/mixed/{path.name}").read_text())
    assert command("--seeds", "2") == 0
    assert command("--seeds", "2") == 0
    assert asked == [(tmp_path, 0), (tmp_path, 1)]
    found = json.loads((tmp_path / "results/penguins-gaps-seed1.json").read_text())
    assert found["seed"] == 1
    assert "| cpvae | 1.000 ± 0.707 | 0.250 ± 0.000 |" in capsys.readouterr().out


def test_the_table_is_that_of_the_files(capsys):
    flags = ["--manual-dir", ".", "--results", str(ROOT / "results/mixed"), "--print"]
    assert mixed.main(flags) == 0
    out = capsys.readouterr().out
    files = sorted((ROOT / "results/mixed").glob("mushroom-seed*.json"))
    bounds = [json.loads(path.read_text())["mixed"]["bound"] for path in files]
    assert len(bounds) == 3
    assert f"| mixed | {np.mean(bounds):.2f} ± {np.std(bounds, ddof=1):.2f} |" in out


def test_a_folder_without_results_has_no_table(command, capsys):
    assert command("--print") == 2
    assert "holds no results; run without --print first" in message(capsys)


def test_the_probabilities_of_all_levels_sum_to_one(shaken):
    """Of a Gaussian on one-hot columns, whatever the output is."""
    columns = (Column("a", "categorical", ("x", "y", "z")), Column("b", "binary", ("no", "yes")))
    rows = np.array([[*np.eye(3)[i], j] for i in range(3) for j in range(2)], np.float32)
    config = cpvae_jax.Config(shape=(4,), K=2, latent=1, hidden=(4,), likelihood="gaussian")
    params = levels.with_levels(shaken(config, data=rows), columns)
    likelihood = cpvae_jax.likelihoods.of(params.config)
    x = likelihood.prepare(params.likelihood, rows)
    output = jax.random.normal(jax.random.key(0), (1, 4, 1))
    log_p = likelihood.log_prob(params.config, params.likelihood, output, x)
    assert np.exp(log_p).sum() == pytest.approx(1, abs=1e-5)
    LIKELIHOODS.forget(params.config.likelihood)
