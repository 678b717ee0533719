"""Which products may be rounded: those of networks in training steps, where a run asks for it."""

import ast
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Training, UserError, train
from cpvae_jax.epoch import loss
from tests.test_structure import MODULES

CONFIG = Config(shape=(6,), K=3, latent=2, hidden=(4,))
MODELS = ("cp", "full", "vae", "mg", "vp", "hvp", "hcp")
X = jnp.zeros((5, 6))
KEY = jax.random.key(0)


def precisions(function, *arguments):
    """How often each precision is asked for by the products of a function, "DEFAULT" for none."""
    text = str(jax.make_jaxpr(function)(*arguments))
    found = re.findall(r"precision=\(Precision\.(\w+), Precision\.\1\)", text)
    found += ["DEFAULT"] * (text.count("dot_general[") - len(found))
    return {name: found.count(name) for name in found}


def program(**settings):
    return train.program(CONFIG, Training(batch_size=5, **settings), X)


def started(steps):
    state = steps.init(KEY[None])
    _, tally = jax.eval_shape(steps.run, state, X)
    return state, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), tally)


@pytest.mark.parametrize("model", MODELS)
def test_a_step_rounds_the_networks_and_nothing_else(model):
    K = 1 if model == "vae" else 3
    config = Config(shape=(6,), K=K, latent=2, hidden=(4,), model=model)
    params = cpvae_jax.initialise(KEY, config)

    def gradient(params):
        return jax.grad(lambda p: loss(p, KEY, X, 1.0, 1.0, "relaxed")[0])(params)

    with jax.default_matmul_precision("float32"):
        whole = precisions(gradient, params)
    with jax.default_matmul_precision("tensorfloat32"):
        fast = precisions(gradient, params)
    assert fast["HIGH"] >= 12  # two gated layers and an output, forward and back, at either end
    assert sum(fast.values()) == whole["HIGHEST"]
    assert whole.keys() == {"HIGHEST"}
    assert fast.keys() == {"HIGH", "HIGHEST"}  # the latter in the divergence, or the densities


def test_a_run_has_the_precision_that_it_asks_for():
    for name, expected in (("float32", "HIGHEST"), ("tensorfloat32", "HIGH")):
        steps = program(precision=name)
        state, _ = started(steps)
        found = precisions(steps.run, state, X)
        assert expected in found
        assert found.keys() <= {expected, "HIGHEST"}


def test_validation_and_the_first_parameters_are_exact_whatever_the_steps_are():
    steps = program(precision="bfloat16")
    state, tally = started(steps)
    with jax.default_matmul_precision("bfloat16"):
        assert precisions(steps.close, state, tally, X).keys() == {"HIGHEST"}
        assert precisions(steps.init, KEY[None]).keys() <= {"HIGHEST"}


@pytest.mark.parametrize(
    "function",
    [
        lambda params: cpvae_jax.encode(params, X).logits,
        lambda params: cpvae_jax.decode(params, jnp.zeros((5, 2)), 1),
        lambda params: cpvae_jax.bound(params, KEY, X).bound,
        lambda params: cpvae_jax.reconstruct(params, X),
        lambda params: cpvae_jax.sample(params, KEY, category=1, num=5),
    ],
)
def test_what_is_reported_is_exact_whatever_the_caller_does(function):
    params = cpvae_jax.initialise(KEY, CONFIG)
    with jax.default_matmul_precision("bfloat16"):
        assert precisions(function, params).keys() == {"HIGHEST"}


def test_every_compiled_function_says_how_exact_it_is():
    """All but the epoch's, which `train.program` hands a precision, and what only moves arrays."""
    silent = []
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                marks = [ast.unparse(mark) for mark in node.decorator_list]
                if any("jax.jit" in mark for mark in marks) and "exact" not in marks:
                    silent.append(f"{name}.{node.name}")
    assert silent == ["cpvae_jax.train.of_all"]


def test_a_precision_that_there_is_not():
    with pytest.raises(UserError, match="precision is 'half'; choose one of float32, tensor"):
        Training(precision="half")


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other devices do have a choice")
def test_a_processor_gives_the_same_numbers_at_every_precision():
    data = np.random.default_rng(0).random((20, 6)).round()
    found = [
        cpvae_jax.fit(
            KEY, CONFIG, data, data, training=Training(batch_size=5, epochs=2, precision=name)
        )
        for name in ("float32", "bfloat16")
    ]
    one, other = (fit.history[-1]["train_bound"] for fit in found)
    assert one == other
