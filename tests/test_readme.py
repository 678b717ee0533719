"""The README's example of a prior of one's own: run as it stands there."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import priors
from experiments import run, sample

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.fixture
def tied(tmp_path, monkeypatch):
    """The file of the README, and a prior register that forgets it afterwards."""
    monkeypatch.setattr(priors, "PRIORS", dict(priors.PRIORS))
    (code,) = re.findall(r'```python\n("""tied\.py.*?)```', README, re.DOTALL)
    assert len(code.splitlines()) < 40
    path = tmp_path / "tied.py"
    path.write_text(code)
    return path


def test_the_prior_of_the_readme_trains_saves_and_samples_by_category(tied, tmp_path, capsys):
    x = (np.random.default_rng(0).random((60, 4, 4)) < 0.5).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x)
    out = tmp_path / "run"
    flags = ["--latent", "2", "--hidden", "4", "--K", "3", "--epochs", "2", "--quiet"]
    data = ["--dataset", str(tmp_path / "data.npz"), "--out", str(out)]
    assert "--extend tied.py --model tied" in README
    assert run.main([*data, *flags, "--extend", str(tied), "--model", "tied"]) == 0

    params = cpvae_jax.load(out)
    assert params.prior["log_var"].shape == (2,)
    assert np.any(params.prior["log_var"] != 0)
    assert cpvae_jax.sample(params, jax.random.key(0), category=2, num=5).shape == (5, 4, 4)
    assert cpvae_jax.Config(shape=(4, 4), model="htied").model in priors.names()

    picture = tmp_path / "samples.png"
    priors.PRIORS.pop("tied")
    assert sample.main([str(out), "--out", str(picture)]) == 2
    assert "model is 'tied'; choose one of" in capsys.readouterr().err
    assert sample.main([str(out), "--out", str(picture), "--extend", str(tied)]) == 0
    assert picture.exists()


def test_a_file_to_extend_with_that_is_missing_is_told(capsys, tmp_path):
    assert run.main(["--extend", str(tmp_path / "none.py")]) == 2
    assert "none.py is not a file; give a Python file of your own" in capsys.readouterr().err
