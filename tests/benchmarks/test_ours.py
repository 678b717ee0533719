"""The programs of cpvae_jax on a tiny model, and the floor beside the real one."""

import math
import runpy
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import floor, machine, ours, start
from benchmarks.problem import SHAPE, Case
from benchmarks.turns import Child, Program
from cpvae_jax import Config, Training, objectives
from cpvae_jax.models.start import template
from cpvae_jax.objectives.base import Progress, gradient
from cpvae_jax.registry import CALLBACKS
from cpvae_jax.training.fit import fit

CASE = Case("cp", 2, 10, latent=2, hidden=4)


@pytest.fixture
def images(tmp_path):
    path = tmp_path / "images.npy"
    dark = np.random.default_rng(0).integers(0, 50, (20, *SHAPE), np.uint8)
    dark[:, 0, 0] = 255  # one white pixel each: these are grey levels
    np.save(path, dark)
    return str(path)


def test_training(images):
    run_epoch = ours.ours(CASE, images)
    (first, begin), (second, end) = run_epoch(), run_epoch()
    assert first > second > 0  # the first one compiles
    assert 0 < end < begin  # dark images: the first steps already darken the output


def test_several_seeds_are_trained_in_one_program(images, monkeypatch):
    """The value is that of the first one, which gets the numbers that it gets alone."""
    begin, found = ours.train.begin, []
    monkeypatch.setattr(ours.train, "begin", lambda *args: found.append(begin(*args)) or found[-1])
    one, three = ours.ours(CASE, images), ours.ours(CASE, images, seeds=3)
    assert [state.epoch.shape for state in found] == [(1,), (3,)]
    assert math.isclose(three()[1], one()[1], rel_tol=1e-5)


def test_joined_processes_of_one_core_each_learn_what_one_process_does(images):
    if len(machine.cores()) < 2:
        pytest.skip("needs two cores")
    arguments = {"case": CASE, "images": images, "count": 2, "joined": True}
    with Child(Program("benchmarks.cores:one_per_core", arguments)) as child:
        seconds, loss = child.run()
    assert seconds > 0
    assert math.isclose(loss, ours.ours(CASE, images)()[1], rel_tol=1e-5)


def test_scoring(images):
    seconds, mean = ours.samples(CASE, category=1, num=3)()
    assert seconds > 0
    assert 0 < mean < 1
    seconds, mean = ours.log_likelihood(CASE, images, samples=4)()
    assert seconds > 0
    pixels = math.prod(SHAPE)
    assert math.isclose(mean, -pixels * math.log(2), rel_tol=0.1)  # a fresh model knows nothing


def test_marks_of_a_training(capsys, request):
    request.addfinalizer(lambda: CALLBACKS.forget("marks"))
    assert start.MARKS[0] == "--extend"
    runpy.run_path(start.MARKS[1])
    x = np.zeros((20, 2), np.uint8)
    settings = Training(epochs=1, batch_size=10)
    config = Config(shape=(2,), K=2, latent=1, hidden=(2,))
    fit(jax.random.key(0), config, x, x, recipe=settings, callbacks=[CALLBACKS["marks"]()])
    marks = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [mark[:2] for mark in marks] == [["mark", "training"], ["mark", "epoch"]]
    assert float(marks[0][2]) < float(marks[1][2])


def dot_generals(jaxpr) -> Iterator[int]:
    """Operations of each product that a program computes."""
    for equation in jaxpr.eqns:
        assert equation.primitive.name not in ("scan", "while")  # which would compute some often
        if equation.primitive.name == "dot_general":
            left, right = (factor.aval.shape for factor in equation.invars)
            (summed, _), (beside, _) = equation.params["dimension_numbers"]
            shared = math.prod(left[axis] for axis in (*summed, *beside))
            yield 2 * math.prod(left) * math.prod(right) // shared
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                    yield from dot_generals(getattr(inner, "jaxpr", inner))


@pytest.mark.parametrize("K", [10, 500])
def test_the_floor_has_the_products_and_the_parameters_of_the_real_step(K):
    case = Case("cp", K, 100)
    params = template(ours.config_of(case))
    assert floor.parameters(case) == sum(leaf.size for leaf in jax.tree.leaves(params.weights))

    x = jax.ShapeDtypeStruct((case.batch, *SHAPE), jnp.float32)
    progress = Progress(jnp.float32(1), 1)
    objective = objectives.of(Training())
    step = jax.make_jaxpr(lambda params, key, x: gradient(objective, params, key, x, progress))
    program = step(params, jax.random.key(0), x)
    assert floor.flops(case) == sum(dot_generals(program.jaxpr))


def test_the_floor_runs():
    run = floor.floor(CASE, 3)
    assert run()[0] > run()[0] > 0  # the first run compiles
