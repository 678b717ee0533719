"""`cpvae fit DATA`: train a model on a data set, score it on its test split and draw pictures.

This module reads the flags into a `Job`, without importing JAX; `run` does the work.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from cpvae_jax.commands import flags
from cpvae_jax.commands.extend import Extend
from cpvae_jax.commands.flags import Partial, option
from cpvae_jax.commands.job import READING, Devices, Folders, Job, Options, Schedule
from cpvae_jax.commands.main import exit_code
from cpvae_jax.config import Config, Training

DESCRIPTION = (
    "Train a model on your data, score it on a test split, and draw pictures. The scores, the "
    "pictures and the model are written to the folder of the run."
)


@dataclass(frozen=True)
class Source:
    """The data of `cpvae fit`."""

    dataset: str = option(
        help="a table (.csv, .tsv, .parquet, .feather, .xlsx, .h5ad), an .npz or .npy file, a folder of "
        "images, a folder of .npy files that stay on disk, or the name of a data set that your own file "
        "registers",
        metavar="DATA",
        positional=True,
    )


@dataclass(frozen=True)
class ShortName:
    """The paper's names of models."""

    model: str | None = option(
        None,
        "short name for --prior and --levels together: cp, full, vae, mg or vp, or with two levels "
        "hcp, hfull, hvae, hmg or hvp",
    )


def numbers_of_categories(text: str) -> int | str:
    """A number of categories, or numbers to choose from: "auto", or a range such as "2-20".

    >>> numbers_of_categories("10"), numbers_of_categories("2-20")
    (10, '2-20')
    """
    found = re.fullmatch(r"(\d+)-(\d+)", text)
    if text == "auto" or (found and 1 <= int(found[1]) <= int(found[2])):
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text} is no number of categories; give one such as 10, a range such as 2-20, or auto"
        ) from None


MODEL = Partial(
    Config,
    without=("shape", "groups", "columns"),
    change={
        "K": {
            "help": "number of categories, mixture components or pseudo-inputs; or numbers to choose "
            "from by the validation bound: auto, or a range such as 2-20",
            "default": f"{Config.K}, or 1 for a prior with a single component",
            "type": numbers_of_categories,
        },
        "likelihood": {"default": "auto, which takes the one that suits the data"},
    },
)
"""The flags of the model. Shape and columns are those of the data, and `merge` sets the groups."""

TRAINING = Partial(Training, change={"regularisers": {"flag": "regulariser", "metavar": "NAME=W"}})
"""The flags of the training; those not given follow from the recipe and the data set."""


def main(argv: Sequence[str] | None = None, *, program: str = "cpvae fit") -> int:
    """Runs the command.

    Args:
      argv: the arguments; None takes those of this process.
      program: the command's name, for the help and for the record of the run.

    Returns:
      The exit code: 0; 2 for invalid input; 130 or 143 if a signal stopped the training.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    return train(parse(arguments, program=program), arguments, program=program)


def train(job: Job, arguments: Sequence[str], *, program: str = "cpvae fit") -> int:
    """Runs a job; `arguments` and `program` are the command line that the run's record shows."""

    def command() -> int:
        from cpvae_jax.commands import run

        return run.run(job, arguments, program)

    return exit_code(command)


def parse(
    argv: Sequence[str],
    *,
    program: str = "cpvae fit",
    source: type = Source,
    data_options: type | None = None,
) -> Job:
    """Reads a command line; an error in it ends the program with a message and exit code 2.

    Args:
      argv: the arguments.
      program: the command's name, for the help.
      source: a dataclass with the field `dataset`, from which that flag is made.
      data_options: a dataclass whose fields are options of the caller's data sets.
    """
    own = [] if data_options is None else [Partial(data_options)]
    data, folders, reading, *given = flags.parse(
        argv,
        program=program,
        description=DESCRIPTION,
        groups={
            "data": [source, Folders, READING, *own],
            "model (the defaults are those of the paper's section 5)": [Extend, ShortName, MODEL],
            "training (those not given follow from the recipe)": [Schedule, TRAINING],
            "devices and processes": [Devices],
            "run and output": [Options],
        },
    )
    options_of_data = {**reading, **(given.pop(0) if own else {})}
    extend, name, model, schedule, training, devices, options = given
    numbers = model.pop("K") if isinstance(model.get("K"), str) else None
    if model.get("likelihood") == "auto":
        del model["likelihood"]
    if name.model is not None:
        model = {"model": name.model, **model}
    return Job(
        dataset=data.dataset,
        data_options=options_of_data,
        folders=folders,
        model=model,
        numbers=numbers,
        recipe=schedule.recipe,
        training=training,
        devices=devices,
        options=options,
        extend=extend,
    )


def written(job: Job, *, data_options: type | None = None) -> list[str]:
    """The flags from which `parse` makes a job, without its data set; the inverse of `parse`."""
    own = [] if data_options is None else flags.written(Partial(data_options), job.data_options)
    return [
        *own,
        *flags.written(READING, job.data_options),
        *flags.written(Folders, asdict(job.folders)),
        *flags.written(ShortName, job.model),
        *flags.written(MODEL, {**job.model, "K": job.numbers or job.model.get("K")}),
        *flags.written(Schedule, {"recipe": job.recipe}),
        *flags.written(TRAINING, job.training),
        *flags.written(Devices, asdict(job.devices)),
        *flags.written(Options, asdict(job.options)),
        *flags.written(Extend, asdict(job.extend)),
    ]
