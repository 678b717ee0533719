"""A job: everything that the command `fit` needs to know, as records without JAX.

The flags are made from these records; a program that starts many runs makes the records itself.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cpvae_jax import columns as kinds
from cpvae_jax.commands.extend import Extend
from cpvae_jax.commands.flags import Partial, option, seed

PAPER = "paper"
"""With this recipe, a data set's own training settings apply."""


@dataclass(frozen=True)
class Folders:
    """Where the files of data sets are."""

    data_dir: Path | None = option(
        None, "TensorFlow Datasets folder (default: TFDS_DATA_DIR, else ~/tensorflow_datasets)"
    )
    manual_dir: Path | None = option(
        None, "folder with original files that you downloaded yourself"
    )
    cache_dir: Path | None = option(
        None, "folder for decoded images (default: CPVAE_JAX_CACHE, else ~/.cache/cpvae_jax)"
    )

    def named(self) -> dict[str, Path | None]:
        """The folders as keyword arguments of `cpvae_jax.data.load`."""
        return asdict(self)


def kind_of_column(text: str) -> tuple[str, str]:
    """A column and its kind, from NAME=KIND.

    >>> kind_of_column("rating=ordinal")
    ('rating', 'ordinal')
    """
    name, equals, kind = text.rpartition("=")
    if not equals or not name or kind not in kinds.KINDS:
        raise argparse.ArgumentTypeError(
            f"{text} is no column with a kind; give NAME=KIND, with a kind of {', '.join(kinds.KINDS)}"
        )
    return name, kind


@dataclass(frozen=True)
class Reading:
    """How files of the user's own are read."""

    label_column: str | None = option(
        None, "table: column of the classes, which are used for scores only", metavar="NAME"
    )
    id_column: str | None = option(
        None, "table: column that names the rows; it is not used in training", metavar="NAME"
    )
    drop_columns: tuple[str, ...] = option((), "table: columns to leave out", metavar="NAME")
    columns: tuple[tuple[str, str], ...] = option(
        (),
        "table: kind of a column, in place of the one inferred: real, positive, count, binary, "
        "categorical, ordinal",
        metavar="NAME=KIND",
        type=kind_of_column,
        flag="column",
    )
    resize: str | None = option(
        None,
        "images: bring all to this size, 32 or WIDTHxHEIGHT; they are scaled and cut at the centre",
        metavar="SIZE",
    )


READING = Partial(Reading)
"""The flags of reading; only those that are given go to the loader."""


@dataclass(frozen=True)
class Devices:
    """Devices and processes that share the work."""

    devices: int | None = option(
        None, "number of devices to spread seeds and batches over (default: all)"
    )
    distributed: bool = option(
        False,
        "this is one of several processes that a scheduler started (Slurm, Open MPI, Kubernetes, "
        "a TPU pod); Open MPI 5 and later need --coordinator too",
    )
    coordinator: str | None = option(
        None,
        "this is one of several processes started by hand: where the first one listens; needs "
        "--processes and --process, or --distributed",
        metavar="HOST:PORT",
    )
    processes: int | None = option(None, "number of processes")
    process: int | None = option(None, "number of this process, from 0")


@dataclass(frozen=True)
class Schedule:
    """Which recipe gives the training settings that are not given one by one."""

    recipe: str | None = option(
        None,
        "named training settings: modes (categories that follow the modes of the data), tight (the same "
        "with the tightest bound), paper, short, long, or your own; the flags below override single "
        "settings of it (default: modes, but paper for a model without categories or with K = 1)",
        metavar="NAME",
    )


@dataclass(frozen=True)
class Options:
    """How a run goes and what it reports; nothing here changes the model."""

    seed: int = option(0, "seed of all randomness; the first one, if there are several", type=seed)
    seeds: int = option(
        1,
        "number of seeds to train in one program: --seed, --seed + 1, …; the one with the best "
        "validation bound is kept, and all are reported",
    )
    out: Path | None = option(
        None,
        "folder of the run (default: runs/DATASET-MODEL-KK-RECIPE-seedSEED, without the MODEL cp "
        "and the default RECIPE)",
    )
    resume: bool = option(False, "continue the run in the folder")
    checkpoint_every: float = option(60.0, "seconds between checkpoints")
    bound_samples: int = option(1, "draws of z per example for the test bound")
    log_likelihood: int = option(
        0,
        "also estimate log p(x) of the test set by importance sampling, with S samples per example "
        "(5000 if S is left out)",
        const=5000,
        metavar="S",
    )
    refine: int = option(
        0,
        "also report the bound after STEPS gradient steps on each test example's own q(z, c|x) (100 if "
        "STEPS is left out)",
        const=100,
        metavar="STEPS",
    )
    likelihood_images: int | None = option(
        None,
        "compute log p(x) and the refined bound for N random test examples only, and add their mean "
        "distance from the bound to the bound of all examples (default: every example)",
        metavar="N",
    )
    tensorboard: bool = option(False, "also write logs for TensorBoard to the folder of the run")
    quiet: bool = option(False, "show no progress bar")
    callback: tuple[str, ...] = option(
        (),
        "callbacks to call after each epoch: mlflow, tensorboard, wandb, or those of your own file",
        metavar="NAME",
    )


@dataclass(frozen=True)
class Job:
    """A run, from the data to the pictures.

    Attributes:
      dataset: a registered name, or a path.
      data_options: options of the data set's loader; they are part of the run's configuration.
      folders: where the files of data sets are.
      model: fields of `Config` by name, without shape; or "model", a short name such as "hvp" for
        prior and levels together. What is missing takes its default, and the likelihood
        the one that suits the data.
      recipe: the name of the recipe; None takes the one that suits the model.
      numbers: numbers of categories to choose from, "auto" or "2-20", in place of a K in `model`.
      training: fields of `Training` that differ from the recipe's.
      devices: devices and processes.
      options: how the run goes and what it reports.
      extend: Python files to run first.
    """

    dataset: str
    data_options: Mapping[str, Any] = field(default_factory=dict)
    folders: Folders = Folders()
    model: Mapping[str, Any] = field(default_factory=dict)
    numbers: str | None = None
    recipe: str | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    devices: Devices = Devices()
    options: Options = Options()
    extend: Extend = Extend()

    @property
    def seeds(self) -> list[int]:
        """The seeds in order.

        >>> Job("digits").with_options(seed=3, seeds=2).seeds
        [3, 4]
        """
        return [self.options.seed + i for i in range(self.options.seeds)]

    def with_options(self, **changes: Any) -> Job:
        """The same job with other options."""
        return replace(self, options=replace(self.options, **changes))
