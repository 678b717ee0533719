"""Draw from a finished run: `python -m experiments.sample RUN --category 3 --num 64 --out FILE`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments import extend
from experiments.options import seed

FORMATS = (".png", ".npz")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; a mistake ends the program with a sentence and exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.sample",
        description="Draw new examples from the model of a run, from one category or from all.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, help="folder of a run, or of a saved model")
    parser.add_argument(
        "--category",
        type=int,
        help="category to draw from, 0 to K - 1; if not given, drawn by its weight",
    )
    parser.add_argument("--num", type=int, default=64, help="number of examples")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("samples.png"),
        help="file to write: .png, a picture of images, or .npz, the numbers as array x",
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of the draw")
    parser.add_argument(
        "--weights",
        choices=("aggregate", "uniform"),
        help="without --category: draw it from the aggregated posterior q(c), or uniformly; if not "
        "given, from q(c) where the model infers c, and else uniformly",
    )
    parser.add_argument(
        "--draw", action="store_true", help="draw x from p(x|z, c) instead of taking its mean"
    )
    extend.add_flag(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 2 for a mistake in the input."""
    options = parse(argv)
    from cpvae_jax import UserError

    try:
        write_samples(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def write_samples(options: argparse.Namespace) -> None:
    """Load the model, draw, and write the file."""
    import jax
    import numpy as np

    import cpvae_jax
    from experiments import pictures
    from experiments.folder import SCORES, result, writing

    if options.out.suffix not in FORMATS:
        raise cpvae_jax.UserError(
            f"--out is {options.out}; its name must end in {' or '.join(FORMATS)}."
        )
    extend.run(options.extend)
    params = cpvae_jax.load(options.run)
    if options.out.suffix == ".png" and not pictures.is_image(params.config.shape):
        raise cpvae_jax.UserError(
            f"an example of this model has the shape {params.config.shape} and is no image; "
            "write an .npz file instead."
        )
    x = cpvae_jax.sample(
        params,
        jax.random.key(options.seed),
        category=options.category,
        num=options.num,
        weights=options.weights,
        draw=options.draw,
    )
    with writing(options.out):
        options.out.parent.mkdir(parents=True, exist_ok=True)
        if options.out.suffix == ".npz":
            np.savez_compressed(options.out, x=np.asarray(x))
        else:
            of = "" if options.category is None else f" of category {options.category}"
            scores = options.run / SCORES
            # A saved model, of no run, does not tell what white is.
            bounds = result(scores).get("value_range") if scores.is_file() else None
            pictures.grid(options.out, np.asarray(x), f"Samples{of}", bounds=bounds)
    print(f"wrote {options.num} samples to {options.out}")


if __name__ == "__main__":
    sys.exit(main())
