"""The likelihood seam: p(x|z, c) from the decoder's output.

Data arrive in the user's unit. They are brought to the model's unit once, on the host
(`Likelihood.prepare`), and everything inside computes in that unit, in float32. Only what a user
gets back is brought to the data's unit again (`Likelihood.restore`).
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from cpvae_jax.config import Config
from cpvae_jax.data.conversion import concrete
from cpvae_jax.data.rows import Rows
from cpvae_jax.errors import UserError
from cpvae_jax.types import Own, Tree

Array = np.ndarray | jax.Array

FLOAT32 = float(np.finfo(np.float32).max)
INT32 = np.iinfo(np.int32)


class Init(Protocol):
    def __call__(self, key: jax.Array, config: Config, data: np.ndarray | None) -> Own:
        """The likelihood's own arrays at the start; eager, so it may look at the data.

        Args:
          key: A random key.
          config: The configuration of the model.
          data: Training examples [N, *shape] in the user's unit, a sample if they are `Rows`; or
            None.
        """


class Measure(Protocol):
    def __call__(self, config: Config, data: np.ndarray | Rows) -> Tree:
        """Constants of all training examples; they replace those of `init` with the same names.

        Called once before training, in the user's unit; the same for all seeds. May warn, or raise
        `UserError` for data that the model cannot compute with.
        """


class Prepare(Protocol):
    def __call__(self, own: Own, data: Array) -> Array:
        """Data [..., *shape] from the user's unit to the model's.

        NumPy arrays stay NumPy arrays and are converted in float64. Others may be traced.
        """


class Restore(Protocol):
    def __call__(self, own: Own, x: Array) -> Array:
        """x [..., *shape] from the model's unit to the user's."""


class Compare(Protocol):
    def __call__(self, config: Config, own: Own, data: np.ndarray, name: str) -> None:
        """Warn if data [B, *shape], in the user's unit, seem to have another unit than at `fit`.

        Raise `UserError` if they cannot have the same. `name` is what to call the data.
        """


class LogProb(Protocol):
    def __call__(self, config: Config, own: Own, output: jax.Array, x: jax.Array) -> jax.Array:
        """log p in nats: output [..., *shape, channels] and x [..., *shape] to [...].

        x has the model's unit, and the density is per unit of the user's.
        """


class Mean(Protocol):
    def __call__(self, config: Config, own: Own, output: jax.Array) -> jax.Array:
        """The mean of x in the model's unit: output [..., *shape, channels] to [..., *shape]."""


class Sample(Protocol):
    def __call__(self, config: Config, own: Own, key: jax.Array, output: jax.Array) -> jax.Array:
        """A draw of x in the model's unit: output [..., *shape, channels] to [..., *shape]."""


class Check(Protocol):
    def __call__(self, config: Config, array: np.ndarray, name: str) -> None:
        """Raise `UserError` for finite numbers that the likelihood cannot explain.

        `name` is what to call the array in the message.
        """


class Observe(Protocol):
    def __call__(self, config: Config, key: jax.Array, data: jax.Array) -> jax.Array:
        """What the model explains, from prepared data [B, *shape]; may be a random draw."""


class Expect(Protocol):
    def __call__(self, config: Config, data: jax.Array) -> jax.Array:
        """The mean of `observe`: encodes without a key, and has the unit of the model's output."""


class Standardise(Protocol):
    def __call__(self, own: Own, x: jax.Array) -> jax.Array:
        """The encoder's input [..., *shape] from x [..., *shape]."""


class Average(Protocol):
    def __call__(self, own: Own, log_weights: jax.Array, x: jax.Array) -> jax.Array:
        """The average in the user's unit of x [S, B, *shape], by weights [S, B] that add up to 1.

        x and the result have the model's unit.
        """


class Map(Protocol):
    def __call__(self, x: jax.Array) -> jax.Array:
        """An elementwise function."""


def accept(config: Config, array: np.ndarray, name: str) -> None:
    """Take all finite numbers."""
    del config, array, name


def measure_nothing(config: Config, data: np.ndarray | Rows) -> Tree:
    """No constants."""
    del config, data
    return {}


def same(own: Own, x: Array) -> Array:
    """x itself."""
    del own
    return x


def in_32_bits(own: Own, data: Array) -> Array:
    """The same numbers in 32 bits or fewer: floats as float32, and integers too large for int32."""
    del own
    if not isinstance(data, np.ndarray) or data.dtype.itemsize == 1:
        return data
    fits = data.dtype.kind == "i" or data.dtype.kind == "u"
    if fits and data.size and data.dtype.itemsize >= 4:
        fits = bool(data.min() >= INT32.min and data.max() <= INT32.max)
    return data.astype(np.int32 if fits else np.float32, copy=False)


def refuse_beyond_float32(config: Config, own: Own, data: np.ndarray, name: str) -> None:
    """Raise `UserError` for finite numbers that float32 cannot hold."""
    del config, own
    low, high = float(data.min()), float(data.max())
    if max(-low, high) > FLOAT32:
        raise UserError(
            f"{name} ranges from {low:g} to {high:g}, beyond float32 (±{FLOAT32:.1e}); rescale it."
        )


def readable(own: Own, data: Array) -> bool:
    """Whether data can be prepared on the host: neither they nor the constants are traced."""
    return all(map(concrete, (data, *jax.tree.leaves(own.stats))))


def as_floats(config: Config, data: jax.Array) -> jax.Array:
    """The data themselves."""
    del config
    return data.astype(jnp.float32)


def observe_as_floats(config: Config, key: jax.Array, data: jax.Array) -> jax.Array:
    """The data themselves, without chance."""
    del key
    return as_floats(config, data)


def average(own: Own, log_weights: jax.Array, x: jax.Array) -> jax.Array:
    """Σ_s w_s x_s, where the model's unit is a linear one."""
    del own
    weights = jnp.exp(log_weights).reshape(*log_weights.shape, *[1] * (x.ndim - 2))
    return jnp.sum(weights * x, axis=0)


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
      standardise: For a likelihood whose x is not a good input of the encoder as it is.
      to_input: Maps unlimited numbers to the range of the encoder's input, for inputs that are
        learned, such as VampPrior's pseudo-inputs.
      from_input: The inverse of `to_input`, kept finite.
      options: Fields of `Config` that it reads, of those in `config.OPTIONS`.
      suits: The kind of data that it is the default for: "grey", "real", "table" or none.
      description: What it takes the data for, in a few words; printed at the start of a run.
      measure, prepare, restore, compare: The unit of the data; by default the model's is the same.
      limits: The least and the largest x in the model's unit; altered copies of x stay within.
      average: Averages x in the user's unit.
      coded: Whether x is a coded row of the columns of a table, see `cpvae_jax.columns`.
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
    measure: Measure = measure_nothing
    prepare: Prepare = in_32_bits
    restore: Restore = same
    compare: Compare = refuse_beyond_float32
    limits: tuple[float, float] = (-math.inf, math.inf)
    coded: bool = False
    average: Average = average
