"""The PyTorch models hold the same numbers as ours: the same bound, and the same gradient."""

import math
from dataclasses import replace
from functools import partial
from importlib import import_module

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.problem import TAU, Case
from benchmarks.torch_programs import weights
from cpvae_jax import Config, categorical, gaussian, likelihoods
from cpvae_jax.epoch import loss
from cpvae_jax.models import cpvae

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e '.[bench]'")
models = import_module("benchmarks.torch_programs.models")
training = import_module("benchmarks.torch_programs.training")

X, B = 12, 5
SIZES = {"latent": 3, "hidden": (7, 7)}
CONFIGS = {
    "cp": Config(shape=(X,), K=4, model="cp", **SIZES),
    "vae": Config(shape=(X,), K=1, model="vae", **SIZES),
    "vp": Config(shape=(X,), K=4, model="vp", **SIZES),
    "hvp": Config(shape=(X,), K=4, model="hvp", **SIZES),
}


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


@pytest.fixture
def no_chance(monkeypatch):
    """Every code at its mean, every category at its Gumbel-Softmax without the noise."""
    monkeypatch.setattr(gaussian, "sample", lambda key, mean, log_var: mean)
    certain = lambda key, logits, temperature: jax.nn.softmax(logits / temperature)  # noqa: E731
    monkeypatch.setitem(categorical.DRAWS, "relaxed", certain)
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    monkeypatch.setattr(
        torch.nn.functional, "gumbel_softmax", lambda logits, tau: (logits / tau).softmax(-1)
    )


def both(name, shaken, model_type=None):
    """Our parameters, and the PyTorch model that has them."""
    config = CONFIGS[name]
    params = shaken(config)
    model = (model_type or models.MODELS[name])(X, config.K, 3, 7)
    arrays = weights.named(jax.device_get(params))
    model.load_state_dict({key: torch.tensor(array) for key, array in arrays.items()})
    return params, model


@pytest.mark.parametrize(
    ("name", "model_type"),
    [*((name, None) for name in CONFIGS), ("cp", models.MultipliedOut)],
)
def test_bound_and_gradient_agree(name, model_type, shaken, x, no_chance):
    params, model = both(name, shaken, model_type)
    step = partial(loss, beta=jnp.float32(1), temperature=jnp.float32(TAU), estimator="relaxed")
    of_ours = jax.jit(jax.value_and_grad(step, has_aux=True))
    (value, terms), gradient = of_ours(params, jax.random.key(0), x)
    theirs = model.loss(torch.from_numpy(x))
    theirs.backward()

    assert float(terms.kl_z.mean()) != 0
    assert math.isclose(theirs.item(), value, rel_tol=1e-4)
    expected = weights.named(jax.device_get(replace(gradient, config=params.config)))
    found = {key: one.grad.numpy() for key, one in model.named_parameters()}
    assert found.keys() == expected.keys()
    for key, one in expected.items():
        np.testing.assert_allclose(found[key], one, rtol=1e-3, atol=1e-3, err_msg=key)


@pytest.mark.parametrize("name", CONFIGS)
def test_log_weights_agree(name, shaken, x, no_chance, monkeypatch):
    """At the first category, which every draw is."""
    params, model = both(name, shaken)
    first = lambda probs, num, replacement: torch.zeros(num, dtype=torch.long)  # noqa: E731
    monkeypatch.setattr(torch, "multinomial", first)

    def ours(key, logits, num):
        log_q = jax.nn.log_softmax(logits)[:, 0]
        return jnp.zeros((num, len(logits)), jnp.int32), jnp.broadcast_to(log_q, (num, len(log_q)))

    monkeypatch.setattr(categorical, "sample_many", ours)

    @jax.jit
    def weigh(params, key):
        return cpvae.log_weights(params, key, x, cpvae.infer(params, x), 2)

    expected = weigh(params, jax.random.key(0))
    with torch.no_grad():
        found = [model.log_weights(torch.from_numpy(one), 2).numpy() for one in x]
    np.testing.assert_allclose(np.stack(found, axis=1), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_samples_agree(name, shaken, no_chance):
    params, model = both(name, shaken)
    k = CONFIGS[name].K - 1
    output = jax.jit(cpvae.generate)(params, jax.random.key(0), jnp.full(2, k))
    expected = likelihoods.of(params.config).mean(params.likelihood, output)
    with torch.no_grad():
        found = model.generate(k, 2).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


TUNED = partial(training.tuned, compile=False)


@pytest.mark.parametrize(
    ("name", "program"),
    [("cp", training.plain), ("cp", TUNED), ("vp", TUNED), ("hvp", training.plain)],
)
def test_programs_learn(name, program, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "LEARNING_RATE", 1e-2)
    path = tmp_path / "images.npy"
    dark = np.zeros((40, 4, 4), np.uint8)
    dark[:, 0] = 255
    np.save(path, dark)
    case = Case(name, CONFIGS[name].K, batch=10, latent=3, hidden=7)
    run_epoch = program(case, path, "cpu")
    losses = [run_epoch()[1] for _ in range(5)]
    assert losses[-1] < losses[0]
