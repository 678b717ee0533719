"""Two epochs of every model of the paper give the same numbers as in runs of format 1.

`fixtures/two-epochs.json` holds the metrics that the last version of that format logged for
`python -m experiments.run --model MODEL --epochs 2`, on the digits.
"""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from cpvae_jax import Config, Training, fit
from experiments.data import load

EXPECTED = json.loads((Path(__file__).parents[1] / "fixtures" / "two-epochs.json").read_text())

ROUNDING = 1e-5
"""Relative: the programs are compiled without optimisation here, which moves sums by 2e-6."""


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.mark.parametrize("model", EXPECTED)
def test_two_epochs_give_the_stored_metrics(model, digits):
    config = Config.of_model(
        model,
        shape=digits.shape,
        K=1 if model in ("vae", "hvae") else 10,
        likelihood="gaussian",
    )
    result = fit(
        jax.random.key(0),
        config,
        digits.train,
        digits.valid,
        recipe=Training(learning_rate=2e-3, epochs=2),
        callbacks=[],
    )
    assert EXPECTED[model].keys() <= result.history[0].keys()
    for name, values in EXPECTED[model].items():
        found = [row[name] for row in result.history]
        np.testing.assert_allclose(found, values, rtol=ROUNDING, atol=1e-7, err_msg=name)
