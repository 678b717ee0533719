"""The PyTorch model computes what cpvae_jax computes: the same bound, gradient and samples."""

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.problem import TAU, Case
from cpvae_jax import Config, Training, initialise, likelihoods, models, objectives
from cpvae_jax.distributions import categorical, noise
from cpvae_jax.objectives.base import Progress, gradient

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[bench]'")
model = import_module("benchmarks.torch_programs.model")
programs = import_module("benchmarks.torch_programs.programs")

X, B, K = 12, 5, 4
CONFIG = Config(shape=(X,), K=K, latent=3, hidden=(7, 7))
TRAINING = Training(warmup=0, temperature=TAU, temperature_end=TAU)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny products: threads would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def x():
    return (np.random.default_rng(0).random((B, X)) < 0.4).astype(np.float32)


@pytest.fixture(scope="module")
def params():
    """Parameters away from their start, where priors and biases are zero."""
    fresh = initialise(jax.random.key(0), CONFIG)
    rng = np.random.default_rng(1)
    shaken = jax.tree.map(
        lambda a: a + rng.normal(0, 0.2, a.shape).astype(np.float32), fresh.weights
    )
    return fresh.replace(weights=shaken)


@pytest.fixture(autouse=True)
def no_chance(monkeypatch):
    """All noise is zero, on both sides."""
    for name in ("normal", "gumbel"):
        monkeypatch.setattr(noise, name, lambda key, shape: jnp.zeros(shape))
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    monkeypatch.setattr(
        torch.nn.functional, "gumbel_softmax", lambda logits, tau: (logits / tau).softmax(-1)
    )


def named(weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Weights, or a gradient, of cpvae_jax under the names of the PyTorch model."""
    weights = jax.tree.map(np.asarray, weights)
    heads, decoder, prior = weights["heads"], weights["decoder"], weights["prior"]
    layers = {
        "encoder.0.linear": [weights["encoder"][0]],
        "encoder.1.linear": [weights["encoder"][1]],
        "category": [heads["logits"]],
        "z_from_h": [{**heads[name], "category": np.zeros((0, 3))} for name in ("mean", "log_var")],
        "decoder.0.linear": [decoder["trunk"][0]],
        "decoder.1.linear": [decoder["trunk"][1]],
        "decoder.2": [decoder["output"]],
    }
    found = {
        "z_from_c": np.concatenate([heads[name]["category"] for name in ("mean", "log_var")], 1),
        "prior": np.concatenate([prior["mean"], prior["log_var"]], 1),
    }
    for name, side_by_side in layers.items():
        rows = [
            np.concatenate([layer["kernel"], layer.get("category", layer["kernel"][:0])])
            for layer in side_by_side
        ]
        found[f"{name}.weight"] = np.concatenate(rows, 1).T.copy()
        found[f"{name}.bias"] = np.concatenate([layer["bias"] for layer in side_by_side])
    return found


def theirs(params, model_type="CPVAE"):
    """The PyTorch model with the same parameters."""
    made = getattr(model, model_type)(X, K, 3, 7)
    arrays = {name: torch.tensor(array) for name, array in named(params.weights).items()}
    made.load_state_dict(arrays)
    return made


@pytest.mark.parametrize("model_type", ["CPVAE", "MultipliedOut"])
def test_bound_and_gradient_agree(model_type, params, x):
    progress = Progress(jnp.float32(1), 1)
    found, loss, metrics = gradient(
        objectives.of(TRAINING), params, jax.random.key(0), jnp.asarray(x), progress
    )
    net = theirs(params, model_type)
    torch_loss = net.loss(torch.from_numpy(x))
    torch_loss.backward()

    assert float(metrics["kl_z"]) > 0.1
    assert math.isclose(torch_loss.item(), loss, rel_tol=1e-4)
    expected = named(found)
    for name, parameter in net.named_parameters():
        np.testing.assert_allclose(
            parameter.grad.numpy(), expected.pop(name), rtol=1e-3, atol=1e-3, err_msg=name
        )
    assert not expected


def test_log_weights_agree(params, x, monkeypatch):
    """At the first category, which every draw is."""
    monkeypatch.setattr(
        torch, "multinomial", lambda probs, num, replacement: torch.zeros(num, dtype=torch.long)
    )

    def first(key, logits, num):
        log_q = jax.nn.log_softmax(logits)[:, 0]
        return jnp.zeros((num, len(logits)), jnp.int32), jnp.broadcast_to(log_q, (num, len(log_q)))

    monkeypatch.setattr(categorical, "sample_many", first)
    ours = models.of(CONFIG)
    key = jax.random.key(0)
    expected = ours.log_weights(params, key, jnp.asarray(x), ours.infer(params, jnp.asarray(x)), 2)
    with torch.no_grad():
        net = theirs(params)
        found = [net.log_weights(torch.from_numpy(one), 2).numpy() for one in x]
    np.testing.assert_allclose(np.stack(found, axis=1), expected, rtol=1e-4, atol=1e-4)


def test_samples_agree(params):
    output = models.of(CONFIG).generate(params, jax.random.key(0), jnp.full(2, K - 1))
    expected = likelihoods.of(CONFIG).mean(CONFIG, params.likelihood, output)
    with torch.no_grad():
        found = theirs(params).generate(K - 1, 2).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("program", ["plain", "tuned"])
def test_programs_learn(program, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function: function)  # it would take seconds
    monkeypatch.setattr(programs, "LEARNING_RATE", 1e-2)
    dark = np.zeros((40, 28, 28), np.uint8)
    dark[:, 0] = 255
    np.save(tmp_path / "images.npy", dark)
    case = Case("cp", K, batch=10, latent=3, hidden=7)
    run = getattr(programs, program)(case, tmp_path / "images.npy", "cpu")
    losses = [run()[1] for _ in range(5)]
    assert losses[-1] < 0.9 * losses[0]


def test_scoring_of_a_fresh_model(tmp_path):
    case = Case("cp", K, batch=10, latent=3, hidden=7)
    np.save(tmp_path / "images.npy", np.zeros((2, 28, 28), np.uint8))
    assert 0.4 < programs.samples(case, "cpu", category=1, num=3)()[1] < 0.6
    _, mean = programs.log_likelihood(case, tmp_path / "images.npy", "cpu", samples=501)()
    assert math.isclose(mean, -784 * math.log(2), rel_tol=0.1)
