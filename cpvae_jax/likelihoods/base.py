"""The likelihood seam: p(x|z, c) from the decoder's output."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.types import Own


class Init(Protocol):
    def __call__(self, key: jax.Array, config: Config, data: np.ndarray | None) -> Own:
        """The likelihood's own arrays at the start; eager, so it may look at the data.

        Args:
          key: A random key.
          config: The configuration of the model.
          data: Training examples [N, *shape], or None.
        """


class LogProb(Protocol):
    def __call__(self, config: Config, own: Own, output: jax.Array, x: jax.Array) -> jax.Array:
        """log p(x) in nats: output [..., *shape, channels] and x [..., *shape] to [...]."""


class Mean(Protocol):
    def __call__(self, config: Config, own: Own, output: jax.Array) -> jax.Array:
        """The mean of x: output [..., *shape, channels] to [..., *shape]."""


class Sample(Protocol):
    def __call__(self, config: Config, own: Own, key: jax.Array, output: jax.Array) -> jax.Array:
        """A draw of x: output [..., *shape, channels] to [..., *shape]."""


class Check(Protocol):
    def __call__(self, config: Config, array: np.ndarray, name: str) -> None:
        """Raise `UserError` for finite numbers that the likelihood cannot explain.

        `name` is what to call the array in the message.
        """


class Observe(Protocol):
    def __call__(self, config: Config, key: jax.Array, data: jax.Array) -> jax.Array:
        """What the model explains, [B, *shape], from data [B, *shape]; may be a random draw."""


class Expect(Protocol):
    def __call__(self, config: Config, data: jax.Array) -> jax.Array:
        """The mean of `observe`: encodes without a key, and has the unit of the model's output."""


class Standardise(Protocol):
    def __call__(self, own: Own, x: jax.Array) -> jax.Array:
        """The encoder's input [..., *shape] from x [..., *shape]."""


class Map(Protocol):
    def __call__(self, x: jax.Array) -> jax.Array:
        """An elementwise function."""


def accept(config: Config, array: np.ndarray, name: str) -> None:
    """Take all finite numbers."""
    del config, array, name


def as_floats(config: Config, data: jax.Array) -> jax.Array:
    """The data themselves."""
    del config
    return data.astype(jnp.float32)


def observe_as_floats(config: Config, key: jax.Array, data: jax.Array) -> jax.Array:
    """The data themselves, without chance."""
    del key
    return as_floats(config, data)


def as_given(own: Own, x: jax.Array) -> jax.Array:
    """The encoder sees x itself."""
    del own
    return x


def identity(x: jax.Array) -> jax.Array:
    """x itself."""
    return x


def flat(config: Config, array: jax.Array) -> jax.Array:
    """[..., *shape] as [..., X]: one axis to sum over, and long inner loops."""
    leading = array.shape[: array.ndim - len(config.shape)]
    return array.reshape(*leading, config.size)


def shaped(config: Config, array: jax.Array) -> jax.Array:
    """The inverse of `flat`."""
    return array.reshape(*array.shape[:-1], *config.shape)


class Likelihood(NamedTuple):
    """A distribution of x.

    Attributes:
      channels: Numbers that the decoder gives for each number of x.
      to_input: Maps unlimited numbers to the range of the encoder's input, for inputs that are
        learned, such as VampPrior's pseudo-inputs.
      from_input: The inverse of `to_input`, kept finite.
      options: Fields of `Config` that it reads, of those in `config.OPTIONS`.
      suits: The kind of data that it is the default for: "grey", "real" or none.
      description: What it takes the data for, in a few words; printed at the start of a run.
    """

    init: Init
    log_prob: LogProb
    mean: Mean
    sample: Sample
    channels: int = 1
    check: Check = accept
    observe: Observe = observe_as_floats
    expect: Expect = as_floats
    standardise: Standardise = as_given
    to_input: Map = identity
    from_input: Map = identity
    options: tuple[str, ...] = ()
    suits: str = ""
    description: str = ""
