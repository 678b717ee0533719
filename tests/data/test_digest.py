"""Digests of examples: equal for the same data however they are kept, and for no others."""

import numpy as np
import pytest

from cpvae_jax.data import Rows, digest

X = np.random.default_rng(0).normal(size=(30, 2, 3)).astype(np.float32)


def of(x):
    return digest.of({"train": x})["train"]


@pytest.mark.parametrize(
    "same",
    [
        X.copy(),
        X.reshape(30, 6),
        X.astype(">f4"),
        np.asfortranarray(X),
        np.repeat(X, 2, axis=0)[::2],
        Rows([X]),
        Rows([X[:7], X[7:].astype(np.float32)]),
        Rows([X.reshape(30, 6)]).shaped((3, 2)),
    ],
    ids=["copy", "flat", "bytes", "columns", "strided", "rows", "parts", "shaped"],
)
def test_the_same_data_have_one_digest(same):
    assert of(same) == of(X)


def changed(index, value):
    x = X.copy()
    x[index] = value
    return x


@pytest.mark.parametrize(
    "other",
    [
        changed((0, 0, 0), 9.0),
        changed((29, 1, 2), np.nextafter(X[29, 1, 2], np.float32(9))),
        X[::-1],
        X[:29],
        X.astype(np.float64),
        X.view(np.int32),
        np.concatenate([X, X[:1]]),
        Rows([X[7:], X[:7]]),
    ],
    ids=["first", "last bit", "order", "fewer", "float64", "type", "more", "parts"],
)
def test_other_data_have_another_digest(other):
    assert of(other) != of(X)


@pytest.mark.parametrize("block", [1, 7, 10**6])
def test_the_digest_does_not_depend_on_the_size_of_blocks(block, monkeypatch):
    before = of(X)
    monkeypatch.setattr("cpvae_jax.data.rows.CHECKED", block)
    assert of(X) == of(Rows([X])) == before


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.longdouble])
def test_every_type_of_numbers_has_a_digest(dtype):
    x = np.arange(6).reshape(3, 2).astype(dtype)
    assert of(x) == of(x.copy()) != of(1 - x.astype(int))


def test_each_part_has_its_own_and_missing_ones_have_none():
    found = digest.of({"train": X, "valid": X[:5], "test": None})
    assert found == {"train": of(X), "valid": of(X[:5])}
