"""`CPVAE`: the library in scikit-learn's conventions, a thin layer over `fit` and the functions of `api`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from cpvae_jax import api, likelihoods, values
from cpvae_jax.columns import Columns
from cpvae_jax.config import Config, Training
from cpvae_jax.data import coding, containers
from cpvae_jax.data.containers import Container
from cpvae_jax.evaluation import imputation, rows
from cpvae_jax.keys import purpose
from cpvae_jax.models import category as components
from cpvae_jax.registry import LIKELIHOODS, PRIORS, RECIPES
from cpvae_jax.training import callbacks as callbacks_of_fit
from cpvae_jax.training import recipe as recipes
from cpvae_jax.training.fit import fit

SEEDS = 2**31 - 1
"""Seeds that a random state gives."""

SETTINGS = [field.name for field in fields(Training)]
FURTHER = [field.name for field in fields(Config) if field.name not in ("shape", "columns")]
"""Names in `training` and in `config`; the shape and the columns are those of the data."""


class CPVAE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):
    """Clusters that you can sample from: a variational autoencoder with a learned prior per category.

    It takes arrays [N, C] of numbers, images [N, H, W] or [N, H, W, channels], data frames of pandas,
    polars and others with columns of any kind, Arrow tables, AnnData and sparse matrices. Numbers are
    standardised inside: nothing needs to be scaled first. NaN, None and NA are gaps, which the model
    leaves out.

    Args:
      n_categories: K, the number of categories.
      prior: "cp" (a Gaussian per category), "full" (with full covariances), "mg", "vp" or "vae".
      latent: Dimensions of the code z; by default the recipe's for data of this kind and size.
      hidden: Widths of the hidden layers; by default the recipe's.
      likelihood: "gaussian", "bernoulli", "mixed" or your own; by default by the kind of the data.
      columns: Kinds of some columns by name ("real", "positive", "count", "binary", "categorical",
        "ordinal"), in place of those that are inferred.
      recipe: Name of a recipe, or a `Training` with all settings; by default "modes".
      training: Settings that differ from the recipe's, by name, such as {"epochs": 20}.
      config: Further fields of `Config` by name, such as {"levels": 2}.
      n_init: Seeds to train; the one with the best validation bound is kept.
      warm_start: Start from the model of the last `fit`.
      random_state: A seed, a `numpy.random.RandomState`, or None for a fresh seed.
      verbose: 1 shows a progress bar and the columns of a table.
      callbacks: Called after each epoch; see `cpvae_jax.training.callbacks`.

    Attributes:
      params_: The model, for all functions of `cpvae_jax`.
      labels_: The category of each row of the training data, [N].
      history_: One record per epoch and seed; `pandas.DataFrame(history_)` is a table.
      columns_: The columns of a table and their kinds; None for arrays without gaps.
      lower_bound_: The best validation bound, in nats per row.
      n_iter_: Epochs trained.
      n_features_in_, feature_names_in_: What `fit` has seen.

    >>> from sklearn.datasets import load_iris
    >>> x = load_iris().data
    >>> model = CPVAE(3, latent=2, hidden=(16,), training={"epochs": 2, "starts": 1}, random_state=0)
    >>> model.fit_predict(x).shape, model.sample(5, category=1)[0].shape
    ((150,), (5, 4))
    """

    def __init__(
        self,
        n_categories: int = 10,
        *,
        prior: str = "cp",
        latent: int | None = None,
        hidden: Sequence[int] | None = None,
        likelihood: str | None = None,
        columns: Mapping[str, Any] | None = None,
        recipe: str | Training | None = None,
        training: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        n_init: int = 1,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: int = 0,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self.n_categories = n_categories
        self.prior = prior
        self.latent = latent
        self.hidden = hidden
        self.likelihood = likelihood
        self.columns = columns
        self.recipe = recipe
        self.training = training
        self.config = config
        self.n_init = n_init
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    def __sklearn_tags__(self) -> Any:
        """What data it takes."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # codes are float32
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        tags.input_tags.three_d_array = True
        tags.input_tags.categorical = True
        return tags

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> CPVAE:
        """Train on rows X [N, ...]; y is not used.

        Args:
          X: The data.
          y: Ignored.
          sample_weight: A weight from 0 for each row, [N].

        Raises:
          UserError: The data or a setting cannot be used.
        """
        del y
        known = getattr(self, "params_", None) if self.warm_start else None
        container = self._opened(X, reset=True)
        coded = None if self.likelihood is None else LIKELIHOODS[self.likelihood].coded
        read = containers.read(container, self.columns, coded)
        if self.verbose and read.columns is not None:
            print(read.described, flush=True)
        params_config = self._configured(read)
        recipe = recipes.resolve(self.recipe, params_config, len(read.x))
        settings = values.changes("training", self.training, SETTINGS, "{'epochs': 20}")
        given = callbacks_of_fit.several(self.callbacks or ())
        seeds = values.whole("n_init", self.n_init, least=1)
        keys = jax.random.split(jax.random.key(self._seed()), seeds)
        found = fit(
            keys,
            params_config,
            read.x,
            recipe=replace(recipe, **settings),
            init=known if known is not None and known.config == params_config else None,
            sample_weight=sample_weight,
            callbacks=[callbacks_of_fit.Bar(quiet=not self.verbose), *given],
        )
        self.params_ = found.params
        self.columns_: Columns | None = read.columns
        self.history_ = found.history
        self.lower_bound_ = float(np.max(np.asarray(found.state.best_bound)))
        self.n_iter_ = int(np.max(np.asarray(found.state.epoch)))
        self._native = container.native
        self._n_features_out = params_config.latent
        self.labels_ = self._labels(read.x)
        return self

    def _opened(self, X: Any, *, reset: bool) -> Container:
        """The data with their names; a column more or less than at `fit` is an error."""
        return containers.opened(X, partial(validate_data, self, reset=reset), fitting=reset)

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(SEEDS))

    def _configured(self, read: containers.Read) -> Config:
        """The model for data of this kind and size."""
        given: dict[str, Any] = {
            "latent": self.latent,
            "hidden": self.hidden,
            "likelihood": self.likelihood,
        }
        chosen: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
        further = values.changes("config", self.config, FURTHER, "{'levels': 2}")
        chosen |= {"prior": self.prior, **further}
        single = PRIORS[chosen["prior"]].single
        K = 1 if single else values.whole("n_categories", self.n_categories, least=1)
        chosen = {"likelihood": likelihoods.suiting(read.kind), "K": K, **chosen}
        config = Config(shape=read.x.shape[1:], columns=read.columns, **chosen)
        recipe = self.recipe if isinstance(self.recipe, str) else recipes.default(config)
        suited = RECIPES[recipe].model(config.shape, len(read.x))
        return replace(config, **{k: v for k, v in suited.items() if k not in chosen})

    def _rows(self, X: Any) -> np.ndarray:
        """New data as rows of the model."""
        check_is_fitted(self)
        coded = likelihoods.of(self.params_.config).coded
        return containers.rows(self._opened(X, reset=False), self.columns_, coded)

    def _labels(self, x: np.ndarray) -> np.ndarray:
        return self._probs(x).argmax(axis=1)

    def _probs(self, x: np.ndarray) -> np.ndarray:
        return rows.probs(self.params_, x)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable category of each row, [N]."""
        return self._labels(self._rows(X))

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each category for each row, [N, K]."""
        return self._probs(self._rows(X))

    def transform(self, X: Any) -> np.ndarray:
        """The code of each row, [N, D]: the mean of q(z|x, c) at its most probable category."""
        return rows.codes(self.params_, self._rows(X))

    def inverse_transform(self, Z: Any) -> Any:
        """Codes [N, D] to rows: the mean of p(x|z, c) at the category that z most probably comes from."""
        check_is_fitted(self)
        z = np.asarray(Z, np.float32)
        category = np.asarray(components.of_codes(self.params_, jnp.asarray(z)))
        single = PRIORS[self.params_.config.prior].single
        return self._restored(api.decode(self.params_, z, None if single else category))

    def score_samples(self, X: Any) -> np.ndarray:
        """The lower bound on log p(x) of each row in nats, [N]; of the values that are there."""
        return rows.bounds(self.params_, purpose(jax.random.key(0), "test bound"), self._rows(X))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`; higher is better."""
        del y
        return float(np.mean(self.score_samples(X), dtype=np.float64))

    def sample(self, n_samples: int = 1, category: Any = None) -> tuple[Any, np.ndarray]:
        """New rows, and the category of each.

        Args:
          n_samples: How many rows.
          category: A category, or one for each row; None draws them as often as the data use them.

        Returns:
          Rows as in `fit` (a data frame if that was given one), and categories [n_samples].
        """
        check_is_fitted(self)
        key_c, key_x = jax.random.split(jax.random.key(self._seed()))
        params = self.params_
        single = PRIORS[params.config.prior].single
        if category is None and not single:
            shares = jnp.log(params.shares)
            category = np.asarray(jax.random.categorical(key_c, shares, shape=(n_samples,)))
        x = api.sample(params, key_x, category=category, num=n_samples, draw=True)
        each = np.broadcast_to(0 if single else np.asarray(category), (n_samples,))
        return self._restored(x), each.astype(np.int64)

    def impute(self, X: Any) -> Any:
        """The rows with their gaps filled by the conditional mean (numbers) or mode (levels)."""
        x = self._rows(X)
        key = purpose(jax.random.key(0), "imputation")
        return self._restored(imputation.impute(self.params_, key, x))

    def _restored(self, x: Any) -> Any:
        """Rows of the model in the container that `fit` was given."""
        array = np.asarray(x)
        if self.columns_ is None:
            return array
        coded = likelihoods.of(self.params_.config).coded
        return containers.written(coding.decode(self.columns_, array, coded=coded), self._native)
