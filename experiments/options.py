"""The command line of `python -m experiments.run`: every setting of the paper is a flag."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from cpvae_jax import Config, Training
from experiments import extend

MIXTURE = ("means", "stds", "weights", "num")
"""Flags of the synthetic data set, kept in the configuration of a run."""

SEEDS = 2**32
"""Seeds that there are: from 0 up."""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; a mistake ends the program with a sentence and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.run",
        description="Train CP-VAE on a data set, score it on its test split, and draw pictures. "
        "Without flags: the embedded digits, no download, half a minute on two cores.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    data = parser.add_argument_group("data")
    add_data(data)
    _mixture(data)
    _model(parser.add_argument_group("model (defaults: the paper's section 5)"))
    _training(parser.add_argument_group("training (defaults: the paper's section 5)"))
    _devices(parser.add_argument_group("devices and processes"))
    _output(parser.add_argument_group("run and output"))
    return parser.parse_args(argv)


def places(options: argparse.Namespace) -> dict[str, Path | None]:
    """Where the files of a data set lie, as `experiments.data.load` takes it."""
    return {name: getattr(options, name) for name in ("data_dir", "manual_dir", "cache_dir")}


def place_flags(options: argparse.Namespace) -> list[str]:
    """The same as flags, for a command that calls another; places not given are left out."""
    given = ((name, place) for name, place in places(options).items() if place is not None)
    return [part for name, place in given for part in (f"--{name.replace('_', '-')}", str(place))]


def add_data(group: argparse._ActionsContainer, *, dataset: bool = True) -> None:
    """Which data set, unless the command knows, and where its files lie."""
    if dataset:
        group.add_argument(
            "--dataset",
            default="digits",
            help="digits, mnist, omniglot, synthetic, an .npz file, a folder of images, or one of "
            ".npy files that stay on the disk",
        )
    group.add_argument(
        "--data-dir", type=Path, help="TFDS data directory (else TFDS_DATA_DIR, else its default)"
    )
    group.add_argument(
        "--manual-dir", type=Path, help="folder with the data set's original files, not downloaded"
    )
    group.add_argument(
        "--cache-dir",
        type=Path,
        help="where decoded images are kept (else CPVAE_JAX_CACHE, "
        "else a folder in the user's cache)",
    )


def _mixture(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--means", type=float, nargs="+", help="synthetic: means of the mixture's components"
    )
    group.add_argument("--stds", type=float, nargs="+", help="synthetic: their standard deviations")
    group.add_argument("--weights", type=float, nargs="+", help="synthetic: their weights")
    group.add_argument("--num", type=int, help="synthetic: training examples")


def _model(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--model",
        default=Config.model,
        help="cp (the paper's), full (cp with full covariances), vae, mg, vp, or one of these with "
        "two levels: hcp, hfull, hvae, hmg, hvp",
    )
    extend.add_flag(group)
    group.add_argument(
        "--K",
        type=int,
        help=f"number of categories, mixture components or pseudo-inputs; {Config.K} if not given, "
        "and 1 where the prior has only one",
    )
    group.add_argument("--latent", type=int, default=Config.latent, help="dimensions of z")
    group.add_argument(
        "--hidden",
        type=int,
        nargs="+",
        default=Config.hidden,
        help="units of the encoder's gated layers; the decoder mirrors them",
    )
    group.add_argument(
        "--likelihood",
        default="auto",
        help="distribution of x given z and c: bernoulli (grey levels, black or white), gaussian (real "
        "numbers), or one of your own; auto takes what suits the data, and says so",
    )
    group.add_argument(
        "--scale",
        type=float,
        help="Gaussian: standard deviation in the data's unit; learned if not given",
    )
    group.add_argument(
        "--binarise",
        default=Config.binarise,
        help="Bernoulli: grey levels become 0 and 1 at every use (dynamic), by a threshold of one "
        "half (threshold), or not at all (none)",
    )


def _training(group: argparse._ArgumentGroup) -> None:
    """Flags not given are left out of the result: a data set may bring its own defaults."""

    def add(name: str, text: str) -> None:
        default = getattr(Training, name)
        group.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(default),
            default=argparse.SUPPRESS,
            help=f"{text} (default: {default})",
        )

    add("learning_rate", "Adam's step size; 0.002 for digits")
    add("decay_epochs", "epochs over which the step size falls to 0 by half a cosine; 0 keeps it")
    add("batch_size", "examples a step")
    add("warmup", "epochs until the divergences have their full weight")
    add("epochs", "the most epochs")
    add("patience", "epochs without a better validation bound, after the warm-up, that end it")
    add(
        "estimator",
        "how the category is drawn: relaxed (Gumbel-Softmax, the paper's), straight-through, or "
        "exact (the sum over all categories; K decoder passes)",
    )
    add("temperature", "Gumbel-Softmax temperature at the start")
    add("temperature_end", "Gumbel-Softmax temperature at the end of its schedule")
    add("temperature_epochs", "epochs over which the temperature falls, exponentially")
    add(
        "precision",
        "of the networks' products in training steps, on devices that have a choice: float32, "
        "tensorfloat32 or bfloat16; all scores are in full float32",
    )


def _devices(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--devices",
        type=int,
        help="devices that seeds and batches are spread over; all there are if not given",
    )
    group.add_argument(
        "--distributed",
        action="store_true",
        help="one of several processes, started by a scheduler whose environment tells the rest "
        "(Slurm, Open MPI, Kubernetes, a TPU pod); Open MPI 5 and later need --coordinator too",
    )
    group.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="one of several processes started by hand: where the first one listens; needs "
        "--processes and --process, or --distributed",
    )
    group.add_argument("--processes", type=int, help="how many processes there are")
    group.add_argument("--process", type=int, help="which one this is, from 0")


def seed(text: str) -> int:
    """A seed that every generator of random numbers takes."""
    number = int(text)
    if not 0 <= number < SEEDS:
        raise argparse.ArgumentTypeError(f"{text} is no seed; give a number from 0 to {SEEDS - 1}")
    return number


def _output(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--seed", type=seed, default=0, help="seed of all randomness; the first one")
    group.add_argument(
        "--seeds",
        type=int,
        default=1,
        help="seeds trained in one program: --seed, --seed + 1, …; the one with the "
        "best validation bound is kept, all are reported",
    )
    group.add_argument(
        "--out",
        type=Path,
        help="folder of the run; runs/DATASET-MODEL-KK-seedSEED if not given, MODEL left out for cp",
    )
    group.add_argument(
        "--resume", action="store_true", help="go on with the run that the folder holds"
    )
    group.add_argument(
        "--checkpoint-every", type=float, default=60.0, help="seconds between checkpoints"
    )
    group.add_argument(
        "--bound-samples", type=int, default=1, help="draws of z an example in the test bound"
    )
    group.add_argument(
        "--log-likelihood",
        type=int,
        nargs="?",
        const=5000,
        default=0,
        metavar="S",
        help="also score log p(x) of the test set by importance sampling with S samples an "
        "example, 5000 if S is not given",
    )
    group.add_argument(
        "--likelihood-images",
        type=int,
        metavar="N",
        help="sample log p(x) for N test examples only, and add their mean distance from the "
        "bound to the bound of all; every example if not given",
    )
    group.add_argument(
        "--tensorboard", action="store_true", help="also log for TensorBoard, in the run's folder"
    )
    group.add_argument("--quiet", action="store_true", help="no progress bar")
