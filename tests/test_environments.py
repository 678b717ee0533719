"""The switches of JAX that a user may set for the rest of a program: the library works under all.

Each setting runs `environments.py` in a process of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from cpvae_jax import Config, bound, initialise

pytestmark = pytest.mark.slow

WIDE = ("float64", "int64", "uint64", "complex128")

TOLERANCE = 2e-5
"""Relative and absolute. Under `JAX_ENABLE_X64` optax rounds a few scalars later."""


def computed(*folders, **switches):
    command = [sys.executable, "-m", "tests.environments", *map(str, folders)]
    done = subprocess.run(
        command,
        env=os.environ | switches,
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("usual")


@pytest.fixture(scope="module")
def usual(folder):
    """What is computed without any switch."""
    return computed(folder, "all")


def assert_same(found, usual, rounding):
    for name in usual.keys() & found.keys():
        assert found[name][0] == usual[name][0], name
        np.testing.assert_allclose(
            found[name][1], usual[name][1], rtol=rounding, atol=rounding, err_msg=name
        )


def test_no_array_is_wider_than_32_bits(usual):
    assert len(usual) > 200
    assert {dtype for dtype, _ in usual.values()}.isdisjoint(WIDE)


def test_64_bits_change_neither_types_nor_numbers_nor_what_is_read(usual, folder, tmp_path):
    found = computed(tmp_path / "new", folder, JAX_ENABLE_X64="1")
    assert usual.keys() <= found.keys()
    assert_same(found, usual, TOLERANCE)
    for name, place in (("asked", "images-saved"), ("asked of table", "table")):
        expected = usual[f"['{name}']['predict']"]
        dtype, values = found[f"['read']['{place}']"]
        assert dtype == expected[0] == "float32"
        np.testing.assert_allclose(values, expected[1], rtol=1e-6)


def test_strict_rules_and_checks_change_nothing(usual, tmp_path):
    found = computed(
        tmp_path,
        JAX_NUMPY_DTYPE_PROMOTION="strict",
        JAX_NUMPY_RANK_PROMOTION="raise",
        JAX_DEBUG_NANS="1",
        JAX_CHECK_TRACER_LEAKS="1",
        JAX_DEFAULT_MATMUL_PRECISION="highest",
    )
    assert len(found) > 150
    assert_same(found, usual, 1e-6)


@pytest.mark.parametrize(
    "switches",
    [
        {"JAX_DEFAULT_PRNG_IMPL": "rbg"},
        {"JAX_DEFAULT_PRNG_IMPL": "unsafe_rbg"},
        {"JAX_THREEFRY_PARTITIONABLE": "0"},
    ],
    ids=lambda switches: "=".join(*switches.items()),
)
def test_other_random_numbers_give_other_draws_of_the_same_kind(switches, usual, tmp_path):
    found = computed(tmp_path, **switches)
    assert len(found) > 150
    same = 0
    for name, (dtype, values) in found.items():
        assert usual[name][0] == dtype, name
        if "key" not in name:
            assert np.all(np.isfinite(values)), name
            assert len(usual[name][1]) == len(values), name
            same += usual[name][1] == values
    assert same < len(found) / 2


def test_without_compilation_the_bound_is_the_same():
    """In this process: each operation is compiled by itself, which would take long for a training."""
    config = Config.of_model("vae", shape=(2,), K=1, latent=1, hidden=(2,), binarise="none")
    x = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
    params = initialise(jax.random.key(0), config)

    def bounds():
        return bound(params, jax.random.key(1), x).bound

    with jax.disable_jit():
        found = bounds()
    np.testing.assert_allclose(found, bounds(), rtol=1e-5)
