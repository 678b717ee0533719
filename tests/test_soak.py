"""A short run of `tests.soak`: two hundred epochs of a small model, with many checkpoints."""

from tests import soak


def test_memory_time_and_disk_do_not_grow(tmp_path):
    flags = ["--dataset", "digits", "--recipe", "paper", "--K", "2"]
    flags += ["--latent", "2", "--hidden", "8"]
    found = soak.soak(tmp_path / "run", flags, 200)
    assert found["memory_mib_at_the_end"] - found["memory_mib_after_a_tenth"] < 50
    assert found["checkpoints"] == 2
    assert found["log_bytes_an_epoch"] < 1000
    soak.draw(found, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").stat().st_size > 1000
