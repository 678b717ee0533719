"""Which matrix products may be rounded: only those of networks in training, if a run asks for it."""

import ast
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cpvae_jax
from cpvae_jax import Config, Training, UserError, objectives
from cpvae_jax.distributions.precision import exact, single
from cpvae_jax.objectives.base import Progress, gradient
from cpvae_jax.training import program

SIZES = {"shape": (6,), "latent": 2, "hidden": (4,)}
CONFIG = Config(K=3, **SIZES)
MODELS = ("cp", "full", "vae", "mg", "vp", "hvp", "hcp")
X = jnp.zeros((5, 6))
KEY = jax.random.key(0)


def precisions(function, *arguments):
    """Counts of the precisions of a function's products; "DEFAULT" if it asks for none."""
    text = str(jax.make_jaxpr(function)(*arguments))
    found = re.findall(r"precision=\(Precision\.(\w+), Precision\.\1\)", text)
    found += ["DEFAULT"] * (text.count("dot_general[") - len(found))
    return {name: found.count(name) for name in found}


def started(**settings):
    """A training program, its first state, and an empty tally."""
    steps = program.program(Training(batch_size=5, **settings), 1)
    state = program.begin(steps, KEY[None], CONFIG, np.asarray(X))
    _, tally = jax.eval_shape(steps.run, state, X)
    return steps, state, jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), tally)


@pytest.mark.parametrize("model", MODELS)
def test_a_step_rounds_the_networks_and_nothing_else(model):
    config = Config.of_model(model, K=1 if model == "vae" else 3, **SIZES)
    params = cpvae_jax.initialise(KEY, config)
    objective = objectives.of(Training())

    def found(params):
        return gradient(objective, params, KEY, X, Progress(jnp.array(100.0), 200))[0]

    with jax.default_matmul_precision("float32"):
        whole = precisions(found, params)
    with jax.default_matmul_precision("tensorfloat32"):
        fast = precisions(found, params)
    # Encoder and decoder each: two gated layers and an output, forward and backward.
    assert fast["HIGH"] >= 12
    assert sum(fast.values()) == whole["HIGHEST"]
    assert whole.keys() == {"HIGHEST"}
    assert fast.keys() == {"HIGH", "HIGHEST"}  # the latter in the divergence, or the densities


def test_a_run_has_the_precision_of_its_settings():
    for name, expected in (("float32", "HIGHEST"), ("tensorfloat32", "HIGH")):
        steps, state, _ = started(precision=name)
        found = precisions(steps.run, state, X)
        assert expected in found
        assert found.keys() <= {expected, "HIGHEST"}


def test_validation_is_exact_whatever_the_precision_of_the_steps():
    steps, state, tally = started(precision="bfloat16")
    with jax.default_matmul_precision("bfloat16"):
        assert precisions(steps.close, state, tally, X).keys() == {"HIGHEST"}


@pytest.mark.parametrize("model", ["cp", "full", "vp", "hcp"])
def test_a_fresh_model_needs_no_rounded_product(model):
    config = Config.of_model(model, K=3, **SIZES)
    with jax.default_matmul_precision("bfloat16"):
        found = precisions(lambda key: cpvae_jax.initialise(key, config), KEY)
    assert found.keys() <= {"HIGHEST"}


@pytest.mark.parametrize(
    "function",
    [
        lambda params: cpvae_jax.encode(params, X).logits,
        lambda params: cpvae_jax.predict(params, X),
        lambda params: cpvae_jax.decode(params, jnp.zeros((5, 2)), 1),
        lambda params: cpvae_jax.bound(params, KEY, X).bound,
        lambda params: cpvae_jax.reconstruct(params, X),
        lambda params: cpvae_jax.sample(params, KEY, category=1, num=5),
    ],
)
def test_reported_numbers_are_exact_whatever_precision_the_caller_sets(function):
    params = cpvae_jax.initialise(KEY, CONFIG)
    with jax.default_matmul_precision("bfloat16"):
        assert precisions(function, params).keys() == {"HIGHEST"}


def test_every_compiled_function_sets_its_precision():
    """All but the epoch's, which `program` gives the precision of the settings."""
    package = Path(cpvae_jax.__file__).parent
    silent = []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                marks = [ast.unparse(mark) for mark in node.decorator_list]
                if any("jax.jit" in mark for mark in marks) and "exact" not in marks:
                    silent.append(f"{path.relative_to(package)}: {node.name}")
    assert silent == ["training/program.py: of_all"]


def test_an_unknown_precision_is_refused():
    with pytest.raises(UserError, match="precision is 'half'; choose one of float32, tensor"):
        Training(precision="half")


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other devices do have a choice")
def test_a_cpu_gives_the_same_numbers_at_every_precision():
    data = np.random.default_rng(0).random((20, 6)).round()
    found = [
        cpvae_jax.fit(
            KEY, CONFIG, data, data, recipe=Training(batch_size=5, epochs=2, precision=name)
        )
        for name in ("float32", "bfloat16")
    ]
    one, other = (fit.history[-1]["train_bound"] for fit in found)
    assert one == other


def test_rules_of_the_caller_do_not_reach_the_inside_of_an_exact_function():
    function = exact(lambda a, b: jnp.ones((2, 2), jnp.float32) * a + b)
    arguments = jnp.arange(2, dtype=jnp.int32), jnp.float32(1)
    expected = function(*arguments)
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        np.testing.assert_array_equal(function(*arguments), expected)
        with pytest.raises((ValueError, TypeError)):
            function.__wrapped__(*arguments)


def test_arrays_of_64_bits_become_single_and_others_stay():
    tree = {
        "weights": np.ones(2),
        "count": np.arange(2),
        "single": np.float32([1, 2]),
        "grey": np.uint8([1]),
        "key": jax.random.key(0),
        "name": "x",
        "flag": True,
    }
    found = single(tree)
    assert str(found["weights"].dtype) == "float32"
    assert str(found["count"].dtype) == "int32"
    assert all(found[name] is tree[name] for name in ("single", "grey", "key", "name", "flag"))
