"""The command on a folder of images says once what it takes them for."""

import numpy as np
import pytest
from PIL import Image

from cpvae_jax.errors import UserError
from experiments import run


@pytest.mark.parametrize(
    ("levels", "likelihood", "reason"),
    [((0, 4095), "bernoulli", "taken for ink"), ((1500, 2500), "gaussian", "as in photographs")],
)
def test_the_command_says_how_it_reads_the_images(
    tmp_path, capsys, monkeypatch, levels, likelihood, reason
):
    rng = np.random.default_rng(0)
    for part, num in (("train", 30), ("test", 10)):
        (tmp_path / "pictures" / part).mkdir(parents=True)
        for number in range(num):
            x = rng.choice([*levels, 4000], (6, 5), p=(0.5, 0.49, 0.01)).astype(np.uint16)
            Image.fromarray(x).save(tmp_path / "pictures" / part / f"{number}.png")

    def stop(job, config, training, found, *rest, **more):
        assert config.likelihood == likelihood
        assert (len(found.train), len(found.valid), len(found.test)) == (27, 3, 10)
        raise UserError("far enough")

    monkeypatch.setattr("cpvae_jax.commands.run.train", stop)
    places = ["--out", str(tmp_path / "run"), "--cache-dir", str(tmp_path / "cache")]
    assert run.main(["--dataset", str(tmp_path / "pictures"), "--K", "2", *places]) == 2
    text = capsys.readouterr()
    for words in (
        "12-bit levels in 16-bit files (40): scaled by 4095",
        "train, test as parts",
        reason,
    ):
        assert (text.out + text.err).count(words) == 1
    assert f"likelihood {likelihood}: " in text.out
    assert text.err.strip() == "error: far enough"
