"""Names of runs that no two of them share."""

import json
from pathlib import Path

import jax
import pytest

import cpvae_jax
from cpvae_jax.errors import UserError
from cpvae_jax.storage import run_folder
from experiments import names


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (["a/x", "b/y"], ["x", "y"]),
        (["a/x", "b/x"], ["a/x", "b/x"]),
        (["a/x", "b/x", "b/y"], ["a/x", "b/x", "y"]),
        (["a/c/x", "b/c/x", "b/d/x"], ["a/c/x", "b/c/x", "d/x"]),
        (["a/x", "a/x/x"], ["a/x", "x/x"]),
        (["a/x", "a/x"], ["x"]),
        (["a/x", "b/../a/x/", "b/x"], ["a/x", "b/x"]),
        (["link/x", "a/x"], ["x"]),
    ],
)
def test_a_run_is_named_by_the_shortest_path_that_tells_it_apart(
    tmp_path, monkeypatch, capsys, runs, expected
):
    monkeypatch.chdir(tmp_path)
    for run in ("a/x/x", "a/c/x", "b/x", "b/c/x", "b/d/x"):
        Path(run).mkdir(parents=True, exist_ok=True)
    Path("link").symlink_to("a")
    given = [Path(run) for run in runs]
    found = names.distinct(given)
    assert list(found) == expected
    assert len({path.resolve() for path in found.values()}) == len(found)
    notes = capsys.readouterr().err
    assert notes.count("it counts once.") == len(given) - len(expected)


def test_a_name_that_is_taken_is_made_longer(tmp_path):
    run = tmp_path / "sweep" / "mnist-real"
    assert list(names.distinct([run], separator="-", taken=["mnist-real"])) == ["sweep-mnist-real"]


def test_names_of_files_that_would_coincide_are_made_longer_or_refused():
    """a-b/c/x and a/b-c/x are both a-b-c-x, joined by dashes."""
    with pytest.raises(UserError, match="cannot be told from another run"):
        names.distinct(
            [Path("/a-b/c/x"), Path("/a/b-c/x"), Path("/c/x"), Path("/b-c/x")], separator="-"
        )
    found = names.distinct([Path("/p/a/x"), Path("/q/a/x"), Path("/r/p-a/x")], separator="-")
    assert len(set(found)) == 3


def test_an_identity_is_that_of_the_model_and_of_the_settings_without_the_seed(tmp_path):
    config = cpvae_jax.Config(shape=(3,), K=2, latent=2, hidden=(4,))
    one, two = (cpvae_jax.initialise(jax.random.key(seed), config) for seed in (0, 1))

    def identity(name, params, **settings):
        folder = tmp_path / name
        folder.mkdir()
        (folder / run_folder.SCORES).write_text("{}")
        (folder / run_folder.CONFIG).write_text(json.dumps({"dataset": "digits", **settings}))
        return names.identity(folder, params)

    first = identity("a", one, seed=0)
    assert identity("b", one, seed=0) == first
    other_seed, other_settings = identity("c", two, seed=1), identity("d", one, seed=0, K=3)
    assert other_seed["settings"] == first["settings"] != other_settings["settings"]
    assert other_settings["model"] == first["model"] != other_seed["model"]
