"""Moments of examples; how they become the constants of a model is tested with the likelihoods."""

import numpy as np
import pytest

from cpvae_jax.data import Rows, moments
from cpvae_jax.data import rows as rows_module


@pytest.mark.parametrize("columns", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
def test_blocks_give_the_moments_of_the_whole(columns, dtype, monkeypatch):
    monkeypatch.setattr(rows_module, "BLOCK", 1000)
    x = np.random.default_rng(0).uniform(0, 200, (501, 2, 3)).astype(dtype)
    flat = x.reshape(501, 6) if columns else x.reshape(-1, 1)
    for given in (x, Rows([x[:7], x[7:]])):
        found = moments.of(given, columns=columns)
        np.testing.assert_allclose(found.mean, flat.mean(axis=0, dtype=np.float64), rtol=1e-12)
        np.testing.assert_allclose(found.std, flat.std(axis=0, dtype=np.float64), rtol=1e-12)
        np.testing.assert_array_equal(found.low, flat.min(axis=0))
        np.testing.assert_array_equal(found.high, flat.max(axis=0))
        assert not found.constant.any()


def test_a_large_mean_costs_no_digits():
    x = 1e15 + np.tile([0.0, 1, 2], 1000)[:, None]
    assert moments.of(x, columns=True).std == pytest.approx(np.sqrt(2 / 3), rel=1e-12)
