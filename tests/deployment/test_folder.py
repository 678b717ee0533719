"""Folders that `save` and `export` write: cards, weights, refusals, and what failures leave."""

import json
import re
import runpy

import jax
import numpy as np
import pytest
from safetensors import numpy as safetensors

import cpvae_jax
from cpvae_jax import Config, Training, UserError, registry
from cpvae_jax.commands import export
from cpvae_jax.deployment import card, onnx_format, stablehlo_format, weights
from cpvae_jax.storage import arrays, checkpoint
from cpvae_jax.storage.run_folder import SCORES
from tests.docs.pages import ROOT
from tests.running import message

CONFIG = Config(shape=(3, 3), K=3, latent=2, hidden=(4,))
onnx = pytest.mark.skipif(
    onnx_format.find_spec("onnxruntime") is None,
    reason="ONNX files are NOT written; pip install 'cpvae-jax[onnx]'",
)


@pytest.fixture(scope="module")
def model(shaken):
    return shaken(CONFIG)


RECORD = {
    "valid_bound": -90.25,
    "test_bound": {"mean": -91.5, "standard_error": 0.1},
    "clustering": {"accuracy_hungarian": 0.9644},
    "baselines": {"kmeans": {"accuracy_hungarian": 0.79}, "mixture": {}},
    "source": "Digits of somebody",
    "examples": {"train": 100, "valid": True, "test": 25},
    "config": {"dataset": "/home/me/mine.npz"},
}


@pytest.fixture(scope="module")
def run(model, tmp_path_factory):
    """The folder of a run with its scores."""
    path = tmp_path_factory.mktemp("runs") / "run"
    cpvae_jax.save(path / checkpoint.FOLDER, model)
    (path / SCORES).write_text(json.dumps(RECORD))
    return path


def programs_run(text, folder):
    """Runs the Python of a card; returns its names."""
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(code.replace("FOLDER", str(folder)), names)
    return names


def test_the_command_exports_with_the_scores_of_the_run(run, tmp_path, capsys):
    out = tmp_path / "out"
    assert export.main([str(run), "--format", "stablehlo", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"wrote the encoder, decoder and sampler of {run} to {out}\n"
    text = (out / card.FILE).read_text()
    for words in (
        "# Model cp of 3 categories",
        "| K | 3 |",
        "- Name: mine.npz",
        "- Source: Digits of somebody",
        "- Examples: 100 training, 25 test\n",
        "- Validation bound, in nats per example: -90.25",
        "- Test bound, in nats per example: -91.50",
        "never saw: 0.964",
        "- The same of k-means: 0.790",
        "`sampler.stablehlo` | `category` [B] int32: a category for each, from 0 to 2; `noise` [B, 2]",
    ):
        assert words in text, words
    assert "Gaussian mixture" not in text
    assert programs_run(text, out)["x"].shape == (10, 3, 3)


@onnx
@pytest.mark.parametrize("levels", [1, 2])
def test_the_code_of_an_onnx_card_runs(levels, shaken, tmp_path):
    params = shaken(Config(**{**vars(CONFIG), "levels": levels}))
    cpvae_jax.export(tmp_path / "a", cpvae_jax.merge(params, [[0, 1]]), format="onnx")
    text = (tmp_path / "a" / card.FILE).read_text()
    assert "## Scores" not in text
    assert "## Data" not in text
    assert ("noise_below" in text) == (levels == 2)
    assert programs_run(text, tmp_path / "a")["x"].shape == (10, 3, 3)


def test_the_code_of_a_saved_card_runs(model, tmp_path, assert_same_bits):
    cpvae_jax.save(tmp_path / "a", model)
    text = (tmp_path / "a" / card.FILE).read_text()
    assert_same_bits(programs_run(text, tmp_path / "a")["params"], model)


def test_a_saved_fit_tells_its_bound(tmp_path):
    x = np.random.default_rng(0).random((30, 3, 3)).astype(np.float32)
    training = Training(epochs=1, warmup=1, batch_size=10)
    result = cpvae_jax.fit(jax.random.key(0), CONFIG, x, x, recipe=training, callbacks=[])
    best = float(result.state.best_bound[0])
    cpvae_jax.save(tmp_path / "a", result)
    cpvae_jax.export(tmp_path / "b", result, format="stablehlo")
    for folder in "ab":
        text = (tmp_path / folder / card.FILE).read_text()
        assert f"- Validation bound, in nats per example: {best:.2f}\n" in text


def test_the_weights_are_those_of_the_model(model, tmp_path):
    cpvae_jax.save(tmp_path / "a", model)
    found = safetensors.load_file(tmp_path / "a" / weights.FILE)
    own = arrays.named(checkpoint.plain(model))
    assert sorted(found) == sorted(name.replace(".", "/") for name in own)
    assert {"weights/decoder/trunk/0/kernel", "stats/aggregate"} <= set(found)
    for name, array in own.items():
        np.testing.assert_array_equal(found[name.replace(".", "/")], array, strict=True)
    content = (tmp_path / "a" / weights.FILE).read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert Config.from_dict(json.loads(header["__metadata__"]["config"])) == CONFIG


def test_load_reads_neither_the_card_nor_the_weights(model, tmp_path, assert_same_bits):
    cpvae_jax.save(tmp_path / "a", model)
    for name in (card.FILE, weights.FILE):
        (tmp_path / "a" / name).unlink()
        (tmp_path / "a" / name).mkdir()
    assert_same_bits(cpvae_jax.load(tmp_path / "a"), model)


@pytest.mark.parametrize("call", ["save", "export"])
def test_a_folder_that_holds_something_is_left_alone(call, model, tmp_path):
    cpvae_jax.export(tmp_path / "a", model, format="stablehlo")
    before = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    options = {"format": "stablehlo"} if call == "export" else {}
    for _ in range(2):  # an earlier export, then a file of the user's
        with pytest.raises(UserError, match=r"exists and is not an empty folder; choose another"):
            getattr(cpvae_jax, call)(tmp_path / "a", model, **options)
        assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == before
        for path in (tmp_path / "a").iterdir():
            path.unlink()
        before = {"README.md": b"mine"}
        (tmp_path / "a" / "README.md").write_bytes(b"mine")


def test_a_full_disk_leaves_nothing_of_an_export_and_the_model_of_a_save(
    model, tmp_path, monkeypatch, assert_same_bits
):
    from pathlib import Path

    write = Path.write_bytes

    def full(path, content):
        if "README" in path.name:
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left"):
        cpvae_jax.export(tmp_path / "a", model, format="stablehlo")
    assert list((tmp_path / "a").iterdir()) == []
    with pytest.raises(UserError, match=r"cannot be written \(No space left"):
        cpvae_jax.save(tmp_path / "b", model)
    assert_same_bits(cpvae_jax.load(tmp_path / "b"), model)
    monkeypatch.undo()
    cpvae_jax.export(tmp_path / "a", model, format="stablehlo")


@pytest.mark.parametrize(
    ("module", "format", "package"),
    [(onnx_format, "onnx", "onnx"), (stablehlo_format, "stablehlo", "flatbuffers")],
)
def test_a_missing_package_is_named(module, format, package, run, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert export.main([str(run), "--format", format, "--out", f"{tmp_path}/a"]) == 2
    text = message(capsys)
    assert f"needs the package {package}; install it with pip install 'cpvae-jax[{format}]'" in text
    assert not (tmp_path / "a").exists()


def test_what_cannot_be_exported(model, tmp_path, run, capsys):
    with pytest.raises(UserError, match=r"^format is 'pb'; choose one of onnx, stablehlo"):
        cpvae_jax.export(tmp_path / "a", model, format="pb")
    with pytest.raises(UserError, match=r"^params is int and not a model"):
        cpvae_jax.export(tmp_path / "a", 3, format="stablehlo")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / SCORES).write_text("{")
    with pytest.raises(UserError, match=r"metrics\.json"):
        cpvae_jax.export(tmp_path / "a", model, format="stablehlo", run=damaged)
    assert export.main([str(tmp_path), "--format", "onnx", "--out", f"{tmp_path}/a"]) == 2
    assert "holds no saved model" in message(capsys)
    assert not (tmp_path / "a").exists()


def test_scores_of_another_type_are_left_out(model, tmp_path):
    hostile = {"test_bound": "x", "examples": [1], "config": {"dataset": 3}, "clustering": {"a": 1}}
    (tmp_path / SCORES).write_text(json.dumps(hostile))
    cpvae_jax.export(tmp_path / "a", model, format="stablehlo", run=tmp_path)
    text = (tmp_path / "a" / card.FILE).read_text()
    assert "## Scores" not in text
    assert "## Data" not in text


@pytest.fixture
def own_part():
    """A function that runs a file of the user's own; its part is forgotten afterwards."""
    tables = [part for part in vars(registry).values() if isinstance(part, registry.Registry)]
    before = [set(table.names()) for table in tables]
    yield lambda name: runpy.run_path(str(ROOT / "examples/extending" / f"{name}.py"))
    for table, known in zip(tables, before, strict=True):
        for part in set(table.names()) - known:
            table.forget(part)


OWN = {
    "network": {"network": "strided"},
    "posterior": {"posterior": "planar"},
    "prior": {"prior": "tied"},
    "likelihood": {"likelihood": "negative-binomial"},
}


@pytest.mark.slow
@onnx
@pytest.mark.parametrize("part", OWN)
def test_models_with_parts_of_one_s_own_are_exported(part, own_part, tmp_path):
    import onnxruntime

    own_part(part)
    config = Config(shape=(7, 6), K=3, latent=2, hidden=(8,), **OWN[part])
    x = np.random.default_rng(0).integers(0, 2, (20, 7, 6)).astype(np.float32)
    params = cpvae_jax.initialise(jax.random.key(0), config, x)
    for format in ("onnx", "stablehlo"):
        cpvae_jax.export(tmp_path / format, params, format=format)
    probs = cpvae_jax.predict(params, x)
    expected = cpvae_jax.reconstruct(params, x)
    session = onnxruntime.InferenceSession(tmp_path / "onnx/encoder.onnx")
    found, code, _ = session.run(None, {"x": x})
    np.testing.assert_allclose(found, probs, atol=1e-5)
    category = np.argmax(found, axis=1).astype(np.int32)
    session = onnxruntime.InferenceSession(tmp_path / "onnx/decoder.onnx")
    (decoded,) = session.run(None, {"z": code, "category": category})
    np.testing.assert_allclose(decoded, expected, rtol=1e-5, atol=1e-5)
    content = bytearray((tmp_path / "stablehlo/encoder.stablehlo").read_bytes())
    found, code, _ = jax.export.deserialize(content).call(x)
    np.testing.assert_allclose(found, probs, atol=1e-5)
    content = bytearray((tmp_path / "stablehlo/decoder.stablehlo").read_bytes())
    decoded = jax.export.deserialize(content).call(code, category)
    np.testing.assert_allclose(decoded, expected, rtol=1e-5, atol=1e-5)
