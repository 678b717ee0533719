"""Train, score and draw a model: `python -m experiments.run --dataset mnist --K 10`.

This is the command `cpvae fit` with the paper's data sets, and with a flag for the data set.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from cpvae_jax.commands import fit
from cpvae_jax.commands.flags import option
from cpvae_jax.commands.job import Job
from cpvae_jax.commands.main import as_process

PROGRAM = "python -m experiments.run"


@dataclass(frozen=True)
class Named:
    """A data set of the paper, or the user's own."""

    dataset: str = option(
        "digits",
        "digits (included, no download), mnist, fashion_mnist, omniglot, synthetic; the tables iris, "
        "wine, breast_cancer (included), pendigits, optdigits, satimage, letter, penguins (NAME.csv in "
        "--manual-dir); a table (.csv, .parquet, …), an .npz or .npy file, a folder of images, or a folder "
        "of .npy files that stay on disk",
    )


@dataclass(frozen=True)
class Mixture:
    """Options of the synthetic data set; they are kept in the configuration of a run."""

    means: tuple[float, ...] | None = option(None, "synthetic: means of the components")
    stds: tuple[float, ...] | None = option(None, "synthetic: standard deviations of them")
    weights: tuple[float, ...] | None = option(None, "synthetic: weights of them")
    num: int | None = option(None, "synthetic: number of training examples")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command.

    Args:
      argv: the arguments; None takes those of this process.

    Returns:
      The exit code: 0; 2 for invalid input; 130 or 143 if a signal stopped the training.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return run(fit.parse(arguments, program=PROGRAM, source=Named, data_options=Mixture), arguments)


def run(job: Job, arguments: Sequence[str] | None = None) -> int:
    """Runs a job on the paper's data sets or others, and returns the exit code.

    Args:
      job: what to do.
      arguments: the command line that the record of the run shows; by default that of the job.
    """
    import experiments.data  # noqa: F401 - registers the data sets

    if arguments is None:
        arguments = ["--dataset", job.dataset, *fit.written(job, data_options=Mixture)]
    return fit.train(job, arguments, program=PROGRAM)


if __name__ == "__main__":
    sys.exit(as_process(main))
