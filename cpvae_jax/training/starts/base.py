"""The seam of starts: what the categories are before the bound is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import numpy as np

from cpvae_jax.config import Config


class Partition(Protocol):
    def __call__(self, key: jax.Array, config: Config, x: np.ndarray) -> np.ndarray:
        """A category from 0 to K − 1 for each row of x, [N], or probabilities of them, [N, K].

        Args:
          key: A random key.
          config: The model.
          x: Training examples [N, X] as the encoder sees them: standardised, or grey levels.
        """


class Start(NamedTuple):
    """Where the categories start.

    Attributes:
      partitions: What the encoder is first fitted to, one candidate each. None stands for fresh
        weights.
      labels: Whether the partition is that of the labels which the user gives.
      free: Whether the encoder then follows the regularisers alone.
      gate: Whether that has to succeed: if the categories do not become consistent, they stay
        anchored to the first partition.
    """

    partitions: tuple[Partition | None, ...] = (None,)
    labels: bool = False
    free: bool = False
    gate: bool = False


StartOrFunction = Start | Callable
"""What can be registered as a start; a function is a `Partition`."""
