"""Doubts about the categories of a training that ran well: sentences that say what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cpvae_jax.config import Config, Training
from cpvae_jax.evaluation.categories import entropy
from cpvae_jax.models import category
from cpvae_jax.registry import PRIORS
from cpvae_jax.types import Params

NOTHING = 0.1
"""I(x; c) below this share of log K is called almost nothing. Trained models of MNIST, Omniglot and
the digits are at 0.79 to 1, and 150 overlapping categories of one number at 0.31."""
NEARLY_ALL = 0.9
"""A category with more than this share of q(c) is said to take nearly everything."""
RISING = 0.05
"""KL(c) rises if its mean grew by this share from the first to the last third of the last quarter
of the epochs. Finished runs on the digits, MNIST and Omniglot are at 0.01 or below."""
ENOUGH = 12
"""Epochs from which a trend can be seen."""
SETTLED = 10
"""Epochs after the warm-up from which Python users are warned of idle categories. A shorter training
is a trial, whose categories nobody expects to be final."""


def cut_short(training: Training, epochs: int, *, planned: bool = False) -> str | None:
    """A sentence if training ends inside the warm-up, where the loss is not yet the bound.

    Args:
      training: the settings.
      epochs: the epochs done, or planned.
      planned: whether training has yet to begin.
    """
    if epochs >= training.warmup:
        return None
    return (
        f"training {_ends(epochs, planned)}, inside the warm-up of {training.warmup}: only after it "
        "have the divergences their full weight, and the categories their form. Give more than "
        f"{training.warmup} --epochs, or a shorter --warmup."
    )


def still_hot(
    training: Training, config: Config, epochs: int, *, planned: bool = False
) -> str | None:
    """A sentence if training ends while the temperature of the relaxed category still falls.

    It is None where no category is relaxed.

    Args:
      training: the settings.
      config: the model.
      epochs: the epochs done, or planned.
      planned: whether training has yet to begin.
    """
    relaxed = training.estimator != "exact" and PRIORS[config.prior].inferred and config.K > 1
    falls = training.temperature != training.temperature_end
    if not (relaxed and falls) or epochs >= training.temperature_epochs:
        return None
    return (
        f"training {_ends(epochs, planned)}, but the temperature falls for "
        f"{training.temperature_epochs}: only then is the relaxed category close to a single one. "
        f"Give at least {training.temperature_epochs} --epochs, or fewer --temperature-epochs."
    )


def _ends(epochs: int, planned: bool) -> str:
    return f"{'is to end' if planned else 'ended'} after {epochs} epoch{'s' * (epochs != 1)}"


def planned(training: Training, config: Config) -> str | None:
    """A sentence if the planned epochs end before the warm-up or the fall of the temperature."""
    epochs = training.epochs
    return cut_short(training, epochs, planned=True) or still_hot(
        training, config, epochs, planned=True
    )


def idle_categories(
    K: int, largest_share: float, information: float | None, *, unequal: bool = False
) -> str | None:
    """A sentence if one category has nearly all examples, or all together say almost nothing.

    Args:
      K: the number of categories; with one there is nothing to say.
      largest_share: of one category in q(c) over the training data, 0 to 1.
      information: I(x; c) in nats; None if it is not known.
      unequal: whether p(c) is learned. Then one large category may be what the data say, so
        I(x; c) alone decides, against what two equal categories could carry.
    """
    if K == 1:
        return None
    most = math.log(K)
    remedy = (
        "Train for longer or in smaller batches (--epochs, --patience, --batch-size), try several "
        "--seeds, or add --regulariser balance=1 certainty=1."
    )
    if largest_share > NEARLY_ALL and not (unequal and information is not None):
        return (
            f"one category takes {100 * largest_share:.1f}% of the training data, and the other "
            f"{K - 1} almost none. {remedy}"
        )
    if information is not None and information < NOTHING * (math.log(2) if unequal else most):
        return (
            f"the categories carry almost nothing about x: I(x; c) is {information:.3f} of at most "
            f"{most:.3f} nats, however evenly they are used. {remedy}"
        )
    return None


def still_rising(training: Training, history: Sequence[Mapping[str, Any]], seed: int) -> str | None:
    """A sentence if KL(c) of the validation data was still rising when training ended.

    Over the last quarter of the epochs, it must have grown by 5% and a hundredth of a nat, by more
    than its noise, and not be levelling off.

    Args:
      training: the settings.
      history: the metrics of each epoch.
      seed: the place of the seed in them.
    """
    values = np.array([np.atleast_1d(line["valid_kl_c"])[seed] for line in history], float)
    if len(values) < ENOUGH:
        return None
    window = values[-max(ENOUGH // 2, len(values) // 4) :]
    third = len(window) // 3
    first, middle, last = (float(np.mean(part)) for part in np.split(window[-3 * third :], 3))
    # Of a mean of white noise, whose differences have twice its variance.
    error = float(np.std(np.diff(window), ddof=1)) / math.sqrt(2 * third)
    growth = last - first
    # 4 standard errors of a difference of two means. With NaN every comparison is false.
    if not growth > max(RISING * last, 0.01, 4 * math.sqrt(2) * error):
        return None
    if not last - middle > growth / 4:
        return None
    if np.atleast_1d(history[-1].get("stopped", False))[seed]:
        remedy = "Train again with a larger --patience, or in smaller batches (--batch-size)."
    elif training.decay_epochs:
        remedy = "Train again with more --epochs and --decay-epochs."
    else:
        remedy = "Continue with --resume and more --epochs."
    return (
        f"KL(c) was still rising when training ended, from {first:.3f} to {last:.3f} nats within the "
        f"last {len(window)} epochs: the categories may come to carry more. {remedy}"
    )


def of_run(
    training: Training,
    config: Config,
    history: Sequence[Mapping[str, Any]],
    seed: int,
    *,
    largest_share: float,
    information: float | None,
) -> list[str]:
    """Sentences on why the categories of a finished training may not be what was hoped for.

    Args:
      training: the settings.
      config: the model.
      history: the metrics of each epoch; may be empty.
      seed: the place of the seed in them.
      largest_share: as `idle_categories`.
      information: as `idle_categories`.

    Returns:
      The sentences; none for a sound training.
    """
    unequal = config.category_prior == "learned"
    found = [idle_categories(config.categories, largest_share, information, unequal=unequal)]
    if history:
        epochs = int(history[-1]["epoch"])
        early = cut_short(training, epochs) or still_hot(training, config, epochs)
        found += [early or still_rising(training, history, seed)]
    return [sentence for sentence in found if sentence]


def serious(
    training: Training, history: Sequence[Mapping[str, Any]], seed: int, params: Params
) -> str | None:
    """A sentence if the categories of a training that was long enough are idle.

    I(x; c) is KL(c) of the validation data at the best epoch, less KL(q(c) || p(c)). In a merged
    model c is the component.

    Args:
      training: the settings.
      history: the metrics of each epoch.
      seed: the place of the seed in them.
      params: the best parameters of that seed, with q(c) over the training data.
    """
    if not history or int(history[-1]["epoch"]) < training.warmup + SETTLED:
        return None
    K, q = params.config.K, np.asarray(params.aggregate, np.float64)
    best = int(np.atleast_1d(history[-1]["best_epoch"])[seed])
    at_best = [line for line in history if line["epoch"] == best]
    information = None
    if PRIORS[params.config.prior].inferred and at_best:
        kl_c = float(np.atleast_1d(at_best[0]["valid_kl_c"])[seed])
        log_p = np.asarray(category.log_probs(params), np.float64)
        information = max(0.0, kl_c - float(-entropy(q) - q @ log_p))
    unequal = params.config.category_prior == "learned"
    return idle_categories(K, float(q.max()), information, unequal=unequal)
