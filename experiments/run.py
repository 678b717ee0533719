"""Train, score and picture a model: `python -m experiments.run --dataset mnist --K 10`.

The command line only, so that `--help` and a mistake in a flag are told at once; what a run does
is in `experiments.job`, and imported when the flags are read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cpvae_jax import UserError
from experiments.options import parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 2 for a mistake in the input."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parse(arguments)
    from experiments import job

    try:
        return job.run(options, arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by SIGINT; what was saved before is kept.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    from experiments.progress import silence_late_errors

    silence_late_errors()
    sys.exit(main())
