"""Look-up tables of the parts that a model and its training are made of.

Every seam of the library has one table: a name in a configuration picks a part. Built-in parts
are listed here by the place of their record and imported when first used, so that this module
needs no JAX and a command can list the names at once. `register` adds a part of your own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, TypeVar

from cpvae_jax.errors import UserError

Made = TypeVar("Made", bound=Callable[..., Any])

_kept: list[Any] = []


def kept(make: Made) -> Made:
    """Lets equal calls of a function that makes a program share what it made.

    So JAX traces and compiles the program once. A part that replaces another one of the same name
    also makes the programs of the old one be forgotten.
    """
    made: Any = lru_cache(maxsize=16)(make)
    _kept.append(made)
    return made


class Registry:
    """Parts of one kind by name.

    Args:
      kind: What to call a part in messages.
      builtin: Places of the built-in parts, "module:attribute", by name.
      record: The place of the class that every part is an instance of.

    >>> table = Registry("colour", {}, "builtins:int")
    >>> table.register("red", 0xFF0000)
    >>> table["red"]
    16711680
    >>> table["blue"]
    Traceback (most recent call last):
    cpvae_jax.errors.UserError: colour is 'blue'; choose one of red, or register your own under \
that name first (a command takes the file by --extend).
    """

    def __init__(
        self, kind: str, builtin: Mapping[str, str], record: str = "collections.abc:Callable"
    ) -> None:
        self.kind = kind
        self._record = record
        self._places = dict(builtin)
        self._parts: dict[str, Any] = {}
        self._forgotten: dict[str, Any] = {}

    def names(self) -> list[str]:
        """All known names, the built-in ones first."""
        return [*self._places, *(name for name in self._parts if name not in self._places)]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._places or name in self._parts)

    def __getitem__(self, name: str) -> Any:
        if name not in self:
            raise UserError(
                f"{self.kind} is {name!r}; choose one of {', '.join(self.names())}, or register "
                "your own under that name first (a command takes the file by --extend)."
            )
        if name not in self._parts:
            self._parts[name] = _imported(self._places[name])
        return self._parts[name]

    def register(self, name: str, part: Any) -> None:
        """Add a part under a name.

        A part that was defined under the same names replaces the one before, so that a file or a
        notebook cell can be run again.

        Raises:
          UserError: The name is not a single word, another part has it, or the part is not what
            such parts are.
        """
        if not isinstance(name, str) or not _is_word(name):
            raise UserError(
                f"a {self.kind} cannot be registered as {name!r}; the name must be a single word."
            )
        known = name in self
        before = self[name] if known else part
        builtin = name in self._places
        if before is not part and (builtin or not _same_definition(before, part)):
            raise UserError(
                f"a {self.kind} cannot be registered as {name!r}, because "
                f"{'a built-in' if builtin else 'another'} one has that name; choose one that is "
                f"not among {', '.join(self.names())}."
            )
        if not isinstance(part, _imported(self._record)):
            raise UserError(
                f"{part!r} cannot be registered as a {self.kind}; it must be a "
                f"{self._record.replace(':', '.')}."
            )
        if self._forgotten.pop(name, before) is not part:
            _clear_caches()
        self._parts[name] = part

    def forget(self, name: str) -> None:
        """Remove a registered part; built-in parts stay."""
        if name in self._parts and name not in self._places:
            self._forgotten[name] = self._parts.pop(name)


def _is_word(name: str) -> bool:
    """Letters, digits, dashes and underscores, which a command's flag can take."""
    return name.replace("-", "_").isidentifier() and not name.startswith("-")


def _clear_caches() -> None:
    """Forget the programs that were compiled with another part under the same name."""
    for made in _kept:
        made.cache_clear()
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()


def _same_definition(a: Any, b: Any) -> bool:
    """Whether two parts come from the same place in the source: equal but for functions run again."""
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return all(map(_same_definition, a, b))
    if callable(a) and callable(b):
        names = [(getattr(f, "__module__", 0), getattr(f, "__qualname__", f)) for f in (a, b)]
        return names[0] == names[1]
    return bool(a == b)


def _imported(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


NETWORKS = Registry(
    "network",
    {"gated": "cpvae_jax.networks.gated:NETWORK", "conv": "cpvae_jax.networks.conv:NETWORK"},
    "cpvae_jax.networks.base:Network",
)
POSTERIORS = Registry(
    "posterior",
    {
        "diagonal": "cpvae_jax.posteriors.diagonal:POSTERIOR",
        "full": "cpvae_jax.posteriors.full:POSTERIOR",
        "iaf": "cpvae_jax.posteriors.iaf:POSTERIOR",
    },
    "cpvae_jax.posteriors.base:PosteriorFamily",
)
PRIORS = Registry(
    "prior",
    {
        "cp": "cpvae_jax.priors.conditional:PRIOR",
        "full": "cpvae_jax.priors.full:PRIOR",
        "mg": "cpvae_jax.priors.mixture:PRIOR",
        "vae": "cpvae_jax.priors.standard:PRIOR",
        "vp": "cpvae_jax.priors.vamp:PRIOR",
    },
    "cpvae_jax.priors.base:Prior",
)
LIKELIHOODS = Registry(
    "likelihood",
    {
        "bernoulli": "cpvae_jax.likelihoods.bernoulli:LIKELIHOOD",
        "gaussian": "cpvae_jax.likelihoods.gaussian:LIKELIHOOD",
        "mixed": "cpvae_jax.likelihoods.mixed:LIKELIHOOD",
        "autoregressive": "cpvae_jax.likelihoods.autoregressive:LIKELIHOOD",
    },
    "cpvae_jax.likelihoods.base:Likelihood",
)
OBJECTIVES = Registry(
    "objective",
    {
        "bound": "cpvae_jax.objectives.bound:bound",
        "iwae": "cpvae_jax.objectives.importance:iwae",
        "dreg": "cpvae_jax.objectives.importance:dreg",
        "regularisers": "cpvae_jax.objectives.categories:regularisers",
        "partition": "cpvae_jax.objectives.categories:partition",
    },
)
REGULARISERS = Registry(
    "regulariser",
    {
        "anchor": "cpvae_jax.objectives.categories:anchor",
        "balance": "cpvae_jax.objectives.regularisers:balance",
        "certainty": "cpvae_jax.objectives.regularisers:certainty",
        "consistency": "cpvae_jax.objectives.regularisers:consistency",
    },
)
VIEWS = Registry(
    "view",
    {
        "affine": "cpvae_jax.objectives.views.affine:VIEW",
        "adversarial": "cpvae_jax.objectives.views.adversarial:VIEW",
        "neighbours": "cpvae_jax.objectives.views.neighbours:VIEW",
        "noise": "cpvae_jax.objectives.views.noise:VIEW",
    },
    "cpvae_jax.objectives.views.base:ViewOrFunction",
)
RECIPES = Registry(
    "recipe",
    {
        "paper": "cpvae_jax.training.recipe:PAPER",
        "short": "cpvae_jax.training.recipe:SHORT",
        "long": "cpvae_jax.training.recipe:LONG",
        "modes": "cpvae_jax.training.recipe:MODES",
        "tight": "cpvae_jax.training.recipe:TIGHT",
    },
    "cpvae_jax.training.recipe:Recipe",
)
STARTS = Registry(
    "start",
    {
        name: f"cpvae_jax.training.starts.builtin:{name.upper()}"
        for name in ("fresh", "regularisers", "kmeans", "mixture", "labels", "adaptive")
    },
    "cpvae_jax.training.starts.base:StartOrFunction",
)
CALLBACKS = Registry(
    "callback",
    {
        "mlflow": "cpvae_jax.training.trackers.mlflow:MLflow",
        "tensorboard": "cpvae_jax.training.trackers.tensorboard:TensorBoard",
        "wandb": "cpvae_jax.training.trackers.wandb:WeightsAndBiases",
    },
)

TWO_LEVELS = "h"
"""First letter of the name of a two-level model: "hvp" is the prior "vp" on two levels."""


def parts_of_model(model: str) -> tuple[str, int]:
    """The prior and the number of levels that a short name stands for.

    >>> parts_of_model("hvae"), parts_of_model("cp")
    (('vae', 2), ('cp', 1))
    """
    if not isinstance(model, str) or (
        model not in PRIORS and model.removeprefix(TWO_LEVELS) not in PRIORS
    ):
        names = PRIORS.names()
        raise UserError(
            f"model is {model!r}; choose one of {', '.join(names)}, or one of these on two levels: "
            f"{', '.join(TWO_LEVELS + name for name in names)}."
        )
    return (model, 1) if model in PRIORS else (model.removeprefix(TWO_LEVELS), 2)
