"""Exported programs equal the library, in a process in which the library cannot be imported."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config
from cpvae_jax.deployment import FORMATS, programs
from cpvae_jax.distributions import noise
from cpvae_jax.models import category as components
from tests import tables

pytest.importorskip("onnxruntime", reason="ONNX files are NOT run; pip install 'cpvae-jax[onnx]'")

SIZES = {"latent": 3, "hidden": (8, 6)}
IMAGE = {"shape": (4, 3), **SIZES}
TABLE = {"shape": (5,), "likelihood": "gaussian", **SIZES}
MODELS = {
    "cp": (Config(K=4, **IMAGE), None),
    "cp-threshold": (Config(K=4, binarise="threshold", **IMAGE), [[0, 2]]),
    "cp-table": (Config(K=4, category_prior="learned", **TABLE), [[3, 1]]),
    "cp-one": (Config(K=1, **TABLE), None),
    "full": (Config(K=4, prior="full", **TABLE), None),
    "full-image": (Config(K=4, prior="full", likelihood="gaussian", **IMAGE), [[0, 2]]),
    "mg": (Config(K=4, prior="mg", **IMAGE), None),
    "mg-table": (Config(K=4, prior="mg", category_prior="learned", **TABLE), [[0, 1], [2, 3]]),
    "vp": (Config(K=4, prior="vp", **TABLE), None),
    "vp-image": (Config(K=4, prior="vp", **IMAGE), [[1, 2]]),
    "vae": (Config(K=1, prior="vae", **IMAGE), None),
    "vae-table": (Config(K=1, prior="vae", **TABLE), None),
    "hcp": (Config(K=4, levels=2, **IMAGE), [[0, 3]]),
    "hfull": (Config(K=4, prior="full", levels=2, **TABLE), None),
    "hmg": (Config(K=4, prior="mg", levels=2, **IMAGE), None),
    "hvp": (Config(K=4, prior="vp", levels=2, **TABLE), [[0, 3]]),
    "hvae": (Config(K=1, prior="vae", levels=2, **IMAGE), None),
    "cp-iaf": (Config(K=4, posterior="iaf", **IMAGE), [[0, 2]]),
    "hfull-iaf": (Config(K=4, prior="full", levels=2, posterior="iaf", **TABLE), None),
    "hcp-full": (Config(K=4, levels=2, posterior="full", **IMAGE), None),
    "cp-conv": (Config(K=4, network="conv", **IMAGE), None),
    "cp-columns": (tables.CONFIG, None),
    "hvp-columns": (replace(tables.CONFIG, prior="vp", levels=2), None),
}
"""Configurations, and categories to merge."""

B = 7
KEY = jax.random.key(3)
CLOSE = 1e-5
"""The largest difference, relative to the largest number of the data."""


def data(config):
    """Examples in a unit of their own."""
    if config.columns is not None:
        return tables.rows(40).astype(np.float32)
    x = np.random.default_rng(1).random((40, *config.shape))
    x = x if config.likelihood == "bernoulli" else 300 * x - 100
    return x.astype(np.float32)


@pytest.fixture(scope="module")
def models(shaken):
    """The models with weights at random, some merged and one pruned."""
    found = {}
    for name, (config, groups) in MODELS.items():
        params = shaken(config, data=data(config))
        shares = np.random.default_rng(2).dirichlet(np.ones(config.K)).astype(np.float32)
        params = params.with_stats(aggregate=jax.numpy.asarray(shares))
        if groups is not None:
            params = cpvae_jax.merge(params, groups)
        found[name] = params
    found["cp-pruned"] = cpvae_jax.prune(found["cp"], keep=[0, 3])
    return found


def inputs(params):
    """Inputs of every program, of which those of the sampler are what `sample` draws by `KEY`."""
    config = params.config
    rng = np.random.default_rng(0)
    category = np.arange(B, dtype=np.int32) % config.categories
    key_c, key_x = jax.random.split(KEY)
    key_z, key_below = jax.random.split(jax.random.split(key_x)[0])
    size = (B, config.latent)
    given = {
        "x": data(config)[:B],
        "z": rng.standard_normal(size, np.float32),
        "category": category,
        "noise": np.asarray(noise.normal(key_z, size)),
        "noise_below": np.asarray(noise.normal(key_below, size)),
        "pick": picks(params, category, components.draw(params, key_c, category)),
    }
    return {
        f"{program.name}/{number}": given[one.name]
        for program in programs.of(params)
        for number, one in enumerate(program.inputs)
    }


def picks(params, category, component):
    """Numbers from 0 to 1 that pick given components."""
    grid = np.linspace(0, 1, 1001, dtype=np.float32)
    found = []
    for c, k in zip(category, np.asarray(component), strict=True):
        chosen = np.asarray(components.chosen(params, np.full(1001, c), grid))
        found.append(grid[chosen == k].mean())
    return np.array(found, np.float32)


def expected(params, given):
    """What the library gives."""
    posterior = cpvae_jax.encode(params, given["encoder/0"])
    best = np.argmax(posterior.logits, axis=1)
    category = None if params.config.prior == "vae" else given["decoder/1"]
    if params.config.prior == "vae":
        samples = cpvae_jax.sample(params, KEY, category=None, num=B)
    else:
        samples = cpvae_jax.sample(params, KEY, category=category, num=B)
    return {
        "encoder/0": cpvae_jax.predict(params, given["encoder/0"]),
        "encoder/1": np.asarray(posterior.mean)[np.arange(B), best],
        "encoder/2": np.asarray(posterior.log_var)[np.arange(B), best],
        "decoder/0": cpvae_jax.decode(params, given["decoder/0"], category),
        "sampler/0": samples,
    }


@pytest.fixture(scope="module")
def outputs(models, tmp_path_factory):
    """Outputs by model and format, all from one process without the library."""
    root = tmp_path_factory.mktemp("exported")
    for name, params in models.items():
        for format in FORMATS:
            folder = root / f"{name}.{format}"
            cpvae_jax.export(folder, params, format=format)
            np.savez(folder / "inputs.npz", **inputs(params))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, str(Path(__file__).with_name("alone.py")), str(root)]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {path.name: np.load(path / "outputs.npz") for path in root.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", [*MODELS, "cp-pruned"])
def test_programs_equal_the_library(name, format, models, outputs):
    params, found = models[name], outputs[f"{name}.{format}"]
    given = inputs(params)
    for output, value in expected(params, given).items():
        value = np.asarray(value)
        program, _, number = output.partition("/")
        scale = max(
            1.0, np.abs(value).max(), np.abs(given["encoder/0"]).max() * (program != "encoder")
        )
        assert found[output].dtype == np.float32
        assert found[output].shape == value.shape
        off = np.abs(found[output] - value).max() / scale
        assert off <= CLOSE, (output, off)
        first = found[f"{program}/first/{number}"]
        assert first.shape == (1, *value.shape[1:])
        assert np.abs(first - value[:1]).max() <= CLOSE * scale


def test_picks_draw_components_in_proportion_to_their_shares(models):
    params = models["mg-table"]
    shares = np.asarray(params.aggregate)
    for category, members in enumerate(([0, 1], [2, 3])):
        grid = (np.arange(4000, dtype=np.float32) + 0.5) / 4000
        chosen = np.asarray(components.chosen(params, np.full(4000, category), grid))
        wanted = shares[members] / shares[members].sum()
        assert np.bincount(chosen, minlength=4)[members] / 4000 == pytest.approx(wanted, abs=1e-3)
        ends = components.chosen(params, np.full(2, category), np.array([0, 1], np.float32))
        assert ends.tolist() == members


def test_without_groups_the_component_is_the_category(models):
    category = np.arange(4)
    assert components.chosen(models["cp"], category, np.zeros(4)) is category


@pytest.mark.slow
def test_the_decoder_reconstructs_the_code_of_the_encoder(models, outputs):
    for name in ("cp", "vae", "full", "mg", "vp"):
        params = models[name]
        encoder, decoder, _ = programs.of(params)
        x = data(params.config)[:B]
        probs, code, _ = encoder.function(x)
        category = [] if name == "vae" else [np.argmax(probs, axis=1).astype(np.int32)]
        found = decoder.function(code, *category)
        np.testing.assert_allclose(found, cpvae_jax.reconstruct(params, x), rtol=1e-5, atol=1e-3)
