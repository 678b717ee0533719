"""What a model is, and how it is trained, before any data: frozen, hashable records.

Nothing here needs JAX, so that a command can tell its flags in no time.
"""

from __future__ import annotations

import math
import operator
from dataclasses import asdict, dataclass, fields
from typing import Any

from cpvae_jax.errors import UserError

BINARISE = ("dynamic", "threshold", "none")

LAYERS = 100
"""The most gated layers: more are a mistake, or the configuration of somebody with bad intent."""

TRAINABLE = ("relaxed", "straight-through", "exact")
"""Estimators that give every parameter a gradient."""

PRECISIONS = ("float32", "tensorfloat32", "bfloat16")
"""Ways to multiply float32, from the exact to the fast; a device takes the nearest that it has."""


@dataclass(frozen=True)
class Config:
    """The configuration of a model. The defaults are those of the paper's section 5.

    Raises `UserError` for a value out of range.

    >>> Config(shape=(28, 28), K=10).size
    784
    >>> Config(shape=(28, 28), K=0)
    Traceback (most recent call last):
    cpvae_jax.errors.UserError: K is 0; the number of categories must be a whole number of at least 1.
    """

    shape: tuple[int, ...]
    """Shape of one example, without the batch axis."""
    K: int = 10
    """Number of categories."""
    latent: int = 40
    """D, the number of dimensions of z."""
    hidden: tuple[int, ...] = (300, 300)
    """Widths of the gated layers of the encoder; the decoder has the same."""
    likelihood: str = "bernoulli"
    """A name in `likelihoods.LIKELIHOODS`."""
    scale: float | None = None
    """Standard deviation of a Gaussian likelihood in the data's unit; None learns it."""
    binarise: str = "dynamic"
    """How a Bernoulli likelihood turns grey levels into 0 and 1: drawn afresh at every use
    ("dynamic"), cut at one half ("threshold"), or not at all ("none")."""
    model: str = "cp"
    """A name in `priors.names()`: that of a prior, with "h" before it for two levels."""

    def __post_init__(self) -> None:
        for name, one in (("shape", "(28, 28)"), ("hidden", "(300, 300)")):
            _replace(self, name, _whole_tuple(name, getattr(self, name), one))
        for name in ("K", "latent"):
            _replace(self, name, _whole(name, getattr(self, name)))
        if any(n < 1 for n in self.shape):
            raise UserError(f"shape is {self.shape}; every axis of an example must be at least 1.")
        if self.K < 1:
            raise UserError(
                f"K is {self.K}; the number of categories must be a whole number of at least 1."
            )
        if self.latent < 1:
            raise UserError(
                f"latent is {self.latent}; z needs a whole number of dimensions, at least 1."
            )
        if not 1 <= len(self.hidden) <= LAYERS or any(n < 1 for n in self.hidden):
            raise UserError(
                f"hidden is {self.hidden}; give the widths of 1 to {LAYERS} layers, such as (300, 300)."
            )
        if self.scale is not None:
            _replace(self, "scale", _positive("scale", self.scale, " or None, to learn it"))
        if self.binarise not in BINARISE:
            raise UserError(f"binarise is {self.binarise!r}; choose one of {', '.join(BINARISE)}.")

    @property
    def size(self) -> int:
        """X, the count of numbers in one example."""
        return math.prod(self.shape)

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Config:
        """The inverse of `to_dict`; a key that this version does not know is an error.

        >>> config = Config(shape=(8, 8), K=3)
        >>> Config.from_dict(config.to_dict()) == config
        True
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UserError(
                f"the configuration holds {', '.join(unknown)}, which this version does not know; "
                "load it with the version of cpvae_jax that wrote it, or a newer one."
            )
        return cls(**values)


@dataclass(frozen=True)
class Training:
    """How to train. The defaults are the paper's, section 5; where it is silent, as said.

    Raises `UserError` for a value out of range.
    """

    learning_rate: float = 5e-4
    """Adam's step size."""
    decay_epochs: int = 0
    """Epochs over which the step size falls to 0 by half a cosine; 0 keeps it, as the paper."""
    batch_size: int = 100
    """Examples a step."""
    warmup: int = 100
    """Epochs over which the weight of the divergences rises from 0 to 1."""
    epochs: int = 2000
    """The most epochs; the paper gives none, early stopping comes first."""
    patience: int = 50
    """Epochs without a better validation bound after which training stops; counted from the
    end of the warm-up. The paper gives none; 50 is the VampPrior's."""
    estimator: str = "relaxed"
    """One of `TRAINABLE`; the paper's is "relaxed"."""
    temperature: float = 1.0
    """Gumbel-Softmax temperature at the start; the paper gives none."""
    temperature_end: float = 0.5
    """The temperature reached at the end of the schedule (Jang et al., 2017)."""
    temperature_epochs: int = 100
    """Epochs over which the temperature falls, exponentially."""
    precision: str = "float32"
    """One of `PRECISIONS`: of the networks' matrix products in training steps, where the device
    has a choice, as GPUs and TPUs do. All else is of full float32, see `cpvae_jax.precision`."""

    def __post_init__(self) -> None:
        for name in ("learning_rate", "temperature", "temperature_end"):
            _replace(self, name, _positive(name, getattr(self, name)))
        least = dict.fromkeys(("batch_size", "epochs", "patience"), 1)
        for name in (*least, "decay_epochs", "warmup", "temperature_epochs"):
            value = _whole(name, getattr(self, name))
            if value < least.get(name, 0):
                raise UserError(f"{name} is {value}; it must be at least {least.get(name, 0)}.")
            _replace(self, name, value)
        if self.estimator not in TRAINABLE:
            raise UserError(
                f"estimator is {self.estimator!r}; choose one of {', '.join(TRAINABLE)}."
            )
        if self.precision not in PRECISIONS:
            raise UserError(
                f"precision is {self.precision!r}; choose one of {', '.join(PRECISIONS)}."
            )


def _replace(record: Any, name: str, value: Any) -> None:
    """Put a value of Python's own in place of what was given, so that JSON can hold it."""
    object.__setattr__(record, name, value)


def _whole(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise UserError(f"{name} is {value!r}; it must be a whole number.") from None


def _whole_tuple(name: str, value: Any, example: str) -> tuple[int, ...]:
    try:
        if isinstance(value, str | bytes | set):
            raise TypeError
        numbers = tuple(value)
    except TypeError:
        raise UserError(f"{name} is {value!r}; give whole numbers, such as {example}.") from None
    return tuple(_whole(name, n) for n in numbers)


def _positive(name: str, value: Any, otherwise: str = "") -> float:
    try:
        number = math.nan if isinstance(value, str | bytes | bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (number > 0 and math.isfinite(number)):
        raise UserError(f"{name} is {value!r}; it must be a positive number{otherwise}.")
    return number
