"""What a model is and how it is trained, before any data: frozen, hashable records.

Importing this module does not import JAX, so that a command can print its flags at once. The
commands make their flags from the fields: the help of each is in its metadata.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from cpvae_jax import columns as kinds
from cpvae_jax import values
from cpvae_jax.columns import Column
from cpvae_jax.errors import UserError
from cpvae_jax.registry import (
    LIKELIHOODS,
    NETWORKS,
    OBJECTIVES,
    POSTERIORS,
    PRIORS,
    REGULARISERS,
    STARTS,
    TWO_LEVELS,
    VIEWS,
    parts_of_model,
)
from cpvae_jax.values import setting

BINARISE = ("dynamic", "threshold", "none")
"""Ways to turn grey levels into 0 and 1."""

LAYERS = 100
"""The most hidden layers. More are a mistake, or a hostile configuration file."""

CATEGORY_PRIORS = ("uniform", "learned")
"""What p(c) may be."""

TRAINABLE = ("relaxed", "straight-through", "exact")
"""Estimators that give every parameter a gradient."""

OPTIONS = ("scale", "binarise")
"""Fields that only some likelihoods read; see `Likelihood.options`."""


@dataclass(frozen=True)
class Config:
    """The configuration of a model. The defaults are those of the paper's section 5.

    Raises:
      UserError: A value is out of range, a name is unknown, or parts do not fit together.

    >>> Config(shape=(28, 28), K=10).size
    784
    >>> Config(shape=(28, 28), K=0)
    Traceback (most recent call last):
    cpvae_jax.errors.UserError: K is 0; it must be at least 1.
    """

    shape: tuple[int, ...]
    """Shape of one example, without the batch axis."""
    K: int = setting(10, "number of categories, mixture components or pseudo-inputs")
    latent: int = setting(40, "dimensions of the code z")
    hidden: tuple[int, ...] = setting(
        (300, 300), "widths of the encoder's hidden layers; the decoder mirrors them"
    )
    prior: str = setting(
        "cp",
        "prior of z: cp (a Gaussian per category, the paper's), full (cp with full covariances), "
        "vae (standard normal), mg (mixture of Gaussians), vp (VampPrior), or one of your own",
    )
    levels: int = setting(
        1, "continuous codes: 1, or 2 for the hierarchical models", choices=(1, 2)
    )
    network: str = setting(
        "gated",
        "encoder and decoder: gated (the paper's), conv (convolutions, for images), or one of your own",
    )
    posterior: str = setting(
        "diagonal",
        "family of q(z|x, c): diagonal (Gaussian, the paper's), full (Gaussian with full covariances), "
        "iaf (inverse autoregressive flow), or one of your own",
    )
    likelihood: str = setting(
        "bernoulli",
        "distribution of x given z and c: bernoulli (grey levels, black and white), gaussian (real "
        "numbers), mixed (a table: a distribution per column), autoregressive (black and white images, "
        "each pixel given those before it), or one of your own",
    )
    scale: float | None = setting(
        None, "Gaussian likelihood: standard deviation in the data's unit; learned if not given"
    )
    binarise: str = setting(
        "dynamic",
        "Bernoulli likelihood: draw black and white afresh at every use (dynamic), cut the grey "
        "levels at one half (threshold), or use them as they are (none)",
        choices=BINARISE,
    )
    category_prior: str = setting(
        "uniform",
        "p(c): uniform over the categories (the paper's), or learned, for clusters of unequal size",
        choices=CATEGORY_PRIORS,
    )
    groups: tuple[int, ...] | None = setting(
        None, "the category that each of the K components belongs to after `merge`; -1 is pruned"
    )
    columns: tuple[Column, ...] | None = setting(
        None, "the columns of a table; the likelihood 'mixed' reads coded rows of them"
    )

    def __post_init__(self) -> None:
        for name, example in (("shape", "(28, 28)"), ("hidden", "(300, 300)")):
            values.replace(self, name, values.whole_tuple(name, getattr(self, name), example))
        for name in ("K", "latent", "levels"):
            values.replace(self, name, values.whole(name, getattr(self, name), least=1))
        if any(n < 1 for n in self.shape):
            raise UserError(f"shape is {self.shape}; every axis of an example must be at least 1.")
        if not 1 <= len(self.hidden) <= LAYERS or any(n < 1 for n in self.hidden):
            raise UserError(
                f"hidden is {self.hidden}; give the widths of 1 to {LAYERS} layers, such as (300, 300)."
            )
        if self.levels > 2:
            raise UserError(f"levels is {self.levels}; choose 1 or 2.")
        if self.scale is not None:
            values.replace(self, "scale", values.positive("scale", self.scale, " or None"))
        values.one_of("binarise", self.binarise, BINARISE)
        values.one_of("category_prior", self.category_prior, CATEGORY_PRIORS)
        values.replace(self, "groups", values.groups(self.K, self.groups))
        values.replace(self, "columns", kinds.from_any(self.columns))
        self._check_parts()

    def _check_parts(self) -> None:
        """Raise `UserError` unless all named parts exist and fit together."""
        if PRIORS[self.prior].single:
            values.single(self.prior, self.K, self.category_prior)
        likelihood = LIKELIHOODS[self.likelihood]
        for option in OPTIONS:
            default = type(self).__dataclass_fields__[option].default
            if getattr(self, option) != default and option not in likelihood.options:
                raise UserError(
                    f"{option} is {getattr(self, option)!r}, which the likelihood "
                    f"{self.likelihood!r} does not use; leave it out or choose another likelihood."
                )
        if self.columns is not None or likelihood.coded:
            kinds.check_shape(self.columns, self.shape, self.likelihood, coded=likelihood.coded)
        POSTERIORS[self.posterior]
        NETWORKS[self.network].check(self)

    @property
    def size(self) -> int:
        """X, the count of numbers in one example."""
        return math.prod(self.shape)

    @property
    def categories(self) -> int:
        """How many categories a user sees: K, or fewer after `merge` and `prune`."""
        return self.K if self.groups is None else max(self.groups) + 1

    @property
    def model(self) -> str:
        """The paper's short name of the model: the prior, with "h" in front for two levels.

        >>> Config(shape=(2,), prior="vp", levels=2).model
        'hvp'
        """
        return TWO_LEVELS * (self.levels - 1) + self.prior

    @classmethod
    def of_model(cls, model: str, **others: Any) -> Config:
        """A configuration from a short name such as "hvp", and the other fields.

        >>> Config.of_model("hcp", shape=(2,)).levels
        2
        """
        prior, levels = parts_of_model(model)
        return cls(prior=prior, levels=levels, **others)

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Config:
        """The inverse of `to_dict`.

        It also reads the dictionaries of version 0.1.0's first runs, which had the key "model".

        Raises:
          UserError: There is a key that this version does not know, or a value is invalid.

        >>> config = Config(shape=(8, 8), K=3)
        >>> Config.from_dict(config.to_dict()) == config
        True
        """
        given = dict(given)
        if "model" in given:
            given["prior"], given["levels"] = parts_of_model(given.pop("model"))
        unknown = sorted(set(given) - {field.name for field in fields(cls)})
        if unknown:
            raise UserError(
                f"the configuration has the unknown keys {', '.join(unknown)}; load it with the "
                "version of cpvae_jax that wrote it, or a newer one."
            )
        if "shape" not in given:
            raise UserError("the configuration has no key 'shape'; it is not that of a model.")
        return cls(**given)


@dataclass(frozen=True)
class Training:
    """How to train. The defaults are the paper's (section 5), and ours where it is silent.

    Raises:
      UserError: A value is out of range, or a name is unknown.
    """

    learning_rate: float = setting(5e-4, "Adam's step size")
    decay_epochs: int = setting(
        0, "epochs over which the step size falls to 0 along half a cosine; 0 keeps it constant"
    )
    batch_size: int = setting(100, "examples per step")
    warmup: int = setting(100, "epochs over which the weight of the divergences rises from 0 to 1")
    epochs: int = setting(2000, "the most epochs; early stopping usually comes first")
    patience: int = setting(
        50, "epochs without a better validation bound, after the warm-up, before training stops"
    )
    estimator: str = setting(
        "relaxed",
        "how the category is drawn: relaxed (Gumbel-Softmax, the paper's), straight-through, or "
        "exact (the sum over all categories, with K decoder passes)",
        choices=TRAINABLE,
    )
    temperature: float = setting(1.0, "Gumbel-Softmax temperature at the start")
    temperature_end: float = setting(0.5, "Gumbel-Softmax temperature at the end of its schedule")
    temperature_epochs: int = setting(
        100, "epochs over which the temperature falls exponentially to its end"
    )
    precision: str = setting(
        "float32",
        "precision of the networks' matrix products in training steps, on devices that have a "
        "choice; all scores are in full float32",
        choices=values.PRECISIONS,
    )
    free_bits: float = setting(0.0, "nats of KL(z), on average over a batch, that cost nothing")
    averaging: float = setting(
        0.0,
        "decay of the exponential moving average of the weights, such as 0.999; the averaged weights "
        "are validated and kept; 0 keeps the weights themselves",
    )
    objective: str = setting(
        "bound", "objective: bound (the paper's), iwae, dreg (importance-weighted), or your own"
    )
    regularisers: tuple[tuple[str, float], ...] = setting(
        (), "regularisers to add to the loss, with their weights in nats: NAME=WEIGHT"
    )
    view: str = setting(
        "affine",
        "altered copies that the regulariser 'consistency' compares examples with: affine (images "
        "rotated, scaled, sheared, shifted), adversarial (the small change that moves the category "
        "most), neighbours (similar examples), noise, or one of your own",
    )
    view_radius: float = setting(
        0.4, "view 'adversarial': size of the change, in distances to the 10th nearest neighbour"
    )
    view_noise: float = setting(
        0.2, "view 'noise': standard deviation of the noise, in standard deviations of the data"
    )
    start: str = setting(
        "fresh",
        "where the categories start: fresh (random weights), regularisers (the encoder is first "
        "trained on the regularisers alone), kmeans, mixture (a Gaussian mixture), labels (those "
        "that you give), adaptive (a mixture, moved by the regularisers where that makes categories "
        "consistent), or one of your own",
    )
    starts: int = setting(
        1, "candidate starts per seed; the one with the lowest loss of the regularisers is kept"
    )
    start_epochs: int = setting(30, "epochs in which the encoder takes over the start")

    def __post_init__(self) -> None:
        positive = ("learning_rate", "temperature", "temperature_end", "view_radius", "view_noise")
        for name in positive:
            values.replace(self, name, values.positive(name, getattr(self, name)))
        for name, end in (("free_bits", math.inf), ("averaging", 1.0)):
            values.replace(self, name, values.from_zero(name, getattr(self, name), end))
        least = dict.fromkeys(("batch_size", "epochs", "patience", "starts", "start_epochs"), 1)
        for name in (*least, "decay_epochs", "warmup", "temperature_epochs"):
            number = values.whole(name, getattr(self, name), least=least.get(name, 0))
            values.replace(self, name, number)
        values.one_of("estimator", self.estimator, TRAINABLE)
        values.one_of("precision", self.precision, values.PRECISIONS)
        OBJECTIVES[self.objective]
        pairs = values.weighted_names("regularisers", self.regularisers)
        values.replace(self, "regularisers", pairs)
        for name, _ in pairs:
            REGULARISERS[name]
        VIEWS[self.view]
        STARTS[self.start]
