"""The prior seam: K Gaussians over z, and how they start."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.distributions.mixture import Components
from cpvae_jax.errors import UserError
from cpvae_jax.types import Tree

Encode = Callable[[jax.Array], tuple[jax.Array, jax.Array]]
"""Encoder inputs [N, *shape] to mean and log-variance of q(z|x), without c, [N, D] each."""


class Start(NamedTuple):
    """What a prior may look at when it starts.

    Attributes:
      data: Training examples [N, *shape] as the user gave them, or None.
      inputs: Turns examples [B, *shape] into encoder inputs of the same shape.
      encode: The encoder at its initial weights.
    """

    data: np.ndarray | jax.Array | None
    inputs: Callable[[np.ndarray | jax.Array], jax.Array]
    encode: Encode

    def examples(self, key: jax.Array, num: int) -> jax.Array:
        """Random training examples as the encoder sees them, [num, *shape].

        Raises:
          UserError: There are no data.
        """
        if self.data is None:
            raise UserError("the prior starts from training examples; give initialise some data.")
        index = jax.random.randint(key, (num,), 0, len(self.data), jnp.int32)
        return self.inputs(self.data[np.asarray(index)])


class Init(Protocol):
    def __call__(self, key: jax.Array, config: Config, start: Start) -> Tree:
        """The prior's weights at the start.

        Runs eagerly, outside `jit` and `vmap`, once per seed: any Python code will do.
        """


class GiveComponents(Protocol):
    def __call__(self, config: Config, weights: Tree, encode: Encode) -> Components:
        """The K Gaussians. The bound, the likelihood and the sampler all read these."""


class Prior(NamedTuple):
    """A prior of the code z: K Gaussians, and what the category c is to the model.

    Attributes:
      inferred: True if the encoder infers c and the networks see it, as in CP-VAE. False if the
        prior is the equally weighted mixture of its components with c summed out.
      single: True if there is one component, and no category to ask for.
    """

    init: Init
    components: GiveComponents
    inferred: bool
    single: bool = False
