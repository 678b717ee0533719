"""The schedules of the objective."""

import jax.numpy as jnp
import numpy as np

from cpvae_jax import Training
from cpvae_jax.objectives import schedules


def test_the_warm_up_rises_from_0_to_1():
    epochs = jnp.array([0.0, 25.0, 100.0, 300.0])
    np.testing.assert_allclose(schedules.beta(Training(warmup=100), epochs), [0, 0.25, 1, 1])
    np.testing.assert_allclose(schedules.beta(Training(warmup=0), epochs), 1)


def test_the_temperature_falls_exponentially_to_its_end():
    epochs = jnp.array([0.0, 50.0, 100.0, 300.0])
    falling = Training(temperature=2.0, temperature_end=0.5, temperature_epochs=100)
    np.testing.assert_allclose(schedules.temperature(falling, epochs), [2, 1, 0.5, 0.5], rtol=1e-6)
    at_once = Training(temperature=2.0, temperature_end=0.5, temperature_epochs=0)
    np.testing.assert_allclose(schedules.temperature(at_once, epochs), 0.5, rtol=1e-6)
