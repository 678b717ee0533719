"""`cpvae sample RUN --category 3 --num 64 --out FILE`: draw new examples from a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cpvae_jax.commands import extend, flags
from cpvae_jax.commands.extend import Extend
from cpvae_jax.commands.flags import option
from cpvae_jax.commands.main import exit_code
from cpvae_jax.commands.start import start_jax
from cpvae_jax.errors import UserError

FORMATS = (".png", ".npz")
"""Files of examples; those of a table may also be written as a table."""


@dataclass(frozen=True)
class Draw:
    """What to draw, and where to write it."""

    run: Path = option(help="folder of a run, or of a saved model", positional=True)
    category: int | None = option(
        None, "category to draw from, counted from 0; if not given, drawn at random by --weights"
    )
    num: int = option(64, "number of examples")
    out: Path = option(
        Path("samples.png"),
        "file to write: .png for a picture of images, .npz for the numbers as array x, or for the rows of a "
        "table .csv, .tsv, .parquet or .feather",
    )
    seed: int = option(0, "seed of the draws", type=flags.seed)
    weights: str | None = option(
        None,
        "probabilities of the categories: the aggregated posterior q(c), the prior p(c), or uniform "
        "(default: q(c) if the model infers c, otherwise p(c))",
        choices=("aggregate", "uniform", "prior"),
    )
    draw: bool = option(
        False, "draw x from p(x|z, c) instead of taking its mean; the rows of a table always are"
    )


def main(argv: Sequence[str] | None = None, *, program: str = "cpvae sample") -> int:
    """Runs the command; returns its exit code, 2 for invalid input."""
    draw, files = flags.parse(
        argv,
        program=program,
        description="Draw new examples from the model of a run, from one category or from all.",
        groups={"samples": [Draw], "your own parts": [Extend]},
    )
    return exit_code(write_samples, draw, files.extend)


def write_samples(draw: Draw, files: Sequence[Path] = ()) -> None:
    """Loads a model, draws examples and writes them to a file.

    Args:
      draw: what to draw, and where to write it.
      files: the user's own files to run first.

    Raises:
      UserError: there is no such model, category or file format, or the file cannot be written.
    """
    import jax
    import numpy as np

    from cpvae_jax import api, likelihoods
    from cpvae_jax.data import coding, writers
    from cpvae_jax.keys import purpose
    from cpvae_jax.report import drawing
    from cpvae_jax.storage.run_folder import SCORES, result, writing

    as_table = draw.out.suffix.lower() in writers.SUFFIXES
    if draw.out.suffix not in FORMATS and not as_table:
        endings = ", ".join((*FORMATS, *writers.SUFFIXES))
        raise UserError(f"--out is {draw.out}; its name must end in one of {endings}.")
    start_jax()
    extend.run(files)
    params = api.load(draw.run)
    shape = params.config.shape
    if draw.out.suffix == ".png" and not drawing.is_image(shape):
        raise UserError(
            f"an example of this model has shape {shape} and is not an image; write an .npz file "
            "instead, or a .csv file if the model is of a table."
        )
    columns = params.config.columns
    if as_table and columns is None:
        raise UserError(
            f"--out is {draw.out}, but the model was trained on an array without names of columns; write an .npz "
            "file instead."
        )
    drawn = api.sample(
        params,
        purpose(jax.random.key(draw.seed), "samples"),
        category=draw.category,
        num=draw.num,
        weights=draw.weights,
        draw=draw.draw or as_table,
    )
    x = np.asarray(drawn)
    if as_table:
        import pyarrow as pa

        assert columns is not None
        values = coding.decode(columns, x, coded=likelihoods.of(params.config).coded)
        with writers.writing(draw.out) as writer:
            writer.write(pa.table({name: pa.array(v.tolist()) for name, v in values.items()}))
        print(f"wrote {draw.num} samples to {draw.out}")
        return
    with writing(draw.out):
        draw.out.parent.mkdir(parents=True, exist_ok=True)
        if draw.out.suffix == ".npz":
            np.savez_compressed(draw.out, x=x)
        else:
            category = "" if draw.category is None else f" of category {draw.category}"
            scores = draw.run / SCORES
            # The folder of a saved model does not say what white is.
            bounds = result(scores).get("value_range") if scores.is_file() else None
            drawing.grid(draw.out, x, f"Samples{category}", bounds=bounds)
    print(f"wrote {draw.num} samples to {draw.out}")
